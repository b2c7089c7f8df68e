"""The stand-in for `cuda.bindings.runtime`: what pix2rt calls of it, with the real names and parameters."""

import functools
import threading
import time
from dataclasses import dataclass, field
from enum import IntEnum
from types import SimpleNamespace

from tests.runtime.engines.stand_in import world as worlds
from tests.runtime.engines.stand_in.results import ERRORS, Status
from tests.runtime.engines.stand_in.world import POISON, Capture, CudaFailureError, Stream

cudaError_t = IntEnum("cudaError_t", {name: code for code, name in ERRORS.items()})
cudaMemcpyKind = IntEnum(
    "cudaMemcpyKind",
    {"cudaMemcpyHostToDevice": 1, "cudaMemcpyDeviceToHost": 2, "cudaMemcpyDeviceToDevice": 3},
)
cudaStreamCaptureMode = IntEnum(
    "cudaStreamCaptureMode",
    {"cudaStreamCaptureModeGlobal": 0, "cudaStreamCaptureModeThreadLocal": 1, "cudaStreamCaptureModeRelaxed": 2},
)
_SIDES = {1: ("pinned", "device"), 2: ("device", "pinned"), 3: ("device", "device")}
_WITHOUT_DRIVER = ("cudaGetErrorString", "cudaGetErrorName", "cudaRuntimeGetVersion", "cudaDriverGetVersion")
_device = threading.local()


def _call(values=0, frees=False):
    """A function that gives a status before its `values` results. One that frees does so even where it fails."""

    def wrap(function):
        name = function.__name__

        @functools.wraps(function)
        def called(*arguments):
            world = worlds.current()
            with world.lock:
                code = world.fault(name)
                if not world.driver and name not in _WITHOUT_DRIVER:
                    return _failed(name, 35, values)
                if code is not None and not frees:
                    return _failed(name, code, values)
                try:
                    result = function(world, *arguments)
                except CudaFailureError as failure:
                    return _failed(name, failure.code, values)
                if code is not None:
                    if values:  # nobody gets the handle
                        world.handles.pop(result)
                    return _failed(name, code, values)
            given = () if values == 0 else (result,) if values == 1 else tuple(result)
            return Status(0, name), *given

        return called

    return wrap


def _failed(name, code, values):
    result = Status(code, f"{name} ended with {code}")
    return result, *(None for _ in range(values))


@dataclass
class Copy:
    """A queued copy."""

    target: int
    source: int
    nbytes: int
    kind: int
    before: bytes = b""

    @property
    def ranges(self):
        return ((self.target, self.nbytes), (self.source, self.nbytes))

    def check(self, world):
        for side, address, kind in zip(
            ("source", "target"), (self.source, self.target), _SIDES[self.kind], strict=True
        ):
            if world.bytes_at(address, self.nbytes, kind) is None:
                world.violate(f"copy {cudaMemcpyKind(self.kind).name}: its {side} is no live {kind} memory")
                raise CudaFailureError(1)

    def queued(self, world, stream):
        self.check(world)
        source_kind, target_kind = _SIDES[self.kind]
        if source_kind == "pinned":
            self.before = bytes(world.bytes_at(self.source, self.nbytes, "pinned"))
        if target_kind == "pinned":
            world.bytes_at(self.target, self.nbytes, "pinned")[:] = POISON

    def run(self, world):
        source_kind, target_kind = _SIDES[self.kind]
        source = world.bytes_at(self.source, self.nbytes, source_kind)
        if source_kind == "pinned" and bytes(source) != self.before:
            world.violate("pinned memory changed before its copy ran")
        world.bytes_at(self.target, self.nbytes, target_kind)[:] = source

    def again(self):
        return Copy(self.target, self.source, self.nbytes, self.kind)


@dataclass
class Graph:
    operations: list


@dataclass
class GraphExec:
    operations: list


@dataclass
class Event:
    times: list = field(default_factory=list)


@dataclass
class Record:
    event: Event
    ranges = ()

    def queued(self, world, stream):
        pass

    def run(self, world):
        self.event.times.append(time.perf_counter())

    def again(self):
        return self


@_call(1)
def cudaGetDeviceCount(world):
    if not world.gpus:
        raise CudaFailureError(100)
    return len(world.gpus)


@_call()
def cudaSetDevice(world, device):
    if not 0 <= device < len(world.gpus):
        raise CudaFailureError(101)
    _device.index = device


@_call(1)
def cudaGetDeviceProperties(world, device):
    return SimpleNamespace(name=world.gpus[device].encode(), major=8, minor=9, totalGlobalMem=world.total_bytes)


@_call(2)
def cudaMemGetInfo(world):
    return world.total_bytes - world.used_bytes - world.allocated("device"), world.total_bytes


@_call(1)
def cudaMalloc(world, size):
    _require_device(world)
    world.break_captures(of_others=False)
    return world.allocate("device", size)


@_call(frees=True)
def cudaFree(world, devPtr):
    world.break_captures(of_others=False)
    world.free(devPtr, "device")


