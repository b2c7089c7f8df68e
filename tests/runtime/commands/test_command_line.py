"""The commands, through Typer's runner and, where the process matters, through a real one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from runtime import Synthesizer, __main__
from runtime.commands import ASSETS
from runtime.commands import demo as demo_command
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.spec import StyleBank
from runtime.media.images import read_photo, write_image
from runtime.media.input_files import find_label_maps, output_paths
from runtime.media.mates import match_instances
from tests.paths import DATA, ROOT, needs_data
from tests.runtime import tiny_engines, tiny_translators

SIZE = tiny_engines.SIZE
LABELS = np.random.default_rng(0).integers(0, 4, SIZE, dtype=np.uint8)
IDS = LABELS.astype(np.uint16) * 1000 + 1


def run(*arguments):
    return CliRunner().invoke(__main__.app, [str(argument) for argument in arguments])


def save(path, ids):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(ids).save(path)
    return path


@pytest.fixture
def workplace(tmp_path):
    """An engine with features, its encoder, and a folder with the three images of a Cityscapes scene, twice."""
    tiny_engines.synthesizer(tmp_path / "city.onnx", styles=True)
    tiny_engines.style_encoder(tmp_path / "city.encoder.onnx")
    tiny_engines.synthesizer(tmp_path / "plain.onnx")
    for scene in ("aachen_000010_gtFine", "aachen_000009_gtFine"):
        save(tmp_path / "maps" / f"{scene}_labelIds.png", LABELS)
        save(tmp_path / "maps" / f"{scene}_instanceIds.png", IDS)
        save(tmp_path / "maps" / f"{scene}_color.png", tiny_engines.LABELS.colourise(LABELS))
    return tmp_path


def test_one_map_to_one_png(workplace):
    source = workplace / "maps" / "aachen_000009_gtFine_labelIds.png"
    partner = workplace / "maps" / "aachen_000009_gtFine_instanceIds.png"
    target = workplace / "new" / "photo.png"
    result = run(
        "synthesize", workplace / "city.onnx", source, "--instances", partner, "--seed", 3,
        "--styles", '{"car": 2, "1001": [1, 2]}', "-o", target,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "1 image in" in result.output
    expected = Synthesizer(workplace / "city.onnx").run(LABELS, IDS, styles={"car": 2, 1001: [1, 2]}, seed=3)
    np.testing.assert_array_equal(read_photo(target), expected)


def test_folders(workplace):
    maps, out = workplace / "maps", workplace / "photos"
    result = run("synthesize", workplace / "city.onnx", maps, "--instances", maps, "-o", out)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == [
        "aachen_000009_gtFine_labelIds.png",
        "aachen_000010_gtFine_labelIds.png",
    ]
    for path in out.iterdir():
        np.testing.assert_array_equal(read_photo(path), Synthesizer(workplace / "city.onnx").run(LABELS, IDS))


def test_styles_from_a_file_and_from_a_photo(workplace):
    source = workplace / "maps" / "aachen_000009_gtFine_labelIds.png"
    partner = workplace / "maps" / "aachen_000009_gtFine_instanceIds.png"
    common = ("synthesize", workplace / "city.onnx", source, "--instances", partner, "-o", workplace / "photo.png")
    (workplace / "styles.json").write_text('{"person": 1}')
    assert run(*common, "--styles", workplace / "styles.json").exit_code == 0
    assert set(read_photo(workplace / "photo.png")[LABELS == 3][:, 2].tolist()) == {91}
    write_image(workplace / "scene.png", np.full((*SIZE, 3), 7, np.uint8))
    result = run(*common, "--styles-from", workplace / "scene.png")
    # The tiny encoder gives three values, the tiny generator takes two: the message must say so, not crash.
    assert result.exit_code == 2
    assert "expected an index of a style or 2 finite numbers" in result.stderr


def test_ids_that_the_engine_does_not_know(workplace):
    source = save(workplace / "ids.png", np.where(LABELS == 3, 255, LABELS).astype(np.uint8))
    common = ("synthesize", workplace / "plain.onnx", source, "-o", workplace / "photo.png")
    result = run(*common)
    assert result.exit_code == 2
    assert "ids.png" in result.stderr
    assert "255" in result.stderr
    assert "--unknown" in result.stderr
    assert not (workplace / "photo.png").exists()
    assert run(*common, "--unknown", 3).exit_code == 0
    np.testing.assert_array_equal(read_photo(workplace / "photo.png")[..., 0], LABELS)


def test_padding_and_edges_from_labels(workplace):
    source = save(workplace / "small.png", LABELS[:10, :20])
    out = workplace / "photo.png"
    common = ("synthesize", workplace / "city.onnx", source, "-o", out)
    assert "--edges-from-labels" in run(*common, "--pad").stderr
    assert "--pad" in run(*common, "--edges-from-labels").stderr
    assert run(*common, "--pad", "--edges-from-labels").exit_code == 0
    np.testing.assert_array_equal(read_photo(out)[..., 0], LABELS[:10, :20])


def test_colour_pictures_are_noted(workplace):
    source = workplace / "maps" / "aachen_000009_gtFine_color.png"
    result = run("synthesize", workplace / "plain.onnx", source, "-o", workplace / "photo.png")
    assert result.exit_code == 0
    assert "translated to class ids" in result.stderr
    np.testing.assert_array_equal(read_photo(workplace / "photo.png")[..., 0], LABELS)


def test_mistakes_exit_with_2_and_one_line(workplace):
    maps, plain = workplace / "maps", workplace / "plain.onnx"
    jpeg = workplace / "labels.jpg"
    Image.fromarray(LABELS).save(jpeg)
    map_file, inst_map = (maps / f"aachen_000009_gtFine_{name}.png" for name in ("labelIds", "instanceIds"))
    out = workplace / "out"
    mistakes = {
        "does not exist": ("synthesize", workplace / "no.onnx", map_file, "-o", out),
        "label map": ("synthesize", plain, workplace / "no.png", "-o", out),
        "is a JPEG": ("synthesize", plain, jpeg, "-o", out),
        "one file for 2 label maps": ("synthesize", plain, maps, "-o", workplace / "one.png"),
        "would overwrite the label map": ("synthesize", plain, map_file, "-o", maps),
        f"would overwrite the instance map {inst_map};": (
            *("synthesize", workplace / "city.onnx", map_file, "--instances", inst_map, "-o", inst_map),
        ),
        "does not use instances": ("synthesize", plain, maps, "--instances", maps, "-o", out),
        "has no instance map": ("synthesize", plain, save(workplace / "x.png", LABELS), "--instances", maps, "-o", out),
        "is not JSON": ("synthesize", plain, map_file, "--styles", "{car}", "-o", out),
        "styles file nothing.json": ("synthesize", plain, map_file, "--styles", "nothing.json", "-o", out),
        "unknown class '99999": (
            *("synthesize", workplace / "city.onnx", map_file, "--edges-from-labels", "-o", out),
            *("--styles", f'{{"{"9" * 5000}": 0}}'),
        ),
        "no JSON object": (
            "synthesize",
            plain,
            map_file,
            "--styles",
            save_text(workplace / "s.json", "[1]"),
            "-o",
            out,
        ),
        "one label map, and no --styles": ("synthesize", plain, maps, "--styles-from", jpeg, "-o", out),
        "cannot write": ("synthesize", plain, map_file, "-o", map_file / "below" / "a_file.png"),
        "auto, cpu, cuda": ("synthesize", plain, map_file, "--device", "tpu", "-o", out),
        "no pix2rt specification": ("info", foreign(workplace / "foreign.onnx")),
    }
    for message, arguments in mistakes.items():
        result = run(*arguments)
        assert result.exit_code == 2, (message, result.output)
        assert message in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert "Traceback" not in result.stderr


def save_text(path, text):
    path.write_text(text)
    return path


def foreign(path):
    spec = tiny_engines.synthesizer_spec()
    return tiny_engines.save(path, spec, *tiny_engines.synthesizer_graph(spec), metadata={})


def test_unmatched_instances_stop_before_any_work(workplace):
    save(workplace / "maps" / "zurich_000000_gtFine_labelIds.png", LABELS)
    maps, out = workplace / "maps", workplace / "photos"
    result = run("synthesize", workplace / "city.onnx", maps, "--instances", maps, "-o", out)
    assert result.exit_code == 2
    assert "zurich_000000_gtFine_labelIds.png" in result.stderr
    assert "zurich_000000_gtFine_instanceIds.png" in result.stderr
    assert not out.exists()


def test_matching_by_name(tmp_path):
    for name in ("frame10.png", "frame2.png"):
        save(tmp_path / "labels" / name, LABELS)
        save(tmp_path / "ids" / name, IDS)
    save(tmp_path / "ids" / "other.png", IDS)
    (tmp_path / "labels" / ".frame3.0ab1.partial.png").write_bytes(b"what a kill left")
    (tmp_path / "labels" / "folder.png").mkdir()
    maps = find_label_maps([tmp_path / "labels"])
    assert [path.name for path in maps] == ["frame2.png", "frame10.png"]
    assert [path.name for path in match_instances(maps, tmp_path / "ids")] == ["frame2.png", "frame10.png"]
    assert output_paths(maps[:1], Path("x.PNG")) == [Path("x.PNG")]
    assert output_paths(maps, Path("folder")) == [Path("folder/frame2.png"), Path("folder/frame10.png")]
    with pytest.raises(ValueError, match=r"would both be written as frame2\.png"):
        find_label_maps([tmp_path / "labels", tmp_path / "ids"])
    with pytest.raises(FileNotFoundError, match=r"holds no \.png"):
        find_label_maps([tmp_path])
    save(tmp_path / "twice" / "a_gtFine_instanceIds.png", IDS)
    save(tmp_path / "twice" / "a_instanceIds.png", IDS)
    with pytest.raises(ValueError, match="several instance maps"):
        match_instances([save(tmp_path / "a_labelIds.png", LABELS)], tmp_path / "twice")


def test_info(workplace):
    result = run("info", workplace / "city.onnx")
    assert result.exit_code == 0
    for text in (
        "synthesizer (pix2pixhd)",
        "32×16",
        "label_map",
        "1 × 16 × 32",
        "person",
        "at least 0 MB",
        "max_grey_levels",
    ):
        assert text in result.output
    document = json.loads(run("info", workplace / "city.onnx", "--json").output)
    assert document["kind"] == "synthesizer"
    assert document["least_memory_bytes"] == 100 + 2048
    assert run("info", workplace / "city.encoder.onnx").exit_code == 0
    translator = tiny_translators.translator(workplace / "t.onnx", seed=True, normalization="batch-stats")
    text = run("info", translator).output
    for part in (
        "translator (pix2pix)",
        "any multiple of 8, at least 16",
        "batch-stats",
        "N × H × W × 3",
        "seed",
        "translation",
    ):
        assert part in text
    assert run("info", tiny_translators.baseline(workplace / "b.onnx")).exit_code == 0


@pytest.mark.parametrize("command", [[], ["synthesize"], ["translate"], ["info"], ["bench"], ["demo"]])
def test_help_has_an_example(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"pix2rt {command[0] if command else 'translate'}" in result.output


def test_version():
    assert run("--version").output.startswith("pix2rt 0.")


def test_demo(tmp_path):
    result = run("demo", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    first, second, labels = (
        read_photo(tmp_path / "out" / name) for name in ("street.png", "street_seed1.png", "street_labels.png")
    )
    assert first.shape == second.shape == labels.shape == (1024, 2048, 3)
    assert (first != second).any()
    assert read_photo(tmp_path / "out" / "edges2photo.png").shape == (512, 1024, 3)
    assert read_photo(tmp_path / "out" / "face.png").shape == (64, 128, 3)
    filled, given = (read_photo(tmp_path / "out" / name) for name in ("inpaint.png", "inpaint_input.png"))
    assert filled.shape == given.shape == (512, 512, 3)
    is_known = (filled == given).all(-1)
    assert 0.5 < is_known.mean() < 0.95
    sheet = read_photo(tmp_path / "out" / "demo.png").astype(float)
    assert sheet.shape == (1472, 1944, 3)
    for picture, (top, left) in {"street": (8, 976), "edges2photo": (496, 976), "face": (984, 8)}.items():
        whole, cell = read_photo(tmp_path / "out" / f"{picture}.png"), sheet[top : top + 480, left : left + 960]
        assert np.abs(cell.mean((0, 1)) - whole.mean((0, 1))).max() < 2, "each is whole, and in its place"
    for text in ("load the engine", "first call", "street.png", "edges2photo_input.png", "demo.png"):
        assert text in result.output


def test_demo_without_its_assets(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_command, "ASSETS", tmp_path)
    result = run("demo", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "street.onnx does not exist" in result.stderr


def test_the_process_says_it_in_one_red_line(workplace):
    command = [sys.executable, "-m", "runtime", "info", str(workplace / "nothing.onnx")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.strip().splitlines()) == 1


def test_ctrl_c_is_clean(workplace):
    """Interrupted while it reads a label map."""
    save(workplace / "maps2" / "a.png", LABELS)
    code = (
        "import runtime.__main__ as m, runtime.commands.synthesize as synthesize, time\n"
        "def slow(*arguments):\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "synthesize.read_label_map = slow\nm.main()"
    )
    arguments = ["synthesize", str(workplace / "plain.onnx"), str(workplace / "maps2"), "-o", str(workplace / "out")]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert "interrupted" in stderr


@needs_data
def test_the_cityscapes_maps_at_full_size(tmp_path):
    """Seven real maps: ids, instances and styles arrive exactly."""
    labels = read_spec(ASSETS / "street.onnx").labels
    bank = StyleBank(2, {26: ((1.0, 2.0), (3.0, 4.0))})
    engine = tiny_engines.synthesizer(
        tmp_path / "city.onnx", labels=labels, size=(1024, 2048), multiple=32, styles=True, instances=128, bank=bank
    )
    maps, instances = (DATA / "cityscapes_sample" / name for name in ("test_label", "test_inst"))
    result = run("synthesize", engine, maps, "--instances", instances, "--styles", '{"car": 1}', "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    written = sorted((tmp_path / "out").iterdir())
    assert len(written) == 7
    for path in written:
        ids = np.asarray(Image.open(maps / path.name))
        inst = np.asarray(Image.open(instances / path.name.replace("labelIds", "instanceIds")))
        image = read_photo(path)
        np.testing.assert_array_equal(image[..., 0], ids)
        np.testing.assert_array_equal(image[..., 1], np.unique(inst, return_inverse=True)[1].reshape(inst.shape))
        assert set(image[ids == 26][:, 2].tolist()) <= {0, 34}
        assert 34 in image[..., 2]
