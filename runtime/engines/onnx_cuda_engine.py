"""Engines in ONNX on a CUDA GPU: tensors that stay on the device, pinned memory, and CUDA graphs where they can be."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from runtime.engines.backend import Device
from runtime.engines.bound_session import BoundSession, Call, CapturingError
from runtime.engines.device_memory import Cuda, MemoryShortageError
from runtime.engines.onnx_engine import LOAD_ERRORS, run_error
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec, TensorSpec
from runtime.errors import ClosedError, DeviceError, EngineFormatError

Arrays = Mapping[str, NDArray[Any]]
_MB = 1e6


class OnnxCudaEngine:
    """An ONNX Runtime session whose tensors stay on the device. See `runtime.engines.backend.Engine`.

    Calls take turns: onnxruntime replays one graph at a time, and the GPU would do little else. After a call that
    fails, the next one opens the session anew.

    Attributes:
        has_graphs: whether calls are CUDA graphs.
        has_pinned_memory: whether copies go through pinned memory, queued on the session's stream.
        on_cpu: operators that run on the CPU all the same, with their numbers.
    """

    backend = "onnxruntime"

    def __init__(
        self,
        engine: EngineSource | Path,
        spec: EngineSpec,
        device: Device,
        threads: int | None = None,
        *,
        use_graphs: bool = True,
        use_pinned_memory: bool = True,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Load the weights.

        Args:
            engine: what to run.
            spec: its specification.
            device: a GPU; the CPU does for tests, without graphs and pinned memory.
            threads: CPU threads of one call.
            use_graphs: capture calls as CUDA graphs where that can be.
            use_pinned_memory: copy through pinned memory where cuda-bindings is installed.
            options: further options of onnxruntime's CUDA provider.

        Raises:
            EngineFormatError, DeviceError: as `runtime.engines.engine.open_engine`.
        """
        self.spec, self.device = spec, str(device)
        self._source, self._place = EngineSource.of(engine), device
        self._threads, self._options = threads, dict(options or {})
        self._lock = threading.RLock()
        self.skipped: tuple[str, ...] = ()
        self._is_closed = False
        self._use_graphs = use_graphs and device.type != "cpu"
        self._cuda = self._driver() if use_pinned_memory and device.type != "cpu" else None
        self._session: BoundSession | None = None
        self._session = self._open()
        self._note_nodes_on_cpu()

    @property
    def has_graphs(self) -> bool:
        """See the class."""
        return self._use_graphs

    @property
    def has_pinned_memory(self) -> bool:
        """See the class."""
        return self._cuda is not None

    @property
    def on_cpu(self) -> Mapping[str, int]:
        """See the class."""
        with self.opened({}) as session:
            return session.on_cpu

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """See `runtime.engines.backend.Engine.run`."""
        self._require_fit(inputs)
        with self.opened(inputs) as session:
            try:
                return session.run(inputs)
            except CapturingError as error:
                return self._without_graphs(error).run(inputs)

    def loop(self, inputs: Arrays, carried: Mapping[str, str]) -> "OnnxCudaLoop":
        """See `runtime.engines.backend.Engine.loop`."""
        self._require_fit(inputs)
        return OnnxCudaLoop(self, inputs, carried)

    def close(self) -> None:
        """See `runtime.engines.backend.Engine.close`."""
        with self._lock:
            self._is_closed = True
            self._end()

    @contextmanager
    def opened(self, inputs: Arrays, earlier: BoundSession | None = None) -> Iterator[BoundSession]:
        """The session, for this thread alone; what fails on `inputs` ends the session and is a DeviceError.

        Args:
            inputs: for the error.
            earlier: the session that must still be the one; None for any.

        Raises:
            DeviceError: the `earlier` one has ended.
            ClosedError: the engine has.
        """
        with self._lock:
            if self._is_closed:
                raise ClosedError(f"engine {self._source} was closed; open it again")
            if earlier is not None and earlier is not self._session:
                raise DeviceError(
                    f"engine {self._source} failed on {self.device} in another call, and the state of this loop is "
                    "lost; start it anew"
                )
            self._session = self._session or self._open()
            try:
                yield self._session
            except DeviceError as error:
                self._end()
                raise DeviceError(f"engine {self._source} failed on {self.device}: {error}") from error
            except LOAD_ERRORS as error:
                self._end()
                raise run_error(self._source, self.device, inputs, error) from error

    def take(self, inputs: Arrays) -> tuple[BoundSession, Call]:
        """A call of the session for arrays like these, captured where that can be; for who has it `opened`."""
        assert self._session
        try:
            return self._session, self._session.take(inputs)
        except CapturingError as error:
            session = self._without_graphs(error)
            return session, session.take(inputs)

    def _driver(self) -> Cuda | None:
        try:
            return Cuda(self._place.index)
        except DeviceError as error:
            self._note("pinned memory", str(error))
            return None

    def _open(self) -> BoundSession:
        if self._cuda:
            _require_memory(self._source, self.spec, self._cuda)
        if not self._use_graphs:
            return self._opened_session(use_graphs=False)
        try:
            return self._opened_session(use_graphs=True)
        except (DeviceError, EngineFormatError) as error:
            session = self._opened_session(use_graphs=False)  # raises where graphs were not the reason
            self._give_up_graphs(error)
            return session

    def _opened_session(self, *, use_graphs: bool) -> BoundSession:
        return BoundSession(
            self._source,
            self.spec,
            self._place,
            self._threads,
            use_graphs=use_graphs,
            cuda=self._cuda,
            options=self._options,
        )

    def _without_graphs(self, error: Exception) -> BoundSession:
        """A new session in the place of one that failed to capture."""
        self._end()
        self._give_up_graphs(error)
        self._session = self._opened_session(use_graphs=False)
        return self._session

    def _give_up_graphs(self, error: Exception) -> None:
        self._use_graphs = False
        self._note("CUDA graph", f"calls are queued node by node, for they cannot be captured ({error})")

    def _note(self, what: str, sentence: str) -> None:
        self.skipped = (*self.skipped, f"{what}: {sentence}")

    def _note_nodes_on_cpu(self) -> None:
        """Where calls can be captured, onnxruntime has found that none but shapes are computed there."""
        nodes = self.on_cpu
        if nodes and not self._use_graphs:
            listed = ", ".join(f"{operator} ×{count}" for operator, count in nodes.items())
            self._note("nodes on the CPU", f"onnxruntime runs {sum(nodes.values())} there: {listed}")

    def _end(self) -> None:
        session, self._session = self._session, None
        if session:
            session.close()

    def _require_fit(self, inputs: Arrays) -> None:
        """What the session would refuse is refused before it ends for that."""
        if len(inputs) == len(self.spec.inputs) and all(_fits(one, inputs.get(one.name)) for one in self.spec.inputs):
            return
        given = ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in inputs.items())
        wanted = ", ".join(f"{one.name} {one.dtype} {list(one.shape)}" for one in self.spec.inputs)
        raise DeviceError(f"engine {self._source} failed on {self.device} for {given}: expected {wanted}")


