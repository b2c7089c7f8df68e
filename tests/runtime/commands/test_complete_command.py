"""`complete`: files, notes, trace, interruption, bad input."""

import json
import signal

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from runtime import SketchCompleter, __main__
from tests.runtime import tiny_translators
from tests.runtime.tiny_completers import SIDE, completer

LINES = np.full((SIDE, SIDE, 3), 255, np.uint8)
LINES[4:6, 2:12] = 0


def run(*arguments):
    return CliRunner().invoke(__main__.app, ["complete", *map(str, arguments)])


def read(path):
    return np.asarray(Image.open(path))


@pytest.fixture
def workplace(tmp_path):
    completer(tmp_path / "e.onnx")
    Image.fromarray(LINES).save(tmp_path / "sketch.png")
    return tmp_path


def test_the_file_is_what_the_library_makes(workplace):
    result = run(workplace / "e.onnx", workplace / "sketch.png", "-o", workplace / "new" / "photo.png", "--seed", 4)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert "contextual loss" in result.output
    library = SketchCompleter(workplace / "e.onnx").run(LINES, seed=4)
    np.testing.assert_array_equal(read(workplace / "new" / "photo.png"), library)


def test_the_other_direction_and_the_joint_image(workplace):
    common = (workplace / "e.onnx", workplace / "sketch.png", "--given", "photo", "--iterations", 5)
    assert run(*common, "-o", workplace / "out").exit_code == 0
    made = SketchCompleter(workplace / "e.onnx").run(LINES, given="photo", iterations=5)
    np.testing.assert_array_equal(read(workplace / "out" / "sketch.png"), made)
    assert run(*common, "-o", workplace / "joint.png", "--joint").exit_code == 0
    np.testing.assert_array_equal(read(workplace / "joint.png"), np.concatenate([made, LINES], 1))


def test_a_mask_says_what_counts(workplace):
    Image.fromarray(np.where(LINES[..., 0] == 0, 0, 255).astype(np.uint8)).save(workplace / "known.png")
    common = (workplace / "e.onnx", workplace / "sketch.png", "--perceptual-weight", 0, "--learning-rate", 0.05)
    assert run(*common, "-o", workplace / "all.png").exit_code == 0
    assert run(*common, "-o", workplace / "some.png", "--known", workplace / "known.png").exit_code == 0
    assert read(workplace / "some.png").min() > read(workplace / "all.png").max()


def test_a_masks_opaque_alpha_is_no_light(workplace):
    """Paint programs save an alpha channel with everything."""
    grey = np.where(LINES[..., 0] == 0, 0, 255).astype(np.uint8)
    pictures = {"grey": grey, "rgba": np.dstack([grey] * 3 + [np.full_like(grey, 255)])}
    made = []
    for name, picture in pictures.items():
        Image.fromarray(picture).save(workplace / f"{name}.png")
        common = (workplace / "e.onnx", workplace / "sketch.png", "--known", workplace / f"{name}.png")
        assert run(*common, "-o", workplace / f"{name}_out.png", "--learning-rate", 0.05).exit_code == 0
        made.append(read(workplace / f"{name}_out.png"))
    np.testing.assert_array_equal(*made)
    pictures["rgba"][0, 0, 3] = 0
    Image.fromarray(pictures["rgba"]).save(workplace / "open.png")
    result = run(*common[:3], workplace / "open.png", "-o", workplace / "p.png")
    assert result.exit_code == 2
    assert "open.png is transparent in places" in result.stderr


def test_a_hint_is_what_the_library_takes(workplace):
    hint = np.zeros((SIDE, SIDE, 4), np.uint8)
    hint[2:6, 2:6] = (200, 30, 30, 128)
    Image.fromarray(hint).save(workplace / "hint.png")
    common = (workplace / "e.onnx", workplace / "sketch.png", "--hint")
    result = run(*common, workplace / "hint.png", "-o", workplace / "photo.png")
    assert result.exit_code == 0, result.output
    made = SketchCompleter(workplace / "e.onnx").run(LINES, hint=hint)
    np.testing.assert_array_equal(read(workplace / "photo.png"), made)
    assert not np.array_equal(made, SketchCompleter(workplace / "e.onnx").run(LINES))
    trace = ("--trace", workplace / "trace.png")
    assert run(*common, workplace / "hint.png", "-o", workplace / "joint.png", "--joint", *trace).exit_code == 0
    np.testing.assert_array_equal(read(workplace / "joint.png"), np.concatenate([LINES, made], 1))
    Image.fromarray(LINES).save(workplace / "opaque.png")
    for given, message in (("opaque.png", "opaque.png has no transparency"), ("sketch.png", "is the image itself")):
        result = run(*common, workplace / given, "-o", workplace / "p.png")
        assert result.exit_code == 2
        assert message in result.stderr


