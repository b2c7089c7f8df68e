"""What commands do with folders that are large, damaged, half done or taken away, and with streams instead of files."""

import io
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms
from typer.testing import CliRunner

from runtime import Inpainter, Translator, __main__
from runtime.commands import results
from runtime.media.images import read_photo
from tests.paths import CASES, ROOT, needs_cases
from tests.runtime import tiny_completers, tiny_engines, tiny_inpainters, tiny_translators

SIZE = tiny_engines.SIZE
PHOTO = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
LINES = np.full((tiny_completers.SIDE, tiny_completers.SIDE, 3), 255, np.uint8)
LINES[4:6, 2:12] = 0
MASK = np.zeros(SIZE, np.uint8)
MASK[4:8, 6:12] = 255
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FOLDER_COMMANDS = ["synthesize", "translate", "inpaint", "complete"]


def run(*arguments, **options):
    return CliRunner().invoke(__main__.app, list(map(str, arguments)), **options)


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def workplace(tmp_path):
    tiny_engines.synthesizer(tmp_path / "synthesize.onnx")
    tiny_translators.translator(tmp_path / "translate.onnx")
    tiny_inpainters.inpainter(tmp_path / "inpaint.onnx")
    tiny_completers.completer(tmp_path / "complete.onnx")
    (tmp_path / "mask.png").write_bytes(png(MASK))
    (tmp_path / "in").mkdir()
    return tmp_path


def content_of(command):
    """A picture that `command` takes."""
    return png(np.zeros(SIZE, np.uint8) if command == "synthesize" else LINES if command == "complete" else PHOTO)


def line(command, workplace, source, *options):
    masks = [workplace / "mask.png"] if command == "inpaint" else []
    few = ["--iterations", "2"] if command == "complete" else []
    return (command, workplace / f"{command}.onnx", source, *masks, *few, *options)


@pytest.fixture(params=FOLDER_COMMANDS)
def command(request):
    return request.param


def fill(workplace, command, stems):
    for stem in stems:
        (workplace / "in" / f"{stem}.png").write_bytes(content_of(command))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_others_are_finished_and_failures_listed(workplace, command):
    fill(workplace, command, "abcd")
    for stem, content in (("b", b"no image"), ("d", b"")):
        (workplace / "in" / f"{stem}.png").write_bytes(content)
    result = run(*line(command, workplace, workplace / "in", "-o", workplace / "out"))
    assert result.exit_code == 2
    lines = result.stderr.strip().splitlines()
    assert lines[-3] == "2 of 4 images failed:"
    assert "b.png is corrupt" in lines[-2]
    assert "d.png is corrupt" in lines[-1]
    assert "2 images in" in result.stdout
    assert names(workplace / "out") == ["a.png", "c.png"]
    result = run(*line(command, workplace, workplace / "in", "-o", workplace / "first", "--stop-at-first"))
    assert result.exit_code == 2
    assert "b.png is corrupt" in result.stderr
    assert names(workplace / "first") == ["a.png"]


def test_what_is_there_is_not_made_again(workplace, command):
    fill(workplace, command, "abc")
    (workplace / "out").mkdir()
    (workplace / "out" / "b.png").write_bytes(b"made before")
    common = line(command, workplace, workplace / "in", "-o", workplace / "out", "--skip-existing")
    result = run(*common)
    assert result.exit_code == 0, result.output
    assert "1 of 3 results were there already" in result.stderr
    assert "2 images in" in result.stdout
    assert (workplace / "out" / "b.png").read_bytes() == b"made before"
    assert names(workplace / "out") == ["a.png", "b.png", "c.png"]
    result = run(*common)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "3 of 3 results were there already" in result.stderr


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("is_made_again", [False, True])
def test_a_folder_that_is_deleted_meanwhile(workplace, monkeypatch, last, is_made_again):
    fill(workplace, "translate", "abcdef")
    out = workplace / "out"
    original, count = results.write_image, []

    def written(path, image, profile=None):
        original(path, image, profile)
        count.append(path)
        if len(count) == (6 if last else 3):
            shutil.rmtree(out)
            if is_made_again:
                out.mkdir()

    monkeypatch.setattr(results, "write_image", written)
    result = run(*line("translate", workplace, workplace / "in", "-o", out))
    assert result.exit_code == 2, result.output
    assert ".png is gone since it was written" in result.stderr
    assert "images in" not in result.stdout
    assert len(count) <= (6 if last else 5), "it does not go on for hours"


def test_one_reason_for_all_is_said_once(workplace):
    fill(workplace, "translate", "abc")
    result = run(*line("translate", workplace, workplace / "in", "-o", workplace / "out", "--seed", 1))
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "likewise all 2 others" in result.stderr


