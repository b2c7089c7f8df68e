"""The CUDA runtime as engines use it: memory, streams, events and graphs, with every status read.

Built on `cuda.bindings.runtime`. Whatever is made here is freed by `close`, also where making it failed half way.
"""

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DeviceError

ALIGNMENT = 256  # bytes; TensorRT wants tensors and scratch memory to start at multiples of it
_NON_BLOCKING = 1  # cudaStreamNonBlocking: the stream does not wait for the default one
_OUT_OF_MEMORY, _INSUFFICIENT_DRIVER, _NO_DEVICE, _INVALID_DEVICE = 2, 35, 100, 101
_CAPTURE_ENDED = range(900, 909)  # a capture was used wrongly, or broken by what another thread did


class _Turns:
    """Who captures, takes or frees memory does it alone in this process.

    Memory that the capturing thread takes or frees breaks its capture, and so does whoever waits for the device.
    Freeing never waits: Python collects garbage at any point, in a thread that captures or holds whatever lock. What
    cannot be freed at once is freed by who has the turn, at its end.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._is_capturing = False  # by the thread that has the lock
        self._postponed: deque[Callable[[], None]] = deque()

    @contextmanager
    def taken(self, to_capture: bool = False) -> Iterator[None]:
        """Wait for the turn, and have it for a block."""
        with self._lock:
            self._is_capturing = to_capture
            try:
                yield
            finally:
                self._is_capturing = False
        self._free_postponed()

    def free(self, action: Callable[[], None]) -> None:
        """Do it now or soon."""
        self._postponed.append(action)
        self._free_postponed()

    def _free_postponed(self) -> None:
        while self._postponed and self._lock.acquire(blocking=False):
            try:
                if self._is_capturing:
                    return
                with suppress(IndexError):  # another thread was faster
                    self._postponed.popleft()()
            finally:
                self._lock.release()


_turns = _Turns()


def free_soon(action: Callable[[], None]) -> None:
    """Free something where anything may be going on, such as in a finaliser: now, or after the capture at hand."""
    _turns.free(action)


def capturing() -> AbstractContextManager[None]:
    """For a block in which a library captures a graph: nothing here takes or frees memory meanwhile."""
    return _turns.taken(to_capture=True)


def aligned(nbytes: int) -> int:
    """The next multiple of `ALIGNMENT`, at least one of them."""
    return max(1, -(-nbytes // ALIGNMENT)) * ALIGNMENT


class MemoryShortageError(DeviceError):
    """The GPU, or pinned memory, has less left than was asked for."""


class CaptureError(DeviceError):
    """A CUDA graph could not be captured: the work cannot be, or another thread broke the capture."""


class Cuda:
    """One GPU.

    Attributes:
        index: of the GPU, as the driver counts.
    """

    def __init__(self, index: int = 0) -> None:
        """Find the driver and the GPU.

        Raises:
            DeviceError: cuda-bindings is not installed; no driver, or one too old; no such GPU.
        """
        self.index = index
        try:
            self._runtime: Any = import_module("cuda.bindings.runtime")
        except ImportError as error:
            raise DeviceError(f"cuda-bindings is not installed ({error}); pip install 'cuda-bindings>=13'") from error
        count = self.call("cudaGetDeviceCount")
        if not 0 <= index < count:
            raise DeviceError(f"GPU {index} does not exist: this machine has {count}, counted from 0; give another")
        self.activate()

    def call(self, name: str, *arguments: Any) -> Any:
        """What the function `name` gives beside its status: nothing, one value, or several.

        Raises:
            CaptureError: the call broke a capture, or the capture was broken.
            DeviceError: any other status than success; says what the driver says.
        """
        status, values = self._try(name, *arguments)
        if int(status) != 0:
            raise self._error(name, int(status), status)
        return values[0] if len(values) == 1 else tuple(values) or None

    def activate(self) -> None:
        """Let this thread work with this GPU; needed once in every thread, and cheap."""
        self.call("cudaSetDevice", self.index)

    def name(self) -> str:
        """As the driver has it: "NVIDIA GeForce RTX 4090"."""
        name = self.call("cudaGetDeviceProperties", self.index).name
        return name.decode("utf-8", "replace").rstrip("\0") if isinstance(name, bytes) else str(name)

    def memory(self) -> tuple[int, int]:
        """(free, all) bytes of the GPU."""
        free, total = self.call("cudaMemGetInfo")
        return int(free), int(total)

    def malloc(self, nbytes: int) -> int:
        """Address of `nbytes` on the device, a multiple of `ALIGNMENT`; `free` gives it back."""
        with _turns.taken():
            return int(self.call("cudaMalloc", nbytes))

    def host_alloc(self, nbytes: int) -> int:
        """Address of `nbytes` of pinned host memory; `free` gives it back."""
        with _turns.taken():
            return int(self.call("cudaHostAlloc", nbytes, 0))

    def stream(self) -> int:
        """A stream of its own."""
        return int(self.call("cudaStreamCreateWithFlags", _NON_BLOCKING))

    def copy(self, target: int, source: int, nbytes: int, kind: str, stream: int) -> None:
        """Queue a copy; `kind` is "HostToDevice", "DeviceToHost" or "DeviceToDevice"."""
        direction = getattr(self._runtime.cudaMemcpyKind, f"cudaMemcpy{kind}")
        self.call("cudaMemcpyAsync", target, source, nbytes, direction, stream)

    def synchronize(self, stream: int) -> None:
        """Wait for everything that was queued."""
        self.call("cudaStreamSynchronize", stream)

    def free(self, name: str, handle: Any) -> None:
        """Give back with the function `name` what one of this object's calls made.

        Its status may be that of earlier work, which has been reported already, so it is read and not raised. While a
        graph is captured nothing may be freed: then it happens at the capture's end.
        """
        _turns.free(lambda: self._free(name, handle))

    def _free(self, name: str, handle: Any) -> None:
        self._try("cudaSetDevice", self.index)
        self._try(name, handle)

    def _try(self, name: str, *arguments: Any) -> tuple[Any, list[Any]]:
        """(status, values) of a call. A failure is forgotten by CUDA, or this thread's next user would find it."""
        status, *values = getattr(self._runtime, name)(*arguments)
        if int(status) != 0:
            last, *_ = self._runtime.cudaGetLastError()
            int(last)
        return status, values

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
        """What `work` queues, as a graph that `cudaGraphLaunch` runs; `free("cudaGraphExecDestroy", …)` frees it.

        Raises:
            CaptureError: it cannot be captured, or another thread broke the capture.
        """
        with self._recording(stream) as graph:
            work()
        try:
            return self.call("cudaGraphInstantiate", graph[0], 0)
        finally:
            self.free("cudaGraphDestroy", graph[0])

    @contextmanager
    def _recording(self, stream: int) -> Iterator[list[Any]]:
        """Yields a list into which the graph comes. Whatever happens, the stream captures no longer afterwards."""
        graph: list[Any] = []
        with _turns.taken(to_capture=True):
            mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
            self.call("cudaStreamBeginCapture", stream, mode)
            try:
                yield graph
                graph.append(self.call("cudaStreamEndCapture", stream))
            except BaseException:
                self._abandon(stream)
                raise
        if graph[0] is None or int(graph[0]) == 0:
            raise CaptureError("the CUDA graph is empty: its capture was broken")

    def _abandon(self, stream: int) -> None:
        status, (graph,) = self._try("cudaStreamEndCapture", stream)
        if int(status) == 0 and graph is not None and int(graph):
            self._try("cudaGraphDestroy", graph)

    def _error(self, function: str, code: int, status: Any) -> DeviceError:
        name = str(getattr(status, "name", code))
        what = f"CUDA error {code} ({name}) in {function} on GPU {self.index}"
        if code == _INSUFFICIENT_DRIVER:
            return DeviceError(
                f"{what}: no NVIDIA driver, or one older than CUDA {self._version()} needs; install the newest, see "
                "`nvidia-smi`"
            )
        if code == _NO_DEVICE:
            return DeviceError(f"{what}: the driver finds no GPU; see `nvidia-smi` and CUDA_VISIBLE_DEVICES")
        if code == _INVALID_DEVICE:
            return DeviceError(f"{what}: there is no such GPU; see `nvidia-smi -L`")
        if code == _OUT_OF_MEMORY:
            return MemoryShortageError(
                f"{what}: out of memory; end other programs that use the GPU, or lower batch, size or threads"
            )
        if code in _CAPTURE_ENDED:
            return CaptureError(f"{what}: {self._words(status)}")
        return DeviceError(
            f"{what}: {self._words(status)}; if it stays, start the process anew, and see `nvidia-smi` and the "
            "system's log"
        )

    def _words(self, status: Any) -> str:
        read, text = self._runtime.cudaGetErrorString(status)
        if int(read) != 0:
            return "no words for it"
        return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)

    def _version(self) -> str:
        status, version = self._runtime.cudaRuntimeGetVersion()
        return f"{version // 1000}.{version % 1000 // 10}" if int(status) == 0 else "of this cuda-bindings"


