"""Every call of CUDA and TensorRT fails once: a clear error, nothing lost, and the next call works."""

import gc
from functools import partial

import numpy as np
import pytest

from runtime.engines.engine import open_engine
from runtime.errors import DeviceError
from tests.runtime.engines.test_tensorrt_engine import CARRIED, FLAVORS, maps, plan, sketch_plan, sketches

OPENING = ("cudaGetDeviceCount", "cudaSetDevice", "cudaMemGetInfo", "Runtime", "deserialize_cuda_engine")
RTX_OPENING = ("create_runtime_config", "create_runtime_cache", "set_runtime_cache")
FIRST_CALL = (
    "cudaSetDevice",
    "cudaMemGetInfo",
    "cudaMalloc",
    "cudaStreamCreateWithFlags",
    "create_execution_context",
    "set_optimization_profile_async",
    "set_input_shape",
    "infer_shapes",
    "cudaHostAlloc",
    "set_tensor_address",
    "cudaMemcpyAsync",
    "execute_async_v3",
    "cudaStreamSynchronize",
    "cudaStreamBeginCapture",
    "cudaStreamEndCapture",
    "cudaGraphInstantiate",
)


def call(engine):
    return engine.run(maps())["image"]


LATER_CALLS = ("cudaSetDevice", "cudaGraphLaunch", "cudaStreamSynchronize")
BROKEN_CAPTURE = ("cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate")
FREEING = ("cudaFree", "cudaFreeHost", "cudaStreamDestroy", "cudaGraphDestroy", "cudaGraphExecDestroy")


def fails_once(machine, name, skip, code, work):
    """Whether the fault made `work` fail; then the second try must work."""
    machine.fail(name, skip, code)
    try:
        result = work()
    except DeviceError as error:
        message, was_due = str(error), not machine.faults
    else:
        machine.faults.clear()
        return result, False
    assert was_due, message
    gc.collect()
    return work(), True


@pytest.mark.parametrize("flavor", FLAVORS)
def test_opening(machine, tmp_path, flavor):
    path, _ = plan(tmp_path, flavor)
    for name in OPENING + (RTX_OPENING if flavor == "tensorrt-rtx" else ()):
        calls = machine.calls[name]
        open_engine(path).close()
        for skip in range(machine.calls[name] - calls):
            machine.fail(name, skip)
            with pytest.raises(DeviceError):
                open_engine(path)
            gc.collect()
            assert machine.leaks() == {}, name
            assert machine.faults == []


@pytest.mark.parametrize("code", [2, 700, 901])
@pytest.mark.parametrize("name", FIRST_CALL)
def test_the_first_call(machine, tmp_path, name, code):
    path, onnx = plan(tmp_path, size=None, batch="N")
    expected = open_engine(onnx, "cpu", backend="onnxruntime").run(maps())["image"]
    failures, skip = 0, 0
    while True:
        engine = open_engine(path)
        before = machine.calls[name]
        result, failed = fails_once(machine, name, skip, code, partial(call, engine))
        np.testing.assert_array_equal(result, expected)
        reached = machine.calls[name] - before > skip
        engine.close()
        failures += failed
        skip += 1
        if not reached:
            break
    # What fails only within a capture, as other threads cause it, is tried again without an error.
    assert failures >= (0 if name in BROKEN_CAPTURE and code == 901 else 1)


@pytest.mark.parametrize("name", LATER_CALLS)
def test_later_calls(machine, tmp_path, name):
    path, onnx = plan(tmp_path)
    expected = open_engine(onnx, "cpu", backend="onnxruntime").run(maps())["image"]
    engine = open_engine(path)
    for _ in range(3):
        for _ in range(2):
            np.testing.assert_array_equal(engine.run(maps())["image"], expected)
        machine.fail(name, code=700)
        with pytest.raises(DeviceError, match=r"CUDA error 700 \(cudaErrorIllegalAddress\) in " + name):
            engine.run(maps())
    engine.close()


@pytest.mark.parametrize("name", FREEING)
def test_freeing(machine, tmp_path, name):
    """Its status may be that of earlier work; what is to be freed is freed."""
    path, _ = plan(tmp_path)
    engine = open_engine(path)
    machine.fail(name, code=700)
    engine.run(maps())
    engine.close()
    assert machine.faults == []


LOOP = ("cudaMalloc", "cudaMemcpyAsync", "execute_async_v3", "cudaStreamSynchronize", "cudaGraphInstantiate")


@pytest.mark.parametrize(
    "name", [one if one == "execute_async_v3" else pytest.param(one, marks=pytest.mark.nightly) for one in LOOP]
)
def test_loops(machine, tmp_path, name):
    """A step that failed has not moved; done again it gives what it would have given."""
    path, onnx = sketch_plan(tmp_path)
    reference = open_engine(onnx, "cpu", backend="onnxruntime").loop(sketches(), CARRIED)
    reference.step()
    expected = reference.fetch("next_z")
    failures, skip = 0, 0
    while True:
        engine = open_engine(path)
        before = machine.calls[name]

        def work(engine=engine):
            loop = engine.loop(sketches(), CARRIED)
            loop.step()
            return loop.fetch("next_z")

        result, failed = fails_once(machine, name, skip, 700, work)
        np.testing.assert_array_equal(result, expected)
        reached = machine.calls[name] - before > skip
        engine.close()
        gc.collect()
        failures += failed
        skip += 1
        if not reached:
            break
    assert failures
