"""`inpaint` and what other commands know of inpainters: which files are meant, how masks are read, where results go."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from runtime import Inpainter, __main__
from runtime.bench.runners import open_runner
from runtime.errors import ImageFileError
from runtime.media.mask_images import read_hole_mask
from tests.runtime import tiny_inpainters, tiny_translators
from tests.runtime.tiny_inpainters import SIZE, expected

PHOTO = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
MASK = np.zeros(SIZE, np.uint8)
MASK[8:20, 10:30] = 255


def run(*arguments):
    return CliRunner().invoke(__main__.app, list(map(str, arguments)))


def read(path):
    return np.asarray(Image.open(path))


@pytest.fixture
def workplace(tmp_path):
    tiny_inpainters.inpainter(tmp_path / "e.onnx")
    tiny_inpainters.inpainter(tmp_path / "style.onnx", style=True)
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    Image.fromarray(MASK).save(tmp_path / "mask.png")
    for folder, content in (("photos", PHOTO), ("masks", MASK)):
        (tmp_path / folder).mkdir()
        for stem in ("a", "b"):
            suffix = ".bmp" if folder == "photos" else ".png"
            Image.fromarray(content if stem == "a" else content[::-1]).save(tmp_path / folder / (stem + suffix))
    return tmp_path


def test_one_image(workplace):
    target = workplace / "new" / "filled.png"
    result = run("inpaint", workplace / "e.onnx", workplace / "photo.png", workplace / "mask.png", "-o", target)
    assert result.exit_code == 0, result.output
    assert "1 image in" in result.output
    assert result.stderr == ""
    np.testing.assert_array_equal(read(target), expected(PHOTO, MASK))


def test_folders_are_matched_by_stem(workplace):
    out = workplace / "out"
    result = run("inpaint", workplace / "e.onnx", workplace / "photos", workplace / "masks", "-o", out)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.png"]
    np.testing.assert_array_equal(read(out / "a.png"), expected(PHOTO, MASK))
    np.testing.assert_array_equal(read(out / "b.png"), expected(PHOTO[::-1], MASK[::-1]))
    result = run("inpaint", workplace / "e.onnx", workplace / "photos", workplace / "mask.png", "-o", out)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(read(out / "b.png"), expected(PHOTO[::-1], MASK))


def test_options_reach_the_inpainter(workplace):
    engine, photo, mask, target = (workplace / name for name in ("e.onnx", "photo.png", "mask.png", "t.png"))
    inpainter = Inpainter(engine)
    for flags, inverted, options in (
        (("--dilate", 2, "--feather", 1), False, {"dilate": 2, "feather": 1}),
        (("--invert-mask",), True, {}),
        (("--strategy", "resize"), False, {"strategy": "resize"}),
    ):
        result = run("inpaint", engine, photo, mask, *flags, "-o", target)
        assert result.exit_code == 0, result.output
        wanted = inpainter.run(PHOTO, (MASK > 0) != inverted, **options)
        np.testing.assert_array_equal(read(target), wanted)


def test_style(workplace):
    style = 255 - PHOTO
    Image.fromarray(style).save(workplace / "painting.png")
    engine, photo, target = workplace / "style.onnx", workplace / "photo.png", workplace / "t.png"
    result = run("inpaint", engine, photo, "--style", workplace / "painting.png", "-o", target)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(read(target), style)
    masked = (engine, photo, workplace / "mask.png", "--style", workplace / "painting.png", "-o", target)
    assert run("inpaint", *masked).exit_code == 0
    np.testing.assert_array_equal(read(target), np.where(MASK[..., None] > 0, style, PHOTO))


def test_what_is_noted(workplace):
    Image.fromarray(0 * MASK).save(workplace / "nothing.png")
    large = PHOTO.repeat(4, 0).repeat(4, 1)
    Image.fromarray(large).save(workplace / "large.png")
    Image.fromarray(MASK.repeat(4, 0).repeat(4, 1)).save(workplace / "large_mask.png")
    Image.fromarray(MASK).save(workplace / "mask.jpg", quality=60)
    cases = {
        "nothing is missing": ("photo.png", "nothing.png", "o.png"),
        "completed at 1/3.3 of its resolution": ("large.png", "large_mask.png", "o.png"),
        "a JPEG's or WebP's blacks are not quite black": ("photo.png", "mask.jpg", "o.png"),
        "JPEG changes every pixel a little": ("photo.png", "mask.png", "o.jpg"),
    }
    for message, (image, mask, target) in cases.items():
        result = run("inpaint", workplace / "e.onnx", workplace / image, workplace / mask, "-o", workplace / target)
        assert result.exit_code == 0, result.output
        assert message in result.stderr


def test_masks_of_every_mode(tmp_path):
    wanted, notes = MASK > 0, []
    pictures = {
        "1.png": Image.fromarray(wanted),
        "l.png": Image.fromarray(MASK // 255),
        "rgb.png": Image.fromarray(np.dstack([0 * MASK, MASK, 0 * MASK])),
        "rgba.png": Image.fromarray(np.dstack([MASK, MASK, MASK, MASK | 255])),
        "p.png": Image.fromarray(MASK).convert("P"),
        "i16.png": Image.fromarray(MASK.astype(np.uint16)),
        "m.jpg": Image.fromarray(MASK),
        "m.webp": Image.fromarray(MASK),
        "m.tif": Image.fromarray(MASK),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name, **({"compression": "jpeg"} if name == "m.tif" else {}))
        mask = read_hole_mask(tmp_path / name, notes.append)
        assert mask.dtype == np.bool_
        np.testing.assert_array_equal(mask, wanted, name)
    assert len(notes) == 3
    Image.fromarray(np.dstack([MASK] * 4)).save(tmp_path / "clear.png")
    with pytest.raises(ImageFileError, match="transparent in places, which could mean missing or known"):
        read_hole_mask(tmp_path / "clear.png", notes.append)


def test_mistakes_exit_with_2_and_one_line(workplace):
    engine, photo, mask, out = (workplace / name for name in ("e.onnx", "photo.png", "mask.png", "out"))
    photos, masks = workplace / "photos", workplace / "masks"
    (workplace / "empty").mkdir()
    (workplace / "broken.png").write_bytes(b"no image")
    Image.fromarray(MASK[:-1]).save(workplace / "short.png")
    Image.fromarray(MASK | 1).save(workplace / "all.png")
    Image.fromarray(PHOTO).save(photos / "c.png")
    style = workplace / "painting.png"
    Image.fromarray(PHOTO).save(style)
    translator = tiny_translators.translator(workplace / "translator.onnx")
    mistakes = {
        "is a 'translator' engine, expected 'inpainter'": (translator, photo, mask, "-o", out),
        "photo.png has no mask in": (engine, photo, "-o", out),
        "photo_mask.png, or give one mask file": (engine, photo, "-o", out),
        f"mask {photo} is the image itself": (engine, photo, photo, "-o", out),
        "(nor have 2 other images); expected a.png or a_mask.png there, and not the image itself": (
            *(engine, photos, photos, "-o", out),
        ),
        "mask": (engine, photo, workplace / "no.png", "-o", out),
        f"c.png has no mask in {masks}; expected c.png or c_mask.png there": (engine, photos, masks, "-o", out),
        "holds no .png": (engine, photo, workplace / "empty", "-o", out),
        "broken.png is corrupt": (engine, photo, workplace / "broken.png", "-o", out),
        "hole_mask is bool [31, 48], expected uint8 or bool [32, 48]": (
            engine,
            photo,
            workplace / "short.png",
            "-o",
            out,
        ),
        "marks every pixel of image as missing": (engine, photo, workplace / "all.png", "-o", out),
        "dilate is -1": (engine, photo, mask, "--dilate", "-1", "-o", out),
        "style is given, but this engine only completes": (engine, photo, mask, "--style", photo, "-o", out),
        "style is missing": (workplace / "style.onnx", photo, mask, "-o", out),
        "would overwrite the image": (engine, photo, mask, "-o", photo),
        f"would overwrite the mask {mask};": (engine, photo, mask, "-o", mask),
        f"would overwrite the mask {masks / 'a.png'};": (engine, photos / "a.bmp", masks, "-o", masks),
        f"would overwrite the style {style};": (workplace / "style.onnx", photo, mask, "--style", style, "-o", style),
        "one file for 3 images": (engine, photos, mask, "-o", workplace / "one.png"),
        "a.bmp: hole_mask is bool [31, 48]": (engine, photos, workplace / "short.png", "-o", out),
    }
    before = {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()}
    for message, arguments in mistakes.items():
        result = run("inpaint", *arguments)
        assert result.exit_code == 2, (message, result.output)
        assert message in result.stderr, (message, result.stderr)
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()} == before


def test_a_strategy_that_does_not_exist(workplace):
    result = run("inpaint", workplace / "e.onnx", workplace / "photo.png", "--strategy", "tile", "-o", workplace / "o")
    assert result.exit_code == 2
    assert "'--strategy'" in result.stderr
    assert all(f"'{strategy}'" in result.stderr for strategy in ("auto", "crop", "resize", "pad"))


def test_several_masks_for_one_image(workplace):
    Image.fromarray(MASK).save(workplace / "masks" / "a.bmp")
    result = run("inpaint", workplace / "e.onnx", workplace / "photos", workplace / "masks", "-o", workplace / "out")
    assert result.exit_code == 2
    assert "a.bmp has several masks: " in result.stderr


def test_info(workplace):
    result = run("info", workplace / "style.onnx", "--json")
    assert result.exit_code == 0, result.output
    spec = json.loads(result.output)
    assert [tensor["name"] for tensor in spec["inputs"]] == ["image", "hole_mask", "style_image"]
    assert "inpainter (inpainting)" in run("info", workplace / "e.onnx").output


@pytest.mark.parametrize("image", [False, True])
def test_bench(workplace, image):
    baseline = tiny_inpainters.baseline(workplace / "baseline.onnx")
    report = workplace / "report.json"
    options = ("--image", workplace / "photo.png") if image else ()
    common = ("--runs", 1, "--warmup", 1, "--json", report)
    result = run("bench", workplace / "e.onnx", "--against", baseline, *options, *common)
    assert result.exit_code == 0, result.output
    engines = json.loads(report.read_text("utf-8"))["reports"][0]["engines"]
    assert [engine["kind"] for engine in engines] == ["inpainter", "baseline"]
    assert run("bench", workplace / "style.onnx", *common).exit_code == 0
    wrong = run("bench", tiny_translators.translator(workplace / "t.onnx"), "--against", workplace / "e.onnx", *common)
    assert wrong.exit_code == 2
    assert "compare engines of one kind" in wrong.stderr
    Image.fromarray(PHOTO[:1, :1]).save(workplace / "pixel.png")
    tiny = run("bench", workplace / "e.onnx", "--image", workplace / "pixel.png", *common)
    assert tiny.exit_code == 2, tiny.output  # else nothing would be missing, and nothing measured
    assert "smaller than one patch" in tiny.stderr


def test_the_baseline_takes_and_gives_the_same(workplace):
    baseline = tiny_inpainters.baseline(workplace / "baseline.onnx")
    completed = open_runner(baseline).run(PHOTO, MASK)
    np.testing.assert_array_equal(completed, np.where(MASK[..., None] > 0, 127, PHOTO))  # 0 of [−1, 1]


def test_help_shows_examples():
    result = run("inpaint", "--help")
    assert result.exit_code == 0
    assert result.output.count("Example") == 3
