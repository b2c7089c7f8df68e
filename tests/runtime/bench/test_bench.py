"""`bench`: figures of every kind of engine, and a comparison in turns."""

import csv
import io
import json
import math
import pickle
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from runtime import __main__
from runtime.bench.inputs import generated_input, resize_nearest
from runtime.bench.measure import measure
from runtime.bench.worker import EngineProcess, peak_memory_mb
from runtime.commands import bench
from runtime.engines.onnx_metadata import read_spec
from runtime.errors import DeviceError
from tests.paths import ROOT
from tests.runtime import tiny_engines, tiny_translators


def run(*arguments):
    return CliRunner().invoke(__main__.app, ["bench", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.fixture(autouse=True)
def without_assets(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "ASSETS", tmp_path / "none")


def test_two_engines_in_turns(tmp_path):
    first = tiny_engines.synthesizer(tmp_path / "first.onnx")
    second = tiny_engines.baseline(tmp_path / "second.onnx")
    report_file = tmp_path / "reports" / "report.json"
    result = run(first, "--against", second, "--runs", 4, "--warmup", 1, "--json", report_file, "--threads", 1)
    assert result.exit_code == 0, result.output
    assert f"as fast as {second.name} (turn by turn" in " ".join(result.output.split())
    assert "largest difference 0 grey levels" in " ".join(result.output.split())
    (report,) = json.loads(report_file.read_text())["reports"]
    assert [engine["kind"] for engine in report["engines"]] == ["synthesizer", "baseline"]
    for engine in report["engines"]:
        assert len(engine["times_ms"]) == 4
        assert 0 < engine["p50_ms"] <= engine["p90_ms"] <= engine["p99_ms"]
        assert engine["images_per_s"] == pytest.approx(1000 / engine["p50_ms"])
        assert 10 < engine["peak_memory_mb"] < 1000
        assert engine["load_ms"] > 0
        assert engine["first_call_ms"] > 0
        assert engine["precision"] == "fp32"
    pairs = zip(*(engine["times_ms"] for engine in report["engines"]), strict=True)
    ratios = [b / a for a, b in pairs]
    assert report["engines"][1]["speedup"] == pytest.approx(
        {"median": np.median(ratios), "min": min(ratios), "max": max(ratios)}
    )
    assert report["engines"][1]["max_difference"] == 0
    assert report["machine"]["cores"] >= 1
    assert report["size"] == list(tiny_engines.SIZE)


def test_a_difference_is_reported(tmp_path):
    """An engine with an instance map against one that ignores it: the green channel differs."""
    plain = tiny_engines.synthesizer(tmp_path / "plain.onnx")
    inst = tiny_engines.synthesizer(tmp_path / "inst.onnx", inst=True)
    run(plain, "--against", inst, "--runs", 1, "--warmup", 0, "--json", tmp_path / "r.json")
    (report,) = json.loads((tmp_path / "r.json").read_text())["reports"]
    assert report["engines"][1]["max_difference"] == 63  # 8 × 8 blocks, ids 0 … 63


@pytest.mark.parametrize("noise", [False, True])
def test_other_kinds(tmp_path, noise):
    engines = (
        tiny_engines.style_encoder(tmp_path / "encoder.onnx"),
        tiny_engines.synthesizer(tmp_path / "styled.onnx", styles=True, instances=5, size=None, batch="N"),
    )
    for engine in engines:
        result = run(engine, "--runs", 2, *(["--random-labels"] if noise else []))
        assert result.exit_code == 0, result.output
        assert ("every pixel random" if noise else "8×8 blocks") in result.output


@pytest.mark.parametrize("options", [{}, {"input_nc": 1, "output_nc": 1}, {"input_nc": 5, "output_nc": 2}])
@pytest.mark.parametrize("noise", [False, True])
def test_translators(tmp_path, options, noise):
    """Against their plain float export, whose output is another one by design of the tiny graphs."""
    engine = tiny_translators.translator(tmp_path / "engine.onnx", **options)
    naive = tiny_translators.baseline(tmp_path / "naive.onnx", size=None, **options)
    report_file = tmp_path / "report.json"
    arguments = ["--runs", 2, "--json", report_file, *(["--random"] if noise else [])]
    result = run(engine, "--against", naive, *arguments)
    assert result.exit_code == 0, result.output
    assert ("every pixel random" if noise else "8×8 blocks") in result.output
    (report,) = json.loads(report_file.read_text())["reports"]
    assert [measured["kind"] for measured in report["engines"]] == ["translator", "baseline"]
    assert report["size"] == list(tiny_engines.SIZE)
    assert report["engines"][1]["max_difference"] > 0


def test_the_callers_image(tmp_path):
    """A stochastic engine gets a seed; the baseline gives the image back, the translator shifts it by its corner."""
    image = np.random.default_rng(0).integers(0, 200, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "photo.png")
    engine = tiny_translators.translator(tmp_path / "engine.onnx", seed=True)
    naive = tiny_translators.baseline(tmp_path / "naive.onnx", size=(32, 32))
    common = ("--image", tmp_path / "photo.png", "--runs", 1, "--json", tmp_path / "r.json")
    result = run(engine, "--against", naive, *common)
    assert result.exit_code == 0, result.output
    assert "photo.png" in result.output
    (report,) = json.loads((tmp_path / "r.json").read_text())["reports"]
    assert report["size"] == [20, 30]
    shifted = tiny_translators.expected(image).astype(int)
    assert report["engines"][1]["max_difference"] == np.abs(shifted - image).max()
    Image.fromarray(image[..., 0]).save(tmp_path / "photo.png")
    assert "photo.png: it is grey" in run(engine, *common).stderr
    Image.fromarray(image[:16, :24]).save(tmp_path / "photo.png")
    encoder = tiny_engines.style_encoder(tmp_path / "encoder.onnx", size=(16, 24))
    assert run(encoder, *common).exit_code == 0


def test_inputs_that_the_engine_does_not_take(tmp_path):
    translator = tiny_translators.translator(tmp_path / "t.onnx")
    synthesizer = tiny_engines.synthesizer(tmp_path / "s.onnx")
    Image.fromarray(np.zeros(tiny_engines.SIZE, np.uint8)).save(tmp_path / "x.png")
    mistakes = {
        "--labels and --instances are for engines with a class table": (translator, "--labels", tmp_path / "x.png"),
        "--image is for engines without a class table": (synthesizer, "--image", tmp_path / "x.png"),
        "s.onnx is a synthesizer, engine %s a translator": (translator, "--against", synthesizer),
        "t.onnx is a translator, engine %s a synthesizer": (synthesizer, "--against", translator),
        "x.npy does not exist": (translator, "--image", tmp_path / "x.npy"),
    }
    for message, arguments in mistakes.items():
        result = run(*arguments, "--runs", 1)
        assert result.exit_code == 2, result.output
        assert message.replace("%s", str(arguments[0])) in result.stderr


def test_a_report_never_replaces_an_engine(tmp_path):
    engine = tiny_engines.synthesizer(tmp_path / "e.onnx")
    before = engine.read_bytes()
    result = run(engine, "--json", engine)
    assert result.exit_code == 2
    assert "--json would overwrite the engine" in result.stderr
    assert engine.read_bytes() == before


def test_the_callers_maps(tmp_path):
    engine = tiny_engines.synthesizer(tmp_path / "inst.onnx", inst=True)
    labels = np.random.default_rng(0).integers(0, 4, tiny_engines.SIZE, dtype=np.uint8)
    Image.fromarray(labels).save(tmp_path / "labels.png")
    Image.fromarray(labels.astype(np.uint16) * 500).save(tmp_path / "ids.png")
    result = run(engine, "--labels", tmp_path / "labels.png", "--instances", tmp_path / "ids.png", "--runs", 1)
    assert result.exit_code == 0, result.output
    assert "labels.png" in result.output


def test_the_demo_map_is_scaled_to_the_engine(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "ASSETS", tmp_path)
    engine = tiny_engines.synthesizer(tmp_path / "inst.onnx", inst=True)
    for name in ("street_labels.png", "street_instances.png"):
        Image.fromarray(np.full((64, 64), 3, np.uint8)).save(tmp_path / name)
    assert "street_labels.png" in run(engine, "--runs", 1).output
    Image.fromarray(np.full((64, 64), 4, np.uint8)).save(tmp_path / "street_labels.png")  # a class it does not have
    assert "8×8 blocks" in run(engine, "--runs", 1).output


def test_mistakes_inside_the_worker_are_the_users_line(tmp_path):
    engine = tiny_engines.synthesizer(tmp_path / "plain.onnx")
    larger = tiny_engines.synthesizer(tmp_path / "larger.onnx", size=(32, 32))
    result = run(engine, "--against", larger, "--runs", 1)
    assert result.exit_code == 2
    assert f"engine {larger}: " in result.stderr
    assert "H×W = 16×32" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_worker_that_dies_is_a_clear_error(tmp_path):
    """As the system kills a process that takes too much memory."""
    worker = EngineProcess(tiny_engines.synthesizer(tmp_path / "plain.onnx"))
    worker._process.kill()
    with pytest.raises(DeviceError, match=r"plain\.onnx died \(exit status -9\)"):
        worker.call("run")
    worker.close()


def test_nearest_neighbour_keeps_ids():
    image = np.array([[1, 2], [3, 4]], np.uint8)
    np.testing.assert_array_equal(resize_nearest(image, (4, 2)), [[1, 2], [1, 2], [3, 4], [3, 4]])
    np.testing.assert_array_equal(resize_nearest(np.repeat(image, 3, 1), (2, 2)), [[1, 2], [3, 4]])


def test_generated_maps_fit_the_engine(tmp_path):
    path = tiny_engines.synthesizer(tmp_path / "styled.onnx", styles=True, instances=5)
    for noise in (False, True):
        scene = generated_input(read_spec(path), noise=noise)
        label_map, inst_map = scene.arrays["label_map"], scene.arrays["inst_map"]
        assert label_map.shape == inst_map.shape == scene.size == tiny_engines.SIZE
        assert label_map.max() == 3
        assert inst_map.max() == 4
        again, other = (generated_input(read_spec(path), noise=noise, seed=seed).arrays["label_map"] for seed in (0, 1))
        np.testing.assert_array_equal(again, label_map)
        assert not np.array_equal(other, label_map), "another seed, another map"


def test_a_folder_called_runtime_where_the_user_works(tmp_path, monkeypatch):
    """It must not be taken for ours, in the command's process or in its workers."""
    engine = tiny_engines.synthesizer(tmp_path / "plain.onnx")
    for name in ("runtime", "training", "numpy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    result = run(engine, "--runs", 1)
    assert result.exit_code == 0, result.output


def test_without_what_linux_has(monkeypatch):
    """/proc is Linux's, `resource` is not on Windows."""
    on_linux = peak_memory_mb()
    monkeypatch.setattr(Path, "is_file", lambda self: False)
    assert peak_memory_mb() > 0
    monkeypatch.setitem(sys.modules, "resource", None)
    assert math.isnan(peak_memory_mb())
    assert on_linux > 10


def test_each_engine_has_its_backend(tmp_path):
    """An engine against itself; one that its backend does not run is refused."""
    engine = tiny_engines.synthesizer(tmp_path / "plain.onnx")
    report = tmp_path / "report.json"
    named = ("--backend", "onnxruntime", "--against", engine, "--against-backend")
    result = run(engine, *named, "onnxruntime", "--runs", 1, "--json", report)
    assert result.exit_code == 0, result.output
    (written,) = json.loads(report.read_text())["reports"]
    assert [measured["backend"] for measured in written["engines"]] == ["onnxruntime"] * 2
    assert "as fast as in onnxruntime (turn by turn" in result.output
    refused = run(engine, *named, "native", "--runs", 1)
    assert refused.exit_code == 2
    assert "native" in refused.stderr


NOISY = """
import os
from runtime.bench import worker
worker._Service.run = lambda self: os.write(1, b"noise of a library") and 1.5
worker.serve()
"""


def test_what_a_library_prints_is_no_reply():
    """Replies are pickles on standard output; what others write there goes to standard error."""
    requests = pickle.dumps(("run", ())) * 2
    done = subprocess.run(
        [sys.executable, "-c", NOISY], input=requests, capture_output=True, cwd=ROOT, timeout=120, check=True
    )
    replies = io.BytesIO(done.stdout)
    assert [pickle.load(replies), pickle.load(replies), replies.read()] == [1.5, 1.5, b""]
    assert done.stderr.count(b"noise of a library") == 2


def test_the_first_call_is_never_measured(tmp_path):
    path = tiny_engines.synthesizer(tmp_path / "plain.onnx")
    turns = []
    scene = generated_input(read_spec(path), noise=False)
    report = measure([path], scene, 2, 0, device="cpu", threads=1, progress=lambda: turns.append(1))
    (engine,) = report["engines"]
    assert (len(turns), len(engine["times_ms"])) == (3, 2)
    assert engine["first_call_ms"] not in engine["times_ms"]


def test_three_engines_at_two_sizes(tmp_path):
    """As a table, as values and, where matplotlib is, as a picture; each engine is compared with the first."""
    engines = [
        tiny_translators.translator(tmp_path / "engine.onnx"),
        tiny_translators.baseline(tmp_path / "naive.onnx", size=None),
        tiny_translators.translator(tmp_path / "other.onnx"),
    ]
    files = {
        option: tmp_path / f"report.{option}"
        for option in ("json", "csv", *(["plot"] if find_spec("matplotlib") else []))
    }
    options = [word for option, path in files.items() for word in (f"--{option}", path)]
    sizes = ("--size", "16x24", "--size", "8x8")
    result = run(engines[0], "--against", engines[1], "--against", engines[2], *sizes, "--runs", 2, *options)
    assert result.exit_code == 0, result.output
    reports = json.loads(files["json"].read_text())["reports"]
    assert [report["size"] for report in reports] == [[16, 24], [8, 8]]
    for report in reports:
        assert [engine["path"] for engine in report["engines"]] == [str(path) for path in engines]
        assert [engine.get("max_difference", 0) > 0 for engine in report["engines"]] == [False, True, False]
        first, *others = (engine["times_ms"] for engine in report["engines"])
        for times, engine in zip(others, report["engines"][1:], strict=True):
            assert engine["speedup"]["median"] == pytest.approx(np.median(np.divide(times, first)))
    with files["csv"].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["engine"], row["height"], row["width"]) for row in rows] == [
        (str(path), height, width) for height, width in (("16", "24"), ("8", "8")) for path in engines
    ]
    assert [bool(row["speedup"]) for row in rows] == [False, True, True] * 2
    assert float(rows[4]["p50_ms"]) == reports[1]["engines"][1]["p50_ms"]
    if "plot" in files:
        with Image.open(files["plot"]) as picture:
            assert picture.format == "PNG"
            assert np.ptp(np.asarray(picture.convert("L"))) > 100


def test_a_plot_needs_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run(tiny_translators.translator(tmp_path / "free.onnx"), "--runs", 1, "--plot", tmp_path / "p.png")
    assert result.exit_code == 2
    assert 'bench --plot needs matplotlib, which is not installed: pip install "pix2rt[bench]"' in result.stderr
    assert not (tmp_path / "p.png").exists()


def test_sizes_and_backends_that_do_not_fit(tmp_path):
    free = tiny_translators.translator(tmp_path / "free.onnx")
    fixed = tiny_engines.synthesizer(tmp_path / "fixed.onnx")
    other = ("--against", free, "--against", free)
    for arguments, words in (
        ((free, "--size", "16"), "--size '16' is not HEIGHTxWIDTH, such as 512x1024"),
        ((free, "--size", "0x8"), "--size '0x8' is not HEIGHTxWIDTH"),
        ((fixed, "--size", "64x64"), f"--size 64x64: engine {fixed} is of 16x32 only; export it with --dynamic"),
        ((free, *other, *("--against-backend", "auto") * 3), "--against-backend is given 3 times for 2 engines"),
        ((free, "--csv", free), "--csv would overwrite the engine"),
        ((free, "--plot", free), "--plot would overwrite the engine"),
    ):
        result = run(*arguments, "--runs", 1)
        assert (result.exit_code, words in " ".join(result.stderr.split())) == (2, True), result.stderr


def test_the_callers_map_is_scaled(tmp_path):
    engine = tiny_engines.synthesizer(tmp_path / "free.onnx", size=None, batch="N")
    Image.fromarray(np.full((64, 64), 3, np.uint8)).save(tmp_path / "labels.png")
    report = tmp_path / "r.json"
    result = run(engine, "--labels", tmp_path / "labels.png", "--size", "32x16", "--runs", 1, "--json", report)
    assert result.exit_code == 0, result.output
    assert json.loads(report.read_text())["reports"][0]["size"] == [32, 16]
