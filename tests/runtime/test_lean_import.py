"""The runtime must stay light: what a clean interpreter has loaded after importing and after opening an engine."""

import json
import re
import resource
import subprocess
import sys

import pytest

from tests.paths import ROOT
from tests.runtime import tiny_engines, tiny_translators

HEAVY = ("torch", "onnx", "cv2", "av", "PIL", "typer", "rich", "onnxruntime", "training", "export")


def loaded(code):
    """Those of HEAVY that `code` loads."""
    report = f"{code}\nimport json, sys\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    run = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_import_runtime_loads_nothing_heavy():
    assert loaded("import runtime") == []


def test_an_opened_engine_needs_onnxruntime_only(tmp_path):
    path = tiny_engines.synthesizer(tmp_path / "e.onnx")
    code = (
        f"import runtime, numpy\nruntime.Synthesizer({str(path)!r}).run(numpy.zeros({tiny_engines.SIZE}, numpy.uint8))"
    )
    assert loaded(code) == ["onnxruntime"]


def test_a_translator_needs_onnxruntime_only(tmp_path):
    path = tiny_translators.translator(tmp_path / "e.onnx")
    code = f"import runtime, numpy\nruntime.Translator({str(path)!r}).run(numpy.zeros((9, 9, 3), numpy.uint8))"
    assert loaded(code) == ["onnxruntime"]


def test_the_probe_sees_what_it_looks_for():
    assert loaded("import PIL, rich") == ["PIL", "rich"]


def test_import_is_fast():
    """Processor time, which other processes do not lengthen as they do the clock's."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import runtime"], cwd=ROOT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # 0.16 s on an idle machine, interpreter included; the bound leaves room for a slower one.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "runtime").rglob("*.py")
    if path.stem not in ("__main__", "__init__") and "front" not in path.parts
)
WITH_EXTRA = ("runtime.server", "runtime.studio")
EXTRAS = {"av": "video", "cv2": "derive", "ray": "ray"}  # what a module may need, and the extra that brings it


@pytest.mark.parametrize("module", MODULES)
def test_every_module_imports_alone(module):
    if module.startswith(WITH_EXTRA):
        pytest.importorskip("starlette", reason="the extra studio is not installed; the whole suite has it")
    if module == "runtime.engines.openvino_engine":
        pytest.importorskip("openvino", reason="the extra bench is not installed; the whole suite has it")
    try:
        names = loaded(f"import {module}")
    except subprocess.CalledProcessError as error:
        missing = re.search(r"No module named '(\w+)'", error.stderr)
        if not missing or missing[1] not in EXTRAS:
            raise
        pytest.skip(f"{missing[1]} is not installed; runs with pix2rt[{EXTRAS[missing[1]]}]")
    assert not {"torch", "onnx", "training", "export"} & set(names)


def test_pyav_waits_for_the_first_video():
    """The commands load without it; it takes long, and is an extra."""
    assert not {"av", "cv2"} & set(loaded("import runtime.__main__"))