def _fits(tensor: TensorSpec, value: NDArray[Any] | None) -> bool:
    if value is None or value.dtype != tensor.dtype or value.ndim != len(tensor.shape):
        return False
    return all(isinstance(axis, str) or axis == size for axis, size in zip(tensor.shape, value.shape, strict=True))


class OnnxCudaLoop:
    """Calls whose state stays on the device, in a call's tensors of its own. See `runtime.engines.backend.Loop`."""

    def __init__(self, engine: OnnxCudaEngine, inputs: Arrays, carried: Mapping[str, str]) -> None:
        self._engine, self._carried, self._inputs = engine, dict(carried), dict(inputs)
        self._steps = 0
        with engine.opened(inputs):
            self._session, self._call = engine.take(inputs)
            self._session.upload(self._call, inputs)
        # A loop has no end that it is told of: with the last reference its call is free for others.
        self._lease = _Lease(self._session, self._call)

    def step(self) -> None:
        """See `runtime.engines.backend.Loop.step`."""
        with self._opened() as session:
            session.step(self._call, self._carried, is_first=not self._steps)
            self._steps += 1

    def fetch(self, name: str) -> NDArray[Any]:
        """See `runtime.engines.backend.Loop.fetch`."""
        with self._opened() as session:
            return session.fetch(self._call, name)

    def _opened(self) -> AbstractContextManager[BoundSession]:
        return self._engine.opened(self._inputs, self._session)


class _Lease:
    """A call that a loop has; given back when nobody refers to the loop any more."""

    def __init__(self, session: BoundSession, call: Call) -> None:
        self._session, self._call = session, call

    def __del__(self) -> None:
        self._session.give_soon(self._call)


def _require_memory(source: EngineSource, spec: EngineSpec, cuda: Cuda) -> None:
    """Raises MemoryShortageError where weights and activations of one image do not fit into what is free."""
    cost = spec.cost
    needed = cost.weight_bytes + cost.activation_bytes
    free, total = cuda.memory()
    if needed > free:
        raise MemoryShortageError(
            f"engine {source} needs at least {needed / _MB:,.0f} MB on GPU {cuda.index} (weights "
            f"{cost.weight_bytes / _MB:,.0f}, tensors of one image {cost.activation_bytes / _MB:,.0f}), of whose "
            f"{total / _MB:,.0f} MB {free / _MB:,.0f} MB are free; end other programs that use it, or use an engine "
            "of a smaller size or of fp16"
        )
