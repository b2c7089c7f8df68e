"""Engines as TensorRT or TensorRT-RTX plans on an NVIDIA GPU."""

import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from numpy.typing import NDArray

from runtime.engines.backend import Device
from runtime.engines.device_memory import DeviceBuffer, MemoryShortageError, free_soon
from runtime.engines.plan import Plan
from runtime.engines.spec import EngineSpec
from runtime.engines.tensorrt_plan import LoadedPlan
from runtime.engines.tensorrt_session import Worker
from runtime.errors import ClosedError, DeviceError

MOST_WORKERS = 4  # calls that run at once; more wait


class TensorRtEngine:
    """A plan that does what `spec` says. See `runtime.engines.backend.Engine`."""

    backend = "tensorrt"

    def __init__(self, plan: Plan, spec: EngineSpec, device: Device) -> None:
        """Load the weights; the errors are those of `runtime.engines.tensorrt_plan.LoadedPlan`."""
        self.spec = spec
        self.device = str(device)
        self.skipped: tuple[str, ...] = ()
        self._name = plan.name
        self._pool = Pool(LoadedPlan(plan, spec, device))
        self._end = weakref.finalize(self, free_soon, self._pool.release)
        self._end.atexit = False  # the driver may be gone by then, and the process gives all back anyhow

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `runtime.engines.backend.Engine.run`. A shape outside the plan's profile raises InputError."""
        with self._opened() as pool:
            shapes = pool.plan.shapes(inputs)
            with _explained(self._name, self.device, inputs), pool.worker() as worker:
                return worker.session(shapes).run(inputs)

    def loop(self, inputs: Mapping[str, NDArray[Any]], carried: Mapping[str, str]) -> "TensorRtLoop":
        """See `runtime.engines.backend.Engine.loop`."""
        with self._opened() as pool:
            return TensorRtLoop(pool, self.device, inputs, carried)

    def close(self) -> None:
        """See `runtime.engines.backend.Engine.close`."""
        self._end()

    @contextmanager
    def _opened(self) -> Iterator["Pool"]:
        if not self._end.alive or not self._pool.retain():
            raise ClosedError(f"engine {self._name} was closed; open it again")
        try:
            yield self._pool
        finally:
            self._pool.release()


class TensorRtLoop:
    """Calls whose state stays on the device, in a block of its own. See `runtime.engines.backend.Loop`."""

    def __init__(
        self, pool: "Pool", device: str, inputs: Mapping[str, NDArray[Any]], carried: Mapping[str, str]
    ) -> None:
        self._pool, self._name, self._device, self._carried = pool, pool.plan.name, device, dict(carried)
        self._shapes = pool.plan.shapes(inputs)
        self._sizes = {name: value.shape for name, value in inputs.items()}
        with _explained(self._name, device, inputs), pool.worker() as worker:
            session = worker.session(self._shapes)
            for output, name in carried.items():
                source, target = session.layout.slots[output], session.layout.slots[name]
                if (source.shape, source.dtype) != (target.shape, target.dtype):
                    raise DeviceError(f"{output} of {source.shape} cannot become {name} of {target.shape}")
            self._block = DeviceBuffer(pool.plan.cuda, session.layout.nbytes)
            try:
                session.upload(self._block, inputs)
            except BaseException:
                self._block.close()
                raise
        pool.retain()
        self._end = weakref.finalize(self, free_soon, partial(_end_loop, self._block, pool))
        self._end.atexit = False

    def step(self) -> None:
        """See `runtime.engines.backend.Loop.step`."""
        with _explained(self._name, self._device, self._sizes), self._pool.worker() as worker:
            worker.session(self._shapes).step(self._block, self._carried)

    def fetch(self, name: str) -> NDArray[Any]:
        """See `runtime.engines.backend.Loop.fetch`."""
        with _explained(self._name, self._device, self._sizes), self._pool.worker() as worker:
            return worker.session(self._shapes).fetch(self._block, name)


def _end_loop(block: DeviceBuffer, pool: "Pool") -> None:
    block.close()
    pool.release()


@contextmanager
def _explained(name: str, device: str, inputs: Mapping[str, Any]) -> Iterator[None]:
    """A DeviceError says what was run, where, and on what."""
    try:
        yield
    except DeviceError as error:
        sizes = ", ".join(f"{tensor} {list(getattr(value, 'shape', value))}" for tensor, value in inputs.items())
        raise DeviceError(f"engine {name} failed on {device} for {sizes}: {error}") from error


class Pool:
    """Workers for concurrent callers: made when they are needed, as many as there is memory for, kept for the next.

    Whoever uses the pool retains it; when the last one releases it, every worker and the plan are given back.
    """

    def __init__(self, plan: LoadedPlan) -> None:
        self._plan: LoadedPlan | None = plan
        self._condition = threading.Condition()
        self._idle: list[Worker] = []
        self._count, self._most, self._users = 0, MOST_WORKERS, 1

    @property
    def plan(self) -> LoadedPlan:
        """What its workers run; for who retains the pool."""
        assert self._plan
        return self._plan

    def retain(self) -> bool:
        """Use the pool; False where it has ended."""
        with self._condition:
            if not self._users:
                return False
            self._users += 1
            return True

    def release(self) -> None:
        """Use it no longer."""
        with self._condition:
            self._users -= 1
            if self._users:
                return
            ended, self._idle = self._idle, []
        for worker in ended:
            worker.close()
        self._plan = None

    @contextmanager
    def worker(self) -> Iterator[Worker]:
        """A worker for this caller alone. After an error it is closed: what it has queued, nobody knows."""
        self.plan.cuda.activate()
        worker = self._take()
        try:
            yield worker
        except BaseException:
            worker.close()
            self._lose()
            raise
        with self._condition:
            self._idle.append(worker)
            self._condition.notify()

    def _take(self) -> Worker:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._idle or self._count < self._most)
                if self._idle:
                    return self._idle.pop()
                self._count += 1
            try:
                return Worker(self.plan)
            except BaseException as error:
                if not self._lose(fits=not isinstance(error, MemoryShortageError)):
                    raise

    def _lose(self, fits: bool = True) -> bool:
        """One worker less; True if it did not fit beside others, which then have to do."""
        with self._condition:
            self._count -= 1
            self._condition.notify()
            if fits or not self._count:
                return False
            self._most = self._count
            return True
