"""What the stand-in punishes: code that breaks a rule of the real libraries must not pass its tests."""

import ctypes
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from runtime.engines.plan import Profile
from runtime.engines.plan_builder import build_plan_file
from tests.runtime import tiny_engines
from tests.runtime.engines.stand_in import cuda_runtime as cuda
from tests.runtime.engines.stand_in import installed, plans
from tests.runtime.engines.stand_in.tensorrt_api import ExecutionContextAllocationStrategy, ILogger, Runtime

THREAD_LOCAL = cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
UP, DOWN, ACROSS = (
    cuda.cudaMemcpyKind[f"cudaMemcpy{kind}"] for kind in ("HostToDevice", "DeviceToHost", "DeviceToDevice")
)


class Log(ILogger):
    def __init__(self):
        self.lines = []

    def log(self, severity, msg):
        self.lines.append((severity.name, msg))


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("PIX2RT_CACHE", str(tmp_path / "cache"))
    with installed() as world:
        ok(cuda.cudaSetDevice(0))
        yield world


def ok(result):
    status, *values = result
    assert int(status) == 0
    return values[0] if values else None


@pytest.fixture
def dynamic(world, tmp_path):
    """A context for images of 8 to 64 pixels, with scratch memory and a stream."""
    onnx = tiny_engines.synthesizer(tmp_path / "e.onnx", size=None, batch="N")
    path = build_plan_file(
        onnx, tmp_path / "e.engine", flavor="tensorrt", profile=Profile((1, 8, 8), (1, 16, 16), (2, 64, 64))
    ).path
    engine = Runtime(Log()).deserialize_cuda_engine(path.read_bytes())
    context = engine.create_execution_context(ExecutionContextAllocationStrategy.USER_MANAGED)
    context.set_device_memory(ok(cuda.cudaMalloc(plans.SCRATCH_BYTES)), plans.SCRATCH_BYTES)
    return context, ok(cuda.cudaStreamCreateWithFlags(1))


def ready(context, stream, size=16):
    assert context.set_optimization_profile_async(0, stream)
    assert context.set_input_shape("label_map", (1, size, size))
    blocks = {name: ok(cuda.cudaMalloc(4 * size * size)) for name in ("label_map", "image")}
    for name, block in blocks.items():
        assert context.set_tensor_address(name, block)
    return blocks


def test_1_every_tensor_has_an_address(world, dynamic):
    context, stream = dynamic
    ready(context, stream)
    del context.addresses["image"]
    assert not context.execute_async_v3(stream)


def test_2_unknown_names(dynamic):
    context, stream = dynamic
    assert not context.set_tensor_address("strange", 256)
    ready(context, stream)
    assert not context.set_input_shape("image", (1, 16, 16, 3))


def test_3_addresses_are_aligned_live_and_large_enough(world, dynamic):
    context, stream = dynamic
    blocks = ready(context, stream)
    assert not context.set_tensor_address("image", blocks["image"] + 4)
    assert context.set_tensor_address("image", ok(cuda.cudaMalloc(256)))
    assert context.execute_async_v3(stream)
    ok(cuda.cudaStreamSynchronize(stream))
    assert world.violations == ["image lies in no live device memory large enough"]


def test_4_shapes_agree_with_the_profile(dynamic):
    context, stream = dynamic
    assert not context.set_input_shape("label_map", (1, 16, 16))  # no profile yet
    assert context.set_optimization_profile_async(0, stream)
    assert not context.set_input_shape("label_map", (1, 72, 16))
    assert not context.set_input_shape("label_map", (16, 16))
    assert context.infer_shapes() == ["label_map"]


def test_5_nothing_changes_before_the_stream_is_waited_for(world, dynamic):
    context, stream = dynamic
    blocks = ready(context, stream)
    pinned = ok(cuda.cudaHostAlloc(1024, 0))
    view = np.ctypeslib.as_array((ctypes.c_uint8 * 1024).from_address(pinned))
    assert context.execute_async_v3(stream)
    ok(cuda.cudaMemcpyAsync(pinned, blocks["image"], 768, DOWN, stream))
    assert set(view[:768]) == {0xA5}
    assert context.set_input_shape("label_map", (1, 8, 8))
    ok(cuda.cudaFree(blocks["label_map"]))
    ok(cuda.cudaStreamSynchronize(stream))
    assert any("a context changed" in one for one in world.violations)
    assert any("freed while a stream has work on it" in one for one in world.violations)


def test_6_a_pinned_source_stays_until_its_copy_ran(world):
    stream, block, pinned = (
        ok(cuda.cudaStreamCreateWithFlags(1)),
        ok(cuda.cudaMalloc(256)),
        ok(cuda.cudaHostAlloc(256, 0)),
    )
    ok(cuda.cudaMemcpyAsync(block, pinned, 256, UP, stream))
    np.ctypeslib.as_array((ctypes.c_uint8 * 256).from_address(pinned))[:] = 7
    ok(cuda.cudaStreamSynchronize(stream))
    assert world.violations == ["pinned memory changed before its copy ran"]


def test_7_a_context_is_one_threads_and_one_streams(world, dynamic):
    context, stream = dynamic
    ready(context, stream)
    assert context.execute_async_v3(stream)
    thread = threading.Thread(target=lambda: bool(context.execute_async_v3(stream)))
    thread.start()
    thread.join()
    assert context.execute_async_v3(ok(cuda.cudaStreamCreateWithFlags(1)))
    assert any("another thread" in one for one in world.violations)
    assert any("two streams" in one for one in world.violations)