def test_from_stdin_to_stdout(workplace, command):
    content = content_of(command)
    (workplace / "in" / "a.png").write_bytes(content)
    assert run(*line(command, workplace, workplace / "in" / "a.png", "-o", workplace / "a.png")).exit_code == 0
    result = run(*line(command, workplace, "-", "-o", "-"), input=content)
    assert result.exit_code == 0, result.output
    assert result.stdout_bytes == (workplace / "a.png").read_bytes()
    assert "→ -" in result.stderr
    result = run(*line(command, workplace, "-", "-o", workplace / "folder"), input=content)
    assert result.exit_code == 0, result.output
    assert names(workplace / "folder") == ["stdin.png"]
    for wrong in (b"", b"no image"):
        result = run(*line(command, workplace, "-", "-o", "-"), input=wrong)
        assert result.exit_code == 2
        assert "- is corrupt, empty or no image" in result.stderr
        assert result.stdout_bytes == b""


def test_a_mask_and_an_array_from_stdin(workplace):
    (workplace / "in" / "a.png").write_bytes(png(PHOTO))
    (workplace / "in" / "b.png").write_bytes(png(PHOTO[::-1]))
    result = run("inpaint", workplace / "inpaint.onnx", workplace / "in", "-", "-o", workplace / "out", input=png(MASK))
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(
        read_photo(workplace / "out" / "b.png"), Inpainter(workplace / "inpaint.onnx").run(PHOTO[::-1], MASK)
    )
    result = run("inpaint", workplace / "inpaint.onnx", "-", "-", "-o", "-", input=png(MASK))
    assert result.exit_code == 2
    assert "mask - is the image itself" in result.stderr
    array = np.random.default_rng(1).integers(0, 256, (20, 30, 5), dtype=np.uint8)
    tiny_translators.translator(workplace / "five.onnx", input_nc=5, output_nc=2)
    buffer = io.BytesIO()
    np.save(buffer, array)
    result = run("translate", workplace / "five.onnx", "-", "-o", "-", input=buffer.getvalue())
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.load(io.BytesIO(result.stdout_bytes)), tiny_translators.expected(array, 2))


def test_styles_from_stdin(workplace):
    """Whatever a file may be given for: a style that the engine does not have is refused, so it was read."""
    (workplace / "in" / "a.png").write_bytes(content_of("synthesize"))
    common = line("synthesize", workplace, workplace / "in" / "a.png", "-o", workplace / "o.png", "--styles", "-")
    result = run(*common, input=b'{"nothing": 1}')
    assert result.exit_code == 2
    assert "style" in result.stderr
    assert "--styles - is not JSON" in run(*common, input=b"{").stderr


def test_several_do_not_fit_into_one_stream(workplace):
    fill(workplace, "translate", "ab")
    for target in ("-", "/dev/stdout"):
        result = run(*line("translate", workplace, workplace / "in", "-o", target))
        assert result.exit_code == 2
        assert f"--output {target} is one file for 2 images" in result.stderr


def test_a_shell_pipe(workplace):
    """Process substitution, /dev/stdin and /dev/stdout: what shells make of `<(…)` and of redirections."""
    (workplace / "photo.png").write_bytes(png(PHOTO))
    script = '"$0" -m runtime translate "$1"/translate.onnx <(cat "$1"/photo.png) -o /dev/stdout >"$1"/out.png'
    subprocess.run(["bash", "-c", script, sys.executable, workplace], cwd=ROOT, check=True, timeout=60)
    np.testing.assert_array_equal(read_photo(workplace / "out.png"), tiny_translators.expected(PHOTO))
    script = 'cat "$1"/photo.png | "$0" -m runtime translate "$1"/translate.onnx /dev/stdin -o - | cat >"$1"/b.png'
    subprocess.run(["bash", "-c", script, sys.executable, workplace], cwd=ROOT, check=True, timeout=60)
    assert (workplace / "b.png").read_bytes() == (workplace / "out.png").read_bytes()


def test_the_report_of_a_benchmark_on_stdout(workplace):
    result = run("bench", workplace / "translate.onnx", "--runs", 1, "--warmup", 1, "--json", "-")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("{")
    assert result.stdout.rstrip().endswith("}")
    assert "latency p50" in result.stderr


@pytest.mark.parametrize("name", ["n" * 300, "ü" * 200, "n" * 300 + ".png", "deep/" * 1000 + "x.png"])
def test_names_too_long(workplace, command, name):
    content = content_of(command)
    (workplace / "in" / "a.png").write_bytes(content)
    photo = workplace / "in" / "a.png"
    options = {"synthesize": "--instances", "complete": "--known", "inpaint": "--style", "translate": None}[command]
    extra = [line(command, workplace, photo, "-o", workplace / "o.png", options, name)] if options else []
    for arguments in (
        line(command, workplace, workplace / name, "-o", workplace / "o.png"),
        line(command, workplace, photo, "-o", workplace / name),
        *extra,
    ):
        result = run(*arguments)
        assert result.exit_code == 2, (result.output, result.exception)
        assert len(result.stderr.strip().splitlines()) == 1


