"""How ONNX Runtime is told to work: what no result shows, and a test must."""

import numpy as np
import onnx
import pytest

from runtime import SketchCompleter
from runtime.engines import onnx_engine
from runtime.engines.backend import Device
from runtime.engines.onnx_engine import OnnxEngine
from runtime.engines.onnx_metadata import read_spec
from runtime.errors import DeviceError, EngineFormatError
from tests.runtime import tiny_completers, tiny_engines


@pytest.fixture
def engine(tmp_path):
    path = tiny_completers.completer(tmp_path / "e.onnx")
    return OnnxEngine(path, read_spec(path), "cpu", 1)


def inputs(seed=0):
    rng = np.random.default_rng(seed)
    side = tiny_completers.SIDE
    arrays = {
        "observed": rng.integers(0, 256, (1, side, 2 * side, 3), np.uint8),
        "known_mask": np.full((1, side, 2 * side), 255, np.uint8),
        "z": rng.uniform(-1, 1, (1, 3)).astype(np.float32),
        "velocity": np.zeros((1, 3), np.float32),
    }
    scalars = {"learning_rate": 0.1, "momentum": 0.9, "perceptual_weight": 0.0, "z_limit": 1.0}
    return arrays | {name: np.array([value], np.float32) for name, value in scalars.items()}


def test_a_session_is_deterministic_sleeps_and_never_falls_back(tmp_path, monkeypatch):
    path = tiny_engines.synthesizer(tmp_path / "e.onnx")
    given = {}
    session = onnx_engine.onnxruntime.InferenceSession

    def recorded(*arguments, **options):
        given.update(options)
        return session(*arguments, **options)

    monkeypatch.setattr(onnx_engine.onnxruntime, "InferenceSession", recorded)
    OnnxEngine(path, read_spec(path), "cpu", 3)
    options = given["sess_options"]
    assert given["enable_fallback"] == 0
    assert given["providers"] == ["CPUExecutionProvider"]
    assert options.use_deterministic_compute
    assert not options.enable_mem_pattern
    assert options.intra_op_num_threads == 3
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    assert options.get_session_config_entry("session.use_device_allocator_for_initializers") == "1"


def test_cuda_keeps_the_precision_that_the_engine_names(tmp_path):
    from dataclasses import replace

    spec = tiny_engines.synthesizer_spec()
    options = onnx_engine._cuda_options(spec, Device("cuda", 2))
    assert (options["use_tf32"], options["device_id"]) == ("0", "2")
    assert onnx_engine._cuda_options(replace(spec, precision="fp16"), Device("cuda"))["use_tf32"] == "1"
    assert options["cudnn_conv_algo_search"] == "EXHAUSTIVE"
    free = tiny_engines.synthesizer_spec(size=None)
    assert onnx_engine._cuda_options(free, Device("cuda"))["cudnn_conv_algo_search"] == "HEURISTIC"


def test_what_a_loop_gives_is_the_callers(engine):
    """A later step must not change it."""
    loop = engine.loop(inputs(), {"next_z": "z", "next_velocity": "velocity"})
    loop.step()
    first = loop.fetch("next_z")
    kept = first.copy()
    assert first.flags.owndata
    for _ in range(5):
        loop.step()
    np.testing.assert_array_equal(first, kept)
    assert (loop.fetch("next_z") != kept).any()


def test_a_loop_keeps_the_arrays_that_it_reads(engine):
    """onnxruntime borrows them: if they were freed, others would take their place."""
    arrays = inputs()
    kept = {name: value.copy() for name, value in arrays.items()}
    loop = engine.loop(arrays, {"next_z": "z", "next_velocity": "velocity"})
    del arrays
    rubbish = [np.full(value.shape, 77, value.dtype) for value in kept.values() for _ in range(50)]
    reference = engine.loop(kept, {"next_z": "z", "next_velocity": "velocity"})
    for _ in range(10):
        loop.step()
        reference.step()
        np.testing.assert_array_equal(loop.fetch("next_z"), reference.fetch("next_z"))
    assert len(rubbish) > 0


def test_a_loop_over_the_wrong_arrays(engine):
    with pytest.raises(DeviceError, match=r"failed on cpu for .*strange"):
        engine.loop(inputs() | {"strange": np.zeros(1, np.float32)}, {})
    loop = engine.loop(inputs() | {"z": np.zeros((1, 5), np.float32)}, {})
    with pytest.raises(DeviceError, match=r"failed on cpu for .*z \[1, 5\]"):
        loop.step()


@pytest.mark.parametrize("which", ["next_z", "image"])
def test_an_output_that_is_there_twice(tmp_path, which):
    """onnxruntime opens such a graph, and a loop then gets fewer outputs than the graph has names."""
    path = tiny_completers.completer(tmp_path / "e.onnx")
    model = onnx.load(path)
    model.graph.output.add().CopyFrom(next(output for output in model.graph.output if output.name == which))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(EngineFormatError, match=rf"two tensors of its graph share a name \(.*{which}"):
        SketchCompleter(path)


def test_cudas_own_words_are_found():
    signature = "bool onnxruntime::CudaCall(…) [with ERRTYPE = cudaError]" * 12
    text = f"{signature} CUDA failure 35: CUDA driver version is insufficient ; GPU=-1 ; hostname=h ; file=x"
    assert onnx_engine.reason(RuntimeError(text)) == "CUDA failure 35: CUDA driver version is insufficient"
    assert onnx_engine.reason(RuntimeError("one\ntwo")) == "one"
    assert onnx_engine.reason(MemoryError()) == "MemoryError"