@pytest.mark.parametrize("change", [("version", "1.0"), ("gpu", "another"), ("flavor", "tensorrt-rtx"), None])
def test_8_plans_that_do_not_fit(world, dynamic, tmp_path, change):
    header, onnx = plans.unpack((tmp_path / "e.engine").read_bytes())
    if change:
        setattr(header, *change)
    data = plans.pack(header, onnx)
    log = Log()
    engine = Runtime(log).deserialize_cuda_engine(data if change else data[:-1])
    assert engine is None
    assert log.lines[0][0] == "ERROR"


def test_9_without_a_driver(world):
    world.driver = False
    assert int(cuda.cudaMalloc(256)[0]) == 35
    log = Log()
    runtime = Runtime(log)
    assert log.lines[0][0] == "ERROR"
    with pytest.raises(SystemError):
        runtime.deserialize_cuda_engine(b"")
    assert world.violations


def test_10_captures(world, dynamic):
    context, stream = dynamic
    ready(context, stream)
    ok(cuda.cudaStreamBeginCapture(stream, THREAD_LOCAL))
    assert not context.execute_async_v3(stream)  # never run before
    assert int(cuda.cudaMalloc(256)[0]) == 900
    assert int(cuda.cudaStreamSynchronize(stream)[0]) == 900
    status, graph = cuda.cudaStreamEndCapture(stream)
    assert (int(status), graph) == (901, None)
    ok(cuda.cudaStreamBeginCapture(stream, THREAD_LOCAL))
    codes = []
    thread = threading.Thread(target=lambda: codes.append(int(cuda.cudaDeviceSynchronize()[0])))
    thread.start()
    thread.join()
    assert codes == [900]
    assert int(cuda.cudaStreamEndCapture(stream)[0]) == 901
    assert int(cuda.cudaStreamEndCapture(stream)[0]) == 401


def test_11_captured_memory_must_be_there_at_launch(world):
    stream, one, two = (
        ok(cuda.cudaStreamCreateWithFlags(1)),
        ok(cuda.cudaMalloc(256)),
        ok(cuda.cudaMalloc(256)),
    )
    ok(cuda.cudaStreamBeginCapture(stream, THREAD_LOCAL))
    ok(cuda.cudaMemcpyAsync(one, two, 256, ACROSS, stream))
    graph = ok(cuda.cudaGraphInstantiate(ok(cuda.cudaStreamEndCapture(stream)), 0))
    ok(cuda.cudaGraphLaunch(graph, stream))
    ok(cuda.cudaStreamSynchronize(stream))
    ok(cuda.cudaFree(two))
    assert int(cuda.cudaGraphLaunch(graph, stream)[0]) == 1
    assert "its source is no live device memory" in world.violations[0]


def test_12_copies_go_where_they_say(world):
    stream, block, pinned = (
        ok(cuda.cudaStreamCreateWithFlags(1)),
        ok(cuda.cudaMalloc(256)),
        ok(cuda.cudaHostAlloc(256, 0)),
    )
    for target, source, kind in ((block, pinned, DOWN), (pinned, block, UP), (block, pinned, ACROSS)):
        assert int(cuda.cudaMemcpyAsync(target, source, 256, kind, stream)[0]) == 1
    pageable = np.zeros(256, np.uint8)
    assert int(cuda.cudaMemcpyAsync(block, pageable.ctypes.data, 256, UP, stream)[0]) == 1
    assert len(world.violations) == 4


def test_13_an_unread_status_is_noticed(world, dynamic):
    context, _ = dynamic
    world.unread.clear()
    cuda.cudaMalloc(256)
    context.set_tensor_address("strange", 256)
    assert len(world.unread) == 2
    world.memory.clear()
    with pytest.raises(AssertionError, match="nobody read"):
        world.require_clean()


def test_14_views_of_buffers_are_recognised(world):
    pinned = ok(cuda.cudaHostAlloc(256, 0))
    view = np.ctypeslib.as_array((ctypes.c_uint8 * 256).from_address(pinned))
    assert world.owns(view[3:9])
    assert not world.owns(view[3:9].copy())


def test_looking_up_while_other_threads_allocate(world):
    """The stand-in's own books: a thread's call must not break because another one allocates."""
    blocks, ended = [ok(cuda.cudaMalloc(256)) for _ in range(20)], threading.Event()

    def come_and_go():
        while not ended.is_set():
            world.free(world.allocate("device", 256), "device")
            del world.handles[world.handle(object())]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for _ in range(3000):
            assert world.owner(1) is None, "looks at every block"
            assert world.all_streams() == []
            assert world.allocated("device") // 256 - len(blocks) in (0, 1)
    finally:
        ended.set()
        other.join()
        sys.setswitchinterval(interval)


def test_device_memory_is_out_of_the_hosts_reach(world):
    """Its addresses are mapped nowhere in this process."""
    block = ok(cuda.cudaMalloc(256))
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system does not tell what memory a process has")
    ranges = [[int(end, 16) for end in line.split()[0].split("-")] for line in maps.read_text().splitlines()]
    assert not any(low <= block < high for low, high in ranges)