def test_a_huge_picture_is_refused_for_what_it_is_and_can_be_let_in(workplace):
    (workplace / "in" / "a.png").write_bytes(png(PHOTO))
    common = line("translate", workplace, workplace / "in" / "a.png", "-o", workplace / "out.png")
    result = run("--max-megapixels", "0.001", *common)
    assert result.exit_code == 0, result.output
    (workplace / "in" / "a.png").write_bytes(png(np.zeros((40, 40, 3), np.uint8)))
    result = run("--max-megapixels", "0.001", *common)
    assert result.exit_code == 2
    assert "a.png has 0.0016 megapixels, more than the 0.001 that are read" in result.stderr
    assert run(*common, env={"PIX2RT_MAX_MEGAPIXELS": "0.001"}).exit_code == 2
    assert run(*common).exit_code == 0


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_colour_profiles_go_with_the_result(workplace, suffix):
    Image.fromarray(PHOTO).save(workplace / "in" / "a.png", icc_profile=SRGB)
    for command in ("translate", "inpaint"):
        target = workplace / f"{command}{suffix}"
        result = run(*line(command, workplace, workplace / "in" / "a.png", "-o", target))
        assert result.exit_code == 0, result.output
        assert Image.open(target).info["icc_profile"] == SRGB
    tiny_translators.translator(workplace / "grey.onnx", input_nc=3, output_nc=1)
    result = run("translate", workplace / "grey.onnx", workplace / "in" / "a.png", "-o", workplace / "grey.png")
    assert "its colour profile does not fit the result's channels" in result.stderr
    assert "icc_profile" not in Image.open(workplace / "grey.png").info


@pytest.mark.parametrize("with_folder", [True, False])
def test_masks_among_the_images(workplace, with_folder):
    """`NAME_mask*.png` beside NAME, as other inpainters want it: masks are no images, and no image is its own mask."""
    for stem, suffix, mark in (("a", ".png", "_mask"), ("b", ".jpg", "_mask001"), ("c_d", ".bmp", "_mask_x")):
        Image.fromarray(PHOTO).save(workplace / "in" / f"{stem}{suffix}")
        (workplace / "in" / f"{stem}{mark}.png").write_bytes(png(MASK))
    masks = [workplace / "in"] if with_folder else []
    common = ("inpaint", workplace / "inpaint.onnx", workplace / "in", *masks)
    result = run(*common, "-o", workplace / "out")
    assert result.exit_code == 0, result.output
    assert names(workplace / "out") == ["a.png", "b.png", "c_d.png"]
    np.testing.assert_array_equal(
        read_photo(workplace / "out" / "a.png"), Inpainter(workplace / "inpaint.onnx").run(PHOTO, MASK)
    )
    (workplace / "in" / "a_mask2.png").write_bytes(png(MASK))
    result = run(*common, "-o", workplace / "out")
    assert result.exit_code == 2
    assert "a.png has several masks" in result.stderr


def test_the_one_mask_of_a_folder_may_lie_in_it(workplace):
    fill(workplace, "inpaint", "ab")
    mask = workplace / "in" / "mask.png"
    mask.write_bytes(png(MASK))
    result = run("inpaint", workplace / "inpaint.onnx", workplace / "in", mask, "-o", workplace / "out")
    assert result.exit_code == 0, result.output
    assert names(workplace / "out") == ["a.png", "b.png"]


@pytest.mark.parametrize("name", ["link.png", "hard.png", "a.png"])
def test_an_image_is_not_its_own_mask_by_any_name(workplace, name):
    photo = workplace / "in" / "a.png"
    photo.write_bytes(png(PHOTO))
    (workplace / "link.png").symlink_to(photo)
    os.link(photo, workplace / "hard.png")
    mask = photo if name == "a.png" else workplace / name
    result = run("inpaint", workplace / "inpaint.onnx", photo, mask, "-o", workplace / "out.png")
    assert result.exit_code == 2
    assert "is the image itself" in result.stderr


@needs_cases
def test_the_masks_that_users_sent(workplace):
    for stem in ("image1", "image1_mask001"):
        shutil.copy(CASES / "masks" / f"{stem}.png", workplace / "in")
    tiny_inpainters.inpainter(workplace / "any.onnx", size=None)
    folder = workplace / "in"
    result = run("inpaint", workplace / "any.onnx", folder, folder, "-o", workplace / "out")
    assert result.exit_code == 0, result.output
    assert names(workplace / "out") == ["image1.png"]
    photo, mask = CASES / "masks" / "photo.png", CASES / "masks" / "mask_inverted.png"
    result = run("inpaint", workplace / "any.onnx", photo, mask, "-o", workplace / "o.png")
    assert result.exit_code == 0, result.output
    assert "pass --invert-mask" in result.stderr
    result = run("inpaint", workplace / "any.onnx", photo, mask, "--invert-mask", "-o", workplace / "o.png")
    assert "--invert-mask" not in result.stderr


def test_the_previous_result_survives_a_failing_run(workplace, monkeypatch):
    fill(workplace, "translate", "a")
    target = workplace / "out.png"
    target.write_bytes(b"previous")
    target.chmod(0o600)
    monkeypatch.setattr(Translator, "run", lambda *a, **k: (_ for _ in ()).throw(MemoryError))
    assert run(*line("translate", workplace, workplace / "in" / "a.png", "-o", target)).exit_code == 1
    assert target.read_bytes() == b"previous"
    monkeypatch.undo()
    assert run(*line("translate", workplace, workplace / "in" / "a.png", "-o", target)).exit_code == 0
    assert target.stat().st_mode & 0o777 == 0o600
