"""OpenVINO gives what ONNX Runtime gives, only where it is asked for, and reports nothing to anybody."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from runtime import Inpainter, Synthesizer, Translator
from runtime.engines.engine import choices, open_engine
from runtime.errors import ClosedError, DeviceError, EngineFormatError, InputError
from tests.paths import ROOT
from tests.runtime import tiny_completers, tiny_engines, tiny_translators
from tests.runtime.engines.test_onnx_engine import inputs

pytest.importorskip("openvino", reason="`pip install openvino` brings it; the extra `bench` has it")
ASSETS = ROOT / "runtime" / "assets"


def test_the_bytes_of_onnxruntime(tmp_path):
    rng = np.random.default_rng(0)
    path = tiny_engines.synthesizer(tmp_path / "free.onnx", size=None, batch="N", inst=True)
    mine, theirs = (Synthesizer(path, backend=backend, threads=1) for backend in ("openvino", "onnxruntime"))
    assert (mine.backend, mine.device) == ("openvino", "cpu")
    for size in ((8, 16), (16, 8), (8, 16)):
        labels = rng.integers(0, 3, size, np.uint8)
        instances = rng.integers(0, 5, size, np.int32)
        assert np.abs(mine.run(labels, instances).astype(int) - theirs.run(labels, instances)).max() <= 1


def test_shipped_engines():
    rng = np.random.default_rng(0)
    drawing = rng.integers(0, 256, (64, 64), np.uint8)
    mine, theirs = (Translator(ASSETS / "edges2photo.onnx", backend=name) for name in ("openvino", "onnxruntime"))
    assert np.abs(mine.run(drawing).astype(int) - theirs.run(drawing)).max() <= 1
    with pytest.raises(EngineFormatError, match=r"inpaint.onnx is refused by OpenVINO .*; run it with backend='auto'"):
        Inpainter(ASSETS / "inpaint.onnx", backend="openvino")


def test_a_loop_carries_its_state(tmp_path):
    path = tiny_completers.completer(tmp_path / "c.onnx")
    carried = {"next_z": "z", "next_velocity": "velocity"}
    states = []
    for backend in ("openvino", "onnxruntime"):
        loop = open_engine(path, "cpu", backend=backend, threads=1).loop(inputs(), carried)
        states.append([])
        for _ in range(5):
            loop.step()
            states[-1].append(loop.fetch("next_z"))
    np.testing.assert_allclose(states[0], states[1], rtol=1e-5, atol=1e-5)
    assert (states[0][4] != states[0][0]).any()


def test_threads_do_not_disturb_each_other(tmp_path):
    path = tiny_translators.translator(tmp_path / "t.onnx")
    engine = open_engine(path, "cpu", backend="openvino", threads=1)
    tensor = engine.spec.inputs[0]
    shape = [size if isinstance(size, int) else 1 if axis == 0 else 16 for axis, size in enumerate(tensor.shape)]
    rng = np.random.default_rng(0)
    images = [{tensor.name: rng.integers(0, 256, shape).astype(tensor.dtype)} for _ in range(40)]
    name = engine.spec.outputs[0].name
    expected = [engine.run(given)[name] for given in images]
    with ThreadPoolExecutor(8) as pool:
        for received, wanted in zip(pool.map(engine.run, images), expected, strict=True):
            np.testing.assert_array_equal(received[name], wanted)


def test_a_closed_engine_and_inputs_that_do_not_fit(tmp_path):
    path = tiny_translators.translator(tmp_path / "t.onnx")
    engine = open_engine(path, "cpu", backend="openvino")
    name = engine.spec.inputs[0].name
    with pytest.raises(DeviceError, match=rf"t.onnx failed in OpenVINO for {name} \[1, 2\]"):
        engine.run({name: np.zeros((1, 2), np.uint8)})
    engine.close()
    with pytest.raises(ClosedError, match="was closed"):
        engine.run({})


def test_only_where_it_is_named():
    why = dict(choices(ASSETS / "edges2photo.onnx", "cpu"))
    assert why["openvino on cpu"] == ("it is there to be compared with, so only where backend='openvino' asks for it")
    assert dict(choices(ASSETS / "edges2photo.onnx", "cpu", "openvino")) == {"openvino on cpu": None}
    with pytest.raises((DeviceError, InputError), match="does not run on cuda"):
        open_engine(ASSETS / "edges2photo.onnx", "cuda", backend="openvino")


def test_its_telemetry_is_never_loaded():
    program = (
        "import sys; from runtime.engines.engine import open_engine; open_engine(sys.argv[1], backend='openvino')"
        "; print([name for name, module in sys.modules.items() if name.startswith('openvino_telemetry') and module])"
    )
    line = [sys.executable, "-c", program, str(ASSETS / "edges2photo.onnx")]
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr
