"""The CUDA runtime's wrapper: what it makes is there, what is closed is gone, what fails says why."""

import threading

import numpy as np
import pytest

from runtime.engines import device_memory
from runtime.engines.device_memory import CaptureError, Cuda, DeviceBuffer, Event, HostBuffer, MemoryShortageError
from runtime.errors import DeviceError


@pytest.fixture
def cuda(machine):
    return Cuda()


def test_buffers_are_aligned_and_freed_once(machine, cuda):
    for nbytes in (0, 1, 255, 256, 1000):
        device, host = DeviceBuffer(cuda, nbytes), HostBuffer(cuda, nbytes)
        assert device.address % 256 == 0
        assert device.nbytes == host.nbytes == max(256, -(-nbytes // 256) * 256)
        for buffer in (device, host):
            buffer.close()
            buffer.close()


@pytest.fixture(params=["stand-in", pytest.param("gpu", marks=pytest.mark.gpu)])
def any_cuda(request):
    """The stand-in, and where there is one a GPU."""
    if request.param == "stand-in":
        request.getfixturevalue("machine")
        return Cuda()
    runtime = pytest.importorskip("cuda.bindings.runtime")
    if int(runtime.cudaGetDeviceCount()[0]) != 0:
        pytest.skip("no GPU here; runs where one is")
    return Cuda()


def test_data_goes_up_across_and_down(any_cuda):
    cuda = any_cuda
    stream = cuda.stream()
    host, one, two = HostBuffer(cuda, 1024), DeviceBuffer(cuda, 1024), DeviceBuffer(cuda, 1024)
    start, end = Event(cuda), Event(cuda)
    values = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    view = host.view(256, (3, 4, 5), np.dtype(np.float32))
    view[...] = values
    start.record(stream)
    cuda.copy(one.address, host.address + 256, 240, "HostToDevice", stream)
    cuda.copy(two.address, one.address, 240, "DeviceToDevice", stream)
    cuda.synchronize(stream)
    view[...] = 0
    cuda.copy(host.address + 256, two.address, 240, "DeviceToHost", stream)
    end.record(stream)
    cuda.synchronize(stream)
    np.testing.assert_array_equal(view, values)
    assert end.ms_since(start) >= 0
    for made in (host, one, two, start, end):
        made.close()
    cuda.free("cudaStreamDestroy", stream)


def test_a_graph_is_what_was_queued(any_cuda):
    cuda = any_cuda
    stream = cuda.stream()
    host, block = HostBuffer(cuda, 256), DeviceBuffer(cuda, 256)
    view = host.view(0, (256,), np.dtype(np.uint8))

    def work():
        cuda.copy(block.address, host.address, 128, "HostToDevice", stream)
        cuda.copy(host.address + 128, block.address, 128, "DeviceToHost", stream)

    graph = cuda.capture(stream, work)
    for value in range(3):
        view[:128] = value
        cuda.call("cudaGraphLaunch", graph, stream)
        cuda.synchronize(stream)
        assert set(view[128:]) == {value}
    cuda.free("cudaGraphExecDestroy", graph)
    host.close()
    block.close()
    cuda.free("cudaStreamDestroy", stream)


def test_captures_that_break_are_reported_and_over(any_cuda):
    """What the capturing thread must not do breaks its capture; the stream is as it was, and the next one works."""
    cuda = any_cuda
    stream = cuda.stream()
    for forbidden in (
        lambda: cuda.synchronize(stream),
        lambda: cuda.call("cudaDeviceSynchronize"),
        lambda: cuda.call("cudaMalloc", 256),
    ):
        with pytest.raises(CaptureError, match="error 900"):
            cuda.capture(stream, forbidden)
        cuda.free("cudaGraphExecDestroy", cuda.capture(stream, lambda: None))
    with pytest.raises(MemoryShortageError):
        DeviceBuffer(cuda, 1 << 50)
    DeviceBuffer(cuda, 256).close()
    cuda.synchronize(stream)
    cuda.free("cudaStreamDestroy", stream)


def test_what_is_freed_during_a_capture_is_freed_afterwards(machine, cuda):
    """Python may collect garbage at any point."""
    stream, block = cuda.stream(), DeviceBuffer(cuda, 256)
    order = []

    def work():
        block.close()
        order.append(machine.calls["cudaFree"])

    cuda.free("cudaGraphExecDestroy", cuda.capture(stream, work))
    assert order == [0]
    assert machine.calls["cudaFree"] == 1
    cuda.free("cudaStreamDestroy", stream)


def test_who_frees_never_waits_for_a_capture(machine, cuda):
    """Else a finaliser could wait for a lock that its own thread keeps from being given back."""
    stream, block = cuda.stream(), DeviceBuffer(cuda, 256)

    def work():
        thread = threading.Thread(target=block.close)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        assert machine.calls["cudaFree"] == 0

    cuda.free("cudaGraphExecDestroy", cuda.capture(stream, work))
    assert machine.calls["cudaFree"] == 1
    cuda.free("cudaStreamDestroy", stream)


def test_other_threads_wait_with_memory_until_a_capture_is_over(machine, cuda):
    stream, made = cuda.stream(), []
    thread = threading.Thread(target=lambda: (cuda.activate(), made.append(DeviceBuffer(cuda, 256))))

    def work():
        thread.start()
        thread.join(0.2)
        assert made == []

    graph = cuda.capture(stream, work)
    thread.join(10)
    assert len(made) == 1
    made[0].close()
    cuda.free("cudaGraphExecDestroy", graph)
    cuda.free("cudaStreamDestroy", stream)


def test_work_that_fails_leaves_no_capture_behind(machine, cuda):
    stream = cuda.stream()

    def work():
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        cuda.capture(stream, work)
    with pytest.raises(CaptureError, match=r"900 \(cudaErrorStreamCaptureUnsupported\) in cudaStreamSynchronize"):
        cuda.capture(stream, lambda: cuda.synchronize(stream))
    machine.fail("cudaGraphInstantiate", code=2)
    with pytest.raises(MemoryShortageError):
        cuda.capture(stream, lambda: None)
    cuda.synchronize(stream)
    cuda.free("cudaGraphExecDestroy", cuda.capture(stream, lambda: None))
    cuda.free("cudaStreamDestroy", stream)


def test_no_memory(machine, cuda):
    machine.used_bytes = machine.total_bytes - 1000
    with pytest.raises(MemoryShortageError, match=r"error 2 .* in cudaMalloc on GPU 0: out of memory; end other prog"):
        DeviceBuffer(cuda, 2000)
    assert machine.calls["cudaGetLastError"] == 1  # or the thread's next call would find it
    DeviceBuffer(cuda, 500).close()


def test_cuda_bindings_missing(machine, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(device_memory, "import_module", missing)
    with pytest.raises(DeviceError, match="cuda-bindings is not installed.*pip install 'cuda-bindings>=13'"):
        Cuda()


def test_the_real_runtime_without_a_driver():
    runtime = pytest.importorskip("cuda.bindings.runtime")
    if int(runtime.cudaGetDeviceCount()[0]) == 0:
        pytest.skip("there is a GPU here")
    with pytest.raises(DeviceError, match=r"CUDA error (35|100) \(cudaError(InsufficientDriver|NoDevice)\)"):
        Cuda()


def test_names_of_gpus(machine, cuda):
    assert cuda.name() == "NVIDIA GeForce RTX 4090"
    assert cuda.memory() == (machine.total_bytes, machine.total_bytes)
