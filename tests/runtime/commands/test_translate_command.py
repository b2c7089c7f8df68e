"""`translate` on images: which files are meant, how they are read, where results go."""

import os

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from runtime import __main__
from tests.runtime import tiny_engines, tiny_translators
from tests.runtime.tiny_translators import expected

PHOTO = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def run(*arguments):
    return CliRunner().invoke(__main__.app, ["translate", *map(str, arguments)])


def read(path):
    return np.asarray(Image.open(path))


@pytest.fixture
def workplace(tmp_path):
    make = tiny_translators.translator
    make(tmp_path / "rgb.onnx")
    make(tmp_path / "grey.onnx", input_nc=1, output_nc=1)
    make(tmp_path / "five.onnx", input_nc=5, output_nc=2)
    make(tmp_path / "stochastic.onnx", seed=True)
    make(tmp_path / "static.onnx", size=tiny_translators.SIZE, batch=1)
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    (tmp_path / "photos").mkdir()
    for name in ("10.png", "9.PNG", "a.webp", "b.bmp", "c.tif", "d.tiff", "e.jpg", "f.jpeg"):
        lossless = {"lossless": True} if name.endswith("webp") else {}
        Image.fromarray(PHOTO).save(tmp_path / "photos" / name, **lossless)
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    return tmp_path


def test_one_image(workplace):
    target = workplace / "new" / "photo.png"
    result = run(workplace / "rgb.onnx", workplace / "photo.png", "-o", target)
    assert result.exit_code == 0, result.output
    assert "1 image in" in result.output
    assert result.stderr == ""
    np.testing.assert_array_equal(read(target), expected(PHOTO))
    grey = run(workplace / "grey.onnx", workplace / "photo.png", "-o", workplace / "grey.png")
    assert grey.exit_code == 0, grey.output
    assert "photo.png: it is in colour" in grey.stderr
    luma = np.asarray(Image.fromarray(PHOTO).convert("L"))[..., None]
    np.testing.assert_array_equal(read(workplace / "grey.png"), expected(luma, 1)[..., 0])


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_jpeg_by_suffix(workplace, suffix):
    flat = np.full((16, 16, 3), 90, np.uint8)
    Image.fromarray(flat).save(workplace / "flat.png")
    for engine in ("rgb", "grey"):
        target = workplace / f"{engine}{suffix}"
        assert run(workplace / f"{engine}.onnx", workplace / "flat.png", "-o", target).exit_code == 0
        assert Image.open(target).format == "JPEG"
        np.testing.assert_allclose(read(target), 180, atol=2)


def test_a_folder_of_every_format(workplace):
    out = workplace / "out"
    result = run(workplace / "rgb.onnx", workplace / "photos", workplace / "photo.png", "-o", out)
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in out.iterdir())
    assert names == ["10.png", "9.png", "a.png", "b.png", "c.png", "d.png", "e.png", "f.png", "photo.png"]
    for name in ("10", "9", "a", "b", "c", "d", "photo"):
        np.testing.assert_array_equal(read(out / f"{name}.png"), expected(PHOTO))
    assert "9 images in" in result.output


def test_notes_are_counted_not_repeated(workplace):
    result = run(workplace / "grey.onnx", workplace / "photos", "-o", workplace / "out")
    assert result.exit_code == 0
    assert result.stderr.count("9.PNG: it is in colour") == 1
    assert "7 more like the first: it is in colour" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 2


def test_the_seed(workplace):
    for seed in (3, 4):
        target = workplace / f"{seed}.png"
        result = run(workplace / "stochastic.onnx", workplace / "photo.png", "--seed", seed, "-o", target)
        assert result.exit_code == 0
        np.testing.assert_array_equal(read(target), expected(PHOTO, seed=seed))


def test_arrays_in_and_out(workplace):
    array = np.random.default_rng(1).integers(0, 256, (20, 30, 5), dtype=np.uint8)
    (workplace / "arrays").mkdir()
    for name in ("a", "b"):
        np.save(workplace / "arrays" / f"{name}.npy", array)
    result = run(workplace / "five.onnx", workplace / "arrays", "-o", workplace / "out")
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.load(workplace / "out" / "b.npy"), expected(array, 2))
    result = run(workplace / "five.onnx", workplace / "arrays" / "a.npy", "-o", workplace / "x.npy")
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.load(workplace / "x.npy"), expected(array, 2))


