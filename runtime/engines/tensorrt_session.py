"""One shape of a plan ready to run: a context, its tensors on the device and in pinned memory, and the captured graphs.

Nothing of a context changes once its graphs are captured, for a graph holds on to what the context was.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.device_memory import CaptureError, DeviceBuffer, HostBuffer, MemoryShortageError, aligned
from runtime.engines.tensorrt_plan import LoadedPlan, Shapes
from runtime.errors import DeviceError

MOST_SHAPES = 8  # that one worker keeps ready, the last used ones
_CAPTURE_TRIES = 3  # another thread may break a capture; what fails more often cannot be captured


@dataclass(frozen=True)
class Slot:
    """Where a tensor lies in a block of memory."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int

    @property
    def nbytes(self) -> int:
        """Of its elements."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


@dataclass(frozen=True)
class Layout:
    """All tensors of a call in one block: the inputs first, so that each direction is one copy."""

    slots: Mapping[str, Slot]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    input_bytes: int
    nbytes: int

    @classmethod
    def of(cls, plan: LoadedPlan, shapes: Mapping[str, tuple[int, ...]]) -> "Layout":
        """The layout for tensors of these shapes."""
        slots, offset, input_bytes = {}, 0, 0
        for tensor in (*plan.spec.inputs, *plan.spec.outputs):
            slot = Slot(tensor.name, shapes[tensor.name], np.dtype(tensor.dtype), offset)
            slots[tensor.name] = slot
            offset += aligned(slot.nbytes)
            if plan.spec.input(tensor.name):
                input_bytes = offset
        inputs, outputs = (tuple(t.name for t in tensors) for tensors in (plan.spec.inputs, plan.spec.outputs))
        return cls(slots, inputs, outputs, input_bytes, offset)


class Session:
    """A context for one shape of the inputs, for one caller at a time. The first call of each kind runs as TensorRT
    queues it and is then captured; every later one is one launch of the graph.
    """

    def __init__(self, plan: LoadedPlan, stream: int, scratch: DeviceBuffer, shapes: Shapes) -> None:
        """Raises DeviceError where memory or TensorRT fail; then nothing is left."""
        self._plan, self._cuda, self._stream = plan, plan.cuda, stream
        self._graphs: dict[str, Any] = {}
        self._tries: dict[str, int] = {}
        with ExitStack() as made:
            self._context = plan.context()
            made.callback(self._forget)
            self._context.set_device_memory(scratch.address, scratch.nbytes)
            self.layout = self._set_shapes(shapes)
            plan.require_free(self.layout.nbytes, "for the images of a call")
            self._device = DeviceBuffer(plan.cuda, self.layout.nbytes)
            made.callback(self._device.close)
            self._host = HostBuffer(plan.cuda, self.layout.nbytes)
            made.callback(self._host.close)
            for slot in self.layout.slots.values():
                address = self._device.address + slot.offset
                self._require(self._context.set_tensor_address(slot.name, address), f"the address of {slot.name}")
            self._views = {s.name: self._host.view(s.offset, s.shape, s.dtype) for s in self.layout.slots.values()}
            self._resources = made.pop_all()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Arrays in, fresh arrays out."""
        for name in self.layout.inputs:
            np.copyto(self._views[name], inputs[name])
        self._do("run", self._copy_and_run)
        return {name: self._views[name].copy() for name in self.layout.outputs}

    def upload(self, block: DeviceBuffer, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Put a call's inputs into a block of this layout."""
        for name in self.layout.inputs:
            np.copyto(self._views[name], inputs[name])
        self._cuda.copy(block.address, self._host.address, self.layout.input_bytes, "HostToDevice", self._stream)
        self._cuda.synchronize(self._stream)

    def step(self, block: DeviceBuffer, carried: Mapping[str, str]) -> None:
        """Run on the inputs of a block, put the outputs there, and what is carried over into its inputs, too."""
        split, end = self.layout.input_bytes, self.layout.nbytes
        self._copy(self._device.address, block.address, split)
        self._do("step", self._enqueue, wait=False)
        self._copy(block.address + split, self._device.address + split, end - split)
        for output, name in carried.items():
            source, target = self.layout.slots[output], self.layout.slots[name]
            self._copy(block.address + target.offset, block.address + source.offset, target.nbytes)
        self._cuda.synchronize(self._stream)

    def fetch(self, block: DeviceBuffer, name: str) -> NDArray[Any]:
        """An array of a block."""
        slot = self.layout.slots[name]
        source, target = block.address + slot.offset, self._host.address + slot.offset
        self._cuda.copy(target, source, slot.nbytes, "DeviceToHost", self._stream)
        self._cuda.synchronize(self._stream)
        return self._views[name].copy()

    def close(self) -> None:
        """Free everything; the stream must have nothing of it queued."""
        self._views = {}
        self._resources.close()

    def _set_shapes(self, shapes: Shapes) -> Layout:
        plan, context = self._plan, self._context
        names = [tensor.name for tensor in plan.spec.inputs]
        with plan.hearing() as heard:
            if plan.is_dynamic:
                is_set = context.set_optimization_profile_async(0, self._stream)
                self._require(is_set, f"its profile ({heard.reason()})")
                self._cuda.synchronize(self._stream)
                for name, shape in zip(names, shapes, strict=True):
                    self._require(context.set_input_shape(name, shape), f"{name} of {shape} ({heard.reason()})")
            try:
                missing = context.infer_shapes()
            except RuntimeError as error:  # the one call that raises
                raise DeviceError(f"TensorRT cannot infer shapes: {error} {heard.reason()}") from error
            if missing:
                raise DeviceError(f"TensorRT does not know the shapes of {', '.join(missing)}: {heard.reason()}")
        found = dict(zip(names, shapes, strict=True))
        for tensor in plan.spec.outputs:
            found[tensor.name] = tuple(context.get_tensor_shape(tensor.name))
            if any(axis < 0 for axis in found[tensor.name]):
                raise DeviceError(f"TensorRT gives {tensor.name} the shape {found[tensor.name]}, expected sizes")
        return Layout.of(plan, found)

    def _do(self, kind: str, work: Callable[[type[DeviceError]], None], wait: bool = True) -> None:
        graph = self._graphs.get(kind)
        if graph is not None:
            self._cuda.call("cudaGraphLaunch", graph, self._stream)
        else:
            work(DeviceError)
        if wait or graph is None:
            self._cuda.synchronize(self._stream)
        if graph is None and self._tries.setdefault(kind, 0) < _CAPTURE_TRIES:
            self._capture(kind, work)

    def _capture(self, kind: str, work: Callable[[type[DeviceError]], None]) -> None:
        """Keep the work as a graph. What TensorRT cannot capture goes on as it is, queued call by call."""
        is_capturable = getattr(self._context, "is_stream_capturable", None)  # of TensorRT-RTX
        if is_capturable is not None and not is_capturable(self._stream):
            self._tries[kind] = _CAPTURE_TRIES
            return
        try:
            self._graphs[kind] = self._cuda.capture(self._stream, lambda: work(CaptureError))
        except CaptureError:
            self._tries[kind] += 1
        self._plan.save_kernels()

    def _copy_and_run(self, failure: type[DeviceError]) -> None:
        split, end = self.layout.input_bytes, self.layout.nbytes
        device, host = self._device.address, self._host.address
        self._cuda.copy(device, host, split, "HostToDevice", self._stream)
        self._enqueue(failure)
        self._cuda.copy(host + split, device + split, end - split, "DeviceToHost", self._stream)

    def _enqueue(self, failure: type[DeviceError]) -> None:
        with self._plan.hearing() as heard:
            if not self._context.execute_async_v3(self._stream):
                raise failure(f"TensorRT does not run it: {heard.reason()}")

    def _copy(self, target: int, source: int, nbytes: int) -> None:
        self._cuda.copy(target, source, nbytes, "DeviceToDevice", self._stream)

    def _require(self, is_set: bool, what: str) -> None:
        if not is_set:
            raise DeviceError(f"TensorRT does not take {what}")

    def _forget(self) -> None:
        """Graphs before the context that they were captured from."""
        for graph in self._graphs.values():
            self._cuda.free("cudaGraphExecDestroy", graph)
        self._graphs = {}
        self._context = None


class Worker:
    """A stream, scratch memory, and a session for each of the last shapes; for one caller at a time."""

    def __init__(self, plan: LoadedPlan) -> None:
        """Raises DeviceError where memory is short; then nothing is left."""
        self._plan, self._cuda = plan, plan.cuda
        self._sessions: OrderedDict[Shapes, Session] = OrderedDict()
        with ExitStack() as made:
            plan.require_free(plan.scratch_bytes, "of scratch memory")
            self._scratch = DeviceBuffer(plan.cuda, plan.scratch_bytes)
            made.callback(self._scratch.close)
            self._stream = plan.cuda.stream()
            made.callback(plan.cuda.free, "cudaStreamDestroy", self._stream)
            made.callback(self._close_sessions)
            self._resources = made.pop_all()

    def session(self, shapes: Shapes) -> Session:
        """The session for inputs of these shapes, made anew where there is none."""
        session = self._sessions.get(shapes)
        if session is not None:
            self._sessions.move_to_end(shapes)
            return session
        while len(self._sessions) >= MOST_SHAPES:
            self._sessions.popitem(last=False)[1].close()
        try:
            session = Session(self._plan, self._stream, self._scratch, shapes)
        except MemoryShortageError:
            if not self._sessions:
                raise
            self._close_sessions()  # other shapes make room
            session = Session(self._plan, self._stream, self._scratch, shapes)
        self._sessions[shapes] = session
        return session

    def close(self) -> None:
        """Wait for what is queued, and free everything."""
        self._cuda.free("cudaStreamSynchronize", self._stream)
        self._resources.close()

    def _close_sessions(self) -> None:
        while self._sessions:
            self._sessions.popitem()[1].close()