def test_a_folder_of_sketches_with_a_hint_for_each(workplace):
    pictures = {"a": LINES, "b": np.rot90(LINES), "c": LINES[::-1]}
    hint = np.zeros((SIDE, SIDE, 4), np.uint8)
    hint[2:6, 2:6] = (200, 30, 30, 255)
    for folder in ("sketches", "hints"):
        (workplace / folder).mkdir()
    for index, (stem, picture) in enumerate(pictures.items()):
        Image.fromarray(picture).save(workplace / "sketches" / f"{stem}.png")
        Image.fromarray(np.roll(hint, index, 0)).save(workplace / "hints" / f"{stem}.png")
    line = (workplace / "e.onnx", workplace / "sketches", workplace / "sketch.png", "-o", workplace / "out")
    Image.fromarray(hint).save(workplace / "hints" / "sketch.png")
    result = run(*line, "--hint", workplace / "hints", "--trace", workplace / "traces", "--iterations", 30)
    assert result.exit_code == 0, result.output
    stems = [*pictures, "sketch"]
    assert sorted(path.name for path in (workplace / "out").iterdir()) == [f"{stem}.png" for stem in stems]
    assert sorted(path.name for path in (workplace / "traces").iterdir()) == [f"{stem}.png" for stem in stems]
    library = SketchCompleter(workplace / "e.onnx")
    for index, (stem, picture) in enumerate(pictures.items()):
        made = library.run(picture, hint=np.roll(hint, index, 0), iterations=30)
        np.testing.assert_array_equal(read(workplace / "out" / f"{stem}.png"), made)
    (workplace / "hints" / "b.png").unlink()
    result = run(*line, "--hint", workplace / "hints")
    assert result.exit_code == 2
    assert "b.png has no hint in" in result.stderr


def test_one_bad_sketch_of_many_is_named_and_the_others_stay(workplace):
    (workplace / "sketches").mkdir()
    Image.fromarray(LINES).save(workplace / "sketches" / "a.png")
    Image.new("L", (20, 20), 255).save(workplace / "sketches" / "b.png")
    result = run(workplace / "e.onnx", workplace / "sketches", "-o", workplace / "out", "--iterations", 2)
    assert result.exit_code == 2
    assert "b.png: sketch is blank" in result.stderr
    assert [path.name for path in (workplace / "out").iterdir()] == ["a.png"]


@pytest.mark.parametrize("names", [("x.png", "x.png"), ("out", "out")])
def test_a_trace_does_not_replace_the_result(workplace, names):
    output, trace = (workplace / name for name in names)
    result = run(workplace / "e.onnx", workplace / "sketch.png", "-o", output, "--trace", trace)
    assert result.exit_code == 2
    assert "--trace would overwrite the result" in result.stderr


def test_trace_shows_images_and_curves(workplace):
    trace = workplace / "trace.png"
    result = run(
        *(workplace / "e.onnx", workplace / "sketch.png", "-o", workplace / "p.png", "--trace", trace),
        *("--restarts", 2, "--iterations", 60, "--all-iterations", "--learning-rate", 0.01),
    )
    assert result.exit_code == 0, result.output
    picture = read(trace)
    assert picture.shape == (2 * 138 + 300, 960, 3)
    tiles = [picture[top + 20 : top + 130, left + 130 : left + 230] for top in (0, 138) for left in range(0, 960, 240)]
    assert len({tile.tobytes() for tile in tiles}) == 8  # the image changed between all of them
    plot = picture[2 * 138 :].reshape(-1, 3)
    assert (plot == (31, 119, 180)).all(1).sum() > 100
    assert (plot == (214, 90, 40)).all(1).sum() > 100