def test_mistakes_exit_with_2_and_one_line(workplace):
    photo, photos, out, rgb = (workplace / name for name in ("photo.png", "photos", "out", "rgb.onnx"))
    (workplace / "empty").mkdir()
    (workplace / "broken.png").write_bytes(b"no image")
    np.save(workplace / "floats.npy", np.zeros((4, 4, 5)))
    np.save(workplace / "rgb.npy", PHOTO)
    (workplace / "link.png").symlink_to(photo)
    os.link(photo, workplace / "hard.png")
    synthesizer = tiny_engines.synthesizer(workplace / "city.onnx")
    mistakes = {
        "engine": (workplace / "no.onnx", photo, "-o", out),
        "is a 'synthesizer' engine, expected 'translator'": (synthesizer, photo, "-o", out),
        "image": (rgb, workplace / "no.png", "-o", out),
        "holds no .png, .jpg": (rgb, workplace / "empty", "-o", out),
        "holds no .npy": (workplace / "five.onnx", photos, "-o", out),
        "broken.png is corrupt": (rgb, workplace / "broken.png", "-o", out),
        "would both be written as photo.png": (rgb, photo, photo, "-o", out),
        "one file for 8 images": (rgb, photos, "-o", workplace / "one.png"),
        f"would overwrite the image {photo};": (rgb, photo, "-o", photo),
        f"would overwrite the image {photo}; choose": (rgb, photo, "-o", workplace),
        f"would overwrite the image {workplace / 'link.png'}": (rgb, workplace / "link.png", "-o", photo),
        f"would overwrite the image {photo}": (rgb, photo, "-o", workplace / "hard.png"),
        ".bmp is not written here; give .png, .jpg, .jpeg or a folder": (rgb, photo, "-o", workplace / "x.bmp"),
        ".mp4 is not written here": (rgb, photo, "-o", workplace / "x.mp4"),
        ".png is not written here; give .npy": (workplace / "five.onnx", workplace / "floats.npy", "-o", "x.png"),
        "takes 5 channels": (workplace / "five.onnx", photo, "-o", out),
        "float64": (workplace / "five.onnx", workplace / "floats.npy", "-o", out),
        "shape [20, 30, 3]": (workplace / "five.onnx", workplace / "rgb.npy", "-o", out),
        "draws nothing": (rgb, photo, "--seed", 1, "-o", out),
        "from 0 to 2147483647": (workplace / "stochastic.onnx", photo, "--seed", 2**31, "-o", out),
        "larger than this engine's 16×32": (workplace / "static.onnx", photo, "-o", out),
        "10.png: image is H×W = 20×30": (workplace / "static.onnx", photos / "10.png", photo, "-o", out),
        "cannot write": (rgb, photo, "-o", photo / "below" / "a_file.png"),
        "auto, cpu, cuda": (rgb, photo, "--device", "tpu", "-o", out),
        "--codec is for a video": (rgb, photo, "--codec", "FFV1", "-o", out),
    }
    before = {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()}
    for message, arguments in mistakes.items():
        result = run(*arguments)
        assert result.exit_code == 2, (message, result.output)
        assert message in result.stderr, (message, result.stderr)
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert "Traceback" not in result.stderr
    assert {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()} == before


def test_a_broken_file_does_not_end_the_folder(workplace):
    (workplace / "photos" / "aa.png").write_bytes(b"no image")
    (workplace / "photos" / "cc.png").write_bytes(b"")
    out = workplace / "out"
    result = run(workplace / "rgb.onnx", workplace / "photos", "-o", out)
    assert result.exit_code == 2
    lines = result.stderr.strip().splitlines()
    assert lines[0] == "2 of 10 images failed:"
    assert "aa.png is corrupt" in lines[1]
    assert "cc.png is corrupt" in lines[2]
    assert "8 images in" in result.stdout
    assert {path.stem for path in out.iterdir()} == {"10", "9", "a", "b", "c", "d", "e", "f"}
    for stem in ("10", "a", "b", "c", "d"):
        np.testing.assert_array_equal(read(out / f"{stem}.png"), expected(PHOTO))


def test_stop_at_first(workplace):
    (workplace / "photos" / "aa.png").write_bytes(b"no image")
    out = workplace / "out"
    result = run(workplace / "rgb.onnx", workplace / "photos", "-o", out, "--stop-at-first")
    assert result.exit_code == 2
    assert "aa.png is corrupt" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert sorted(path.name for path in out.iterdir()) == ["10.png", "9.png", "a.png"]
    for path in out.iterdir():
        np.testing.assert_array_equal(read(path), expected(PHOTO))