class DeviceBuffer:
    """Memory of a GPU, from `address` on."""

    def __init__(self, cuda: Cuda, nbytes: int) -> None:
        """Raises DeviceError where the memory is not there."""
        self.nbytes = aligned(nbytes)
        self._cuda = cuda
        self.address = cuda.malloc(self.nbytes)

    def close(self) -> None:
        """Free it; twice does nothing."""
        address, self.address = self.address, 0
        if address:
            self._cuda.free("cudaFree", address)


class HostBuffer:
    """Pinned memory of this process, from `address` on, which a GPU reads and writes by itself."""

    def __init__(self, cuda: Cuda, nbytes: int) -> None:
        """Raises DeviceError where the memory is not there."""
        self.nbytes = aligned(nbytes)
        self._cuda = cuda
        self.address = cuda.host_alloc(self.nbytes)
        self._bytes = np.ctypeslib.as_array((ctypes.c_uint8 * self.nbytes).from_address(self.address))

    def view(self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """The array at `offset`; it shares memory with this buffer and ends with it."""
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        array: NDArray[Any] = self._bytes[offset : offset + nbytes].view(dtype).reshape(shape)
        return array

    def close(self) -> None:
        """Free it; twice does nothing."""
        address, self.address = self.address, 0
        if address:
            self._cuda.free("cudaFreeHost", address)


class Event:
    """A point in a stream's work, to time it by."""

    def __init__(self, cuda: Cuda) -> None:
        """Raises DeviceError where the driver gives none."""
        self._cuda = cuda
        self._handle: Any = cuda.call("cudaEventCreateWithFlags", 0)

    def record(self, stream: int) -> None:
        """Stand behind what was queued so far."""
        self._cuda.call("cudaEventRecord", self._handle, stream)

    def ms_since(self, start: "Event") -> float:
        """Milliseconds between two recorded events whose work is done."""
        return float(self._cuda.call("cudaEventElapsedTime", start._handle, self._handle))

    def close(self) -> None:
        """Free it; twice does nothing."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._cuda.free("cudaEventDestroy", handle)