@_call(1)
def cudaHostAlloc(world, size, flags):
    world.break_captures(of_others=False)
    return world.allocate("pinned", size)


@_call(frees=True)
def cudaFreeHost(world, ptr):
    world.break_captures(of_others=False)
    world.free(ptr, "pinned")


@_call(1)
def cudaStreamCreateWithFlags(world, flags):
    _require_device(world)
    return world.handle(Stream())


@_call(frees=True)
def cudaStreamDestroy(world, stream):
    if world.stream(stream).queue:
        world.violate("a stream was destroyed with work in it")
    del world.handles[int(stream)]


def _synchronize(world, stream):
    found = world.stream(stream)
    if found.capture is not None:
        found.capture.is_broken = True
        raise CudaFailureError(900)
    world.break_captures(of_others=False)
    return found


def cudaStreamSynchronize(stream):
    """Without the lock while the work is done, as the real one lets other threads on."""
    world = worlds.current()
    with world.lock:
        code = world.fault("cudaStreamSynchronize")
        if not world.driver:
            return _failed("cudaStreamSynchronize", 35, 0)
        try:
            found = _synchronize(world, stream)
        except CudaFailureError as failure:
            return _failed("cudaStreamSynchronize", failure.code, 0)
        if code is not None:  # the work failed, and is over
            for operation in found.queue:
                getattr(operation, "dropped", lambda: None)()
            found.queue.clear()
            return _failed("cudaStreamSynchronize", code, 0)
    world.drain(found)
    return (Status(0, "cudaStreamSynchronize"),)


@_call()
def cudaMemcpyAsync(world, dst, src, count, kind, stream):
    copy = Copy(int(dst), int(src), int(count), int(kind))
    copy.check(world)
    world.queue(world.stream(stream), copy)


@_call()
def cudaStreamBeginCapture(world, stream, mode):
    if mode != cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal:
        world.violate(f"a capture of mode {mode}: other threads would be refused memory")
    found = world.stream(stream)
    if found.capture is not None or found.queue:
        raise CudaFailureError(900)
    found.capture = Capture(threading.get_ident())


@_call(1, frees=True)
def cudaStreamEndCapture(world, stream):
    found = world.stream(stream)
    capture, found.capture = found.capture, None
    if capture is None:
        raise CudaFailureError(401)
    if capture.is_broken:
        raise CudaFailureError(901)
    return world.handle(Graph(capture.operations))


@_call(1)
def cudaGraphInstantiate(world, graph, flags):
    return world.handle(GraphExec(list(world.thing(graph, Graph).operations)))


@_call(frees=True)
def cudaGraphDestroy(world, graph):
    world.thing(graph, Graph)
    del world.handles[int(graph)]


@_call(frees=True)
def cudaGraphExecDestroy(world, graphExec):
    found = world.thing(graphExec, GraphExec)
    if any(getattr(work, "graph", None) is found for stream in world.all_streams() for work in tuple(stream.queue)):
        world.violate("a graph was destroyed while it ran")
    del world.handles[int(graphExec)]


@_call()
def cudaGraphLaunch(world, graphExec, stream):
    found = world.stream(stream)
    if found.capture is not None:
        raise CudaFailureError(900)
    found_graph = world.thing(graphExec, GraphExec)
    for operation in found_graph.operations:
        again = operation.again()
        again.graph = found_graph
        again.queued(world, found)
        found.queue.append(again)


@_call(1)
def cudaEventCreateWithFlags(world, flags):
    return world.handle(Event())


@_call()
def cudaEventRecord(world, event, stream):
    world.queue(world.stream(stream), Record(world.thing(event, Event)))


@_call(1)
def cudaEventElapsedTime(world, start, end):
    first, last = world.thing(start, Event), world.thing(end, Event)
    if not first.times or not last.times:
        raise CudaFailureError(600)
    return 1000 * (last.times[-1] - first.times[-1])


@_call(frees=True)
def cudaEventDestroy(world, event):
    world.thing(event, Event)
    del world.handles[int(event)]


@_call()
def cudaDeviceSynchronize(world):
    world.break_captures(of_others=True)
    for stream in world.all_streams():
        world.drain(stream)


@_call()
def cudaGetLastError(world):
    pass


@_call(1)
def cudaGetErrorString(world, error):
    return ERRORS[int(error)].encode()


@_call(1)
def cudaRuntimeGetVersion(world):
    return 13050


def _require_device(world):
    """A thread that chose no GPU works with the first, which is a mistake where another one is meant."""
    if getattr(_device, "index", None) is None:
        world.violate("memory or a stream in a thread that never called cudaSetDevice")


def _signatures():
    """The first parameter of everything wrapped is the world, which callers do not see."""
    import inspect

    for name, function in list(globals().items()):
        if name.startswith("cuda") and hasattr(function, "__wrapped__"):
            parameters = list(inspect.signature(function.__wrapped__).parameters.values())[1:]
            function.__signature__ = inspect.Signature(parameters)


_signatures()
__all__ = [name for name in globals() if name.startswith("cuda")]
