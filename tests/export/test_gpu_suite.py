"""The suite for GPU machines, dry: every stage works on the CPU at tiny sizes, and one that fails leaves the others."""

import json
import threading

import numpy as np
import pytest

from export.errors import ExportError
from export.gpu_suite import conduct as conducting
from export.gpu_suite.conduct import conduct
from export.gpu_suite.settings import Settings
from export.gpu_suite.stages import STAGES, Stage, stage_names
from export.gpu_suite.stages.networks import CITY
from export.gpu_suite.tables import markdown
from export.gpu_suite.timing import measure

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings("cpu", str(tmp_path_factory.mktemp("suite")), is_small=True, seconds=0.01)


@pytest.fixture(scope="module")
def results(settings):
    """Of every stage, in this process."""
    found = {}
    for stage in STAGES:
        told = found.setdefault(stage.name, {})
        stage.run(settings, lambda key, value, told=told: told.setdefault(key, json.loads(json.dumps(value))))
    return found


def test_no_figure_fails(results):
    failed = {(stage, key): value for stage, told in results.items() for key, value in told.items() if "error" in value}
    assert failed == {}
    assert all(results[stage.name] for stage in STAGES)


def test_engines_in_every_form_give_the_bytes_of_the_cpu(results):
    figures = [value for stage in ("shipped", "released", "unet") for value in results[stage].values()]
    parities = [one for value in figures if "parity" in value for one in value["parity"].values()]
    assert len(parities) > 10
    for one in parities:
        assert one["largest"] == 0
        assert one.get("spread", 1) > 0


def test_searches_follow_those_of_the_cpu(results):
    worst = [value["relative_to_cpu"] for value in results["search"].values() if "relative_to_cpu" in value]
    assert len(worst) == 6
    assert np.max(worst) == 0


def test_the_document_becomes_tables(results, tmp_path):
    stages = {name: {"results": told, "status": "done", "seconds": 1.0} for name, told in results.items()}
    gpu = {"name": "NVIDIA Test", "capability": "9.0", "bytes": 1}
    stages["machine"]["results"] = stages["machine"]["results"] | {"gpu": gpu}
    document = {"stages": stages, "host": {"cpu": "a CPU"}, "pix2rt": "0", "date": "today", "is_dry_run": True}
    path = tmp_path / "gpu.json"
    path.write_text(json.dumps(document))
    text = markdown(path)
    assert text.startswith("NVIDIA Test, compute capability 9.0; torch ")
    assert "no figure here means anything" in text
    for part in (
        "| pix2pixHD fp16 | CUDA graph |",
        "| faces | plain session |",
        "| search | paper's network, torch eager |",
    ):
        assert part in text
    for stage in STAGES:
        assert f"- {stage.name}: done, 1 s" in text


@pytest.mark.parametrize("text", ["", "{}", '{"stages": 3}', '{"stages": {"a": {}}}'])
def test_another_file_is_no_result(tmp_path, text):
    path = tmp_path / "gpu.json"
    path.write_text(text)
    with pytest.raises(ExportError, match="is no result of `python -m export gpu-suite`"):
        markdown(path)
    with pytest.raises(ExportError, match="nothing.json: No such file"):
        markdown(tmp_path / "nothing.json")


def test_a_stage_that_fails_or_hangs_leaves_the_others(tmp_path, monkeypatch, settings):
    """In processes of their own, as on a GPU machine; the modules are a test's."""
    package = tmp_path / "modules" / "export_suite_probe.py"
    package.parent.mkdir()
    package.write_text(
        "import time\n"
        "def run(settings, tell, argument='fine'):\n"
        "    tell('begun', argument)\n"
        "    print('a library prints')\n"
        "    if argument == 'fails': raise MemoryError('no room')\n"
        "    if argument == 'hangs': time.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    worker = (
        "import sys, export.gpu_suite.stages as stages\n"
        "import export_suite_probe\n"
        "sys.modules['export.gpu_suite.stages.probe'] = export_suite_probe\n"
        f"stages.STAGES = tuple(stages.Stage(n, 'probe', 9, argument=n) for n in {('fails', 'hangs', 'fine')!r})\n"
        "from export.gpu_suite import worker\n"
        "worker.STAGES = stages.STAGES\n"
        "worker.main()\n"
    )
    stages = tuple(
        Stage(name, "probe", 4 if name == "hangs" else 30, argument=name) for name in ("fails", "hangs", "fine")
    )
    monkeypatch.setattr(conducting, "STAGES", stages)
    real = conducting.subprocess.Popen
    monkeypatch.setattr(
        conducting.subprocess,
        "Popen",
        lambda command, **options: real([command[0], "-c", worker, *command[3:]], **options),
    )
    path, said = tmp_path / "gpu.json", []
    assert not conduct(path, settings, report=said.append)
    found = json.loads(path.read_text())["stages"]
    assert {name: stage["status"] for name, stage in found.items()} == {
        "fails": "failed",
        "hangs": "out of time",
        "fine": "done",
    }
    assert all(stage["results"] == {"begun": name} for name, stage in found.items())
    assert "MemoryError: no room" in found["fails"]["log"]
    assert said[0] == "fails"
    assert conduct(path, settings, only=["fine"], resume=True)
    assert json.loads(path.read_text())["stages"]["hangs"]["status"] == "out of time"


def test_without_time_a_stage_is_left_out(tmp_path, settings):
    path = tmp_path / "gpu.json"
    assert not conduct(path, settings, only=["machine"], seconds=1)
    assert json.loads(path.read_text())["stages"]["machine"]["status"] == "no time was left"


def test_names_of_stages():
    assert stage_names(None) == []
    assert stage_names("shipped, patch swap") == ["shipped", "patch swap"]
    with pytest.raises(ExportError, match="'fast' is no stage; they are networks, shipped, "):
        stage_names("fast")


def test_a_stage_waits_for_networks_until_none_comes(tmp_path):
    settings = Settings("cpu", str(tmp_path))
    threading.Timer(0.3, (tmp_path / "made.onnx").touch).start()
    assert settings.wait_for("made.onnx", 20).name == "made.onnx"
    settings.path("networks.end").touch()
    with pytest.raises(ExportError, match=rf"{CITY}.fp16.onnx was not made"):
        settings.wait_for(f"{CITY}.fp16.onnx")


def test_settings_travel():
    settings = Settings("cuda", "/a b", seconds=0.25)
    assert Settings.from_json(settings.to_json()) == settings
    assert settings.size == (1024, 2048)


def test_measured_calls_are_waited_for():
    done = []
    figures = measure(lambda: done.append("call"), 0.001, lambda: done.append("wait"))
    assert figures["calls"] >= 5
    assert done.count("wait") == figures["calls"] + 1
    assert figures["min_ms"] <= figures["p50_ms"] <= figures["p90_ms"]