@pytest.mark.parametrize(
    ("mode", "picture", "said"),
    [
        ("L", LINES[..., 0], ""),
        ("RGBA", np.dstack([LINES, np.full((SIDE, SIDE), 200, np.uint8)]), "laid on white"),
        ("L", 255 - LINES[..., 0], "inverted"),
        ("RGB", np.kron(LINES, np.ones((2, 2, 1), np.uint8)), "scaled from 32×32"),
    ],
)
def test_conversions_are_said(workplace, mode, picture, said):
    Image.fromarray(picture).save(workplace / "other.png")
    assert Image.open(workplace / "other.png").mode == mode
    result = run(workplace / "e.onnx", workplace / "other.png", "-o", workplace / "p.png", "--iterations", 2)
    assert result.exit_code == 0, result.output
    assert said in result.stderr
    assert bool(said) == ("note:" in result.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--given", "drawing"), "Invalid value for '--given'"),
        (("--iterations", 0), "iterations is 0"),
        (("--iterations", -3), "iterations is -3"),
        (("--learning-rate", "nan"), "learning_rate is nan"),
        (("--known", "none.png"), "none.png does not exist"),
    ],
)
def test_bad_options_exit_with_2(workplace, arguments, message):
    result = run(workplace / "e.onnx", workplace / "sketch.png", "-o", workplace / "p.png", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not (workplace / "p.png").exists()


def test_bad_files_exit_with_2(workplace):
    Image.new("L", (20, 20), 255).save(workplace / "blank.png")
    (workplace / "text.png").write_text("no image")
    tiny_translators.translator(workplace / "translator.onnx")
    for engine, image, message in (
        ("e.onnx", "blank.png", "sketch is blank"),
        ("e.onnx", "text.png", "no image"),
        ("e.onnx", "none.png", "does not exist"),
        ("translator.onnx", "sketch.png", "is a 'translator' engine, expected 'sketch'"),
    ):
        result = run(workplace / engine, workplace / image, "-o", workplace / "p.png")
        assert result.exit_code == 2, result.output
        assert message in result.stderr
    over = run(workplace / "e.onnx", workplace / "sketch.png", "-o", workplace / "sketch.png")
    assert over.exit_code == 2
    assert "overwrite" in over.stderr


def test_ctrl_c_keeps_the_best_so_far(workplace, monkeypatch):
    seen = []

    def press(trace, step):
        seen.append(step.iteration)
        if step.iteration == 5:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("runtime.commands.trace.Trace.add", press)
    common = (workplace / "e.onnx", workplace / "sketch.png", "--learning-rate", 0.001)
    result = run(*common, "-o", workplace / "p.png", "--trace", workplace / "trace.png")
    assert result.exit_code == 130, result.output
    assert seen[-1] == 5
    assert "the best result so far was kept" in result.stderr
    library = SketchCompleter(workplace / "e.onnx").run(LINES, iterations=5, learning_rate=0.001)
    np.testing.assert_array_equal(read(workplace / "p.png"), library)
    assert read(workplace / "trace.png").shape[1] == 960


def test_ctrl_c_ends_a_folder_with_the_sketch_at_hand(workplace, monkeypatch):
    (workplace / "sketches").mkdir()
    for stem in "abc":
        Image.fromarray(LINES).save(workplace / "sketches" / f"{stem}.png")
    seen = []

    def press(trace, step):
        seen.append(step.iteration)
        if len(seen) == 15:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("runtime.commands.trace.Trace.add", press)
    common = (workplace / "e.onnx", workplace / "sketches", "--iterations", 10)
    result = run(*common, "-o", workplace / "out", "--trace", workplace / "traces")
    assert result.exit_code == 130, result.output
    assert seen == [*range(11), *range(4)]
    assert sorted(path.name for path in (workplace / "out").iterdir()) == ["a.png", "b.png"]
    assert "1 of 3 images was not begun" in result.stderr


def test_ctrl_c_twice_ends_at_once(workplace, monkeypatch):
    def press(trace, step):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("runtime.commands.trace.Trace.add", press)
    common = (workplace / "e.onnx", workplace / "sketch.png", "--trace", workplace / "trace.png")
    assert run(*common, "-o", workplace / "p.png").exit_code == 130
    assert not (workplace / "p.png").exists()


def test_info_and_bench_know_the_engine(workplace):
    info = CliRunner().invoke(__main__.app, ["info", str(workplace / "e.onnx")])
    assert info.exit_code == 0, info.output
    assert "joint images" in info.output
    report = workplace / "report.json"
    line = ["bench", str(workplace / "e.onnx"), "--runs", "2", "--warmup", "1", "--json", str(report)]
    bench = CliRunner().invoke(__main__.app, line)
    assert bench.exit_code == 0, bench.output
    (measured,) = json.loads(report.read_text())["reports"][0]["engines"]
    assert measured["kind"] == "sketch"
    assert len(measured["times_ms"]) == 2
