"""Engines run by our own kernels on the CPU: a file's program, with weights read where the mapped file has them."""

import ctypes
import mmap
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.engines.backend import Loop
from runtime.engines.native_loop import LoopMemory, NativeLoop
from runtime.engines.native_memory import Arena
from runtime.engines.native_planner import Planner, WeightFile
from runtime.engines.native_steps import Plan, build
from runtime.engines.program import Program, read_program
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec
from runtime.errors import ClosedError, EngineFormatError, UnknownProgramError
from runtime.native.library import Buffers, load_kernels

_KEPT_PLANS = 8  # shapes whose plans are kept; a plan is some 100 kB
Shapes = tuple[tuple[int, ...], ...]


class Timing(NamedTuple):
    """Of one step of a run; `products` are multiply-adds of a convolution in the direct form, else 0."""

    step: str
    seconds: float
    products: int


class NativeEngine:
    """The native kernels and a mapped engine file. See `runtime.engines.backend.Engine`."""

    backend = "native"
    device = "cpu"
    skipped: tuple[str, ...] = ()

    def __init__(
        self,
        engine: EngineSource | Path,
        spec: EngineSpec,
        threads: int | None = None,
        kernels: str | None = None,
        algorithm: str = "auto",
    ) -> None:
        """Map the file; nothing of its weights is read yet.

        Args:
            engine: the engine's bytes.
            spec: its specification.
            threads: of one call; None for one per physical core.
            kernels: the instruction set, by default the best that this CPU has.
            algorithm: of convolutions where there is a choice: "auto", "direct" or "winograd".

        Raises:
            DeviceError: there are no native kernels here.
            UnknownProgramError: the file has no program, or one that these kernels cannot run.
            EngineFormatError: the program or the file is damaged.
        """
        self._kernels = load_kernels(kernels)
        self._source = EngineSource.of(engine)
        self.spec, self._algorithm = spec, algorithm
        self.threads = threads or physical_cores()
        found = read_program(self._source, spec)
        if found is None:
            raise UnknownProgramError(f"engine {self._source} carries no program for native kernels; export it again")
        self._program: Program = found[0]
        self._file: _Bytes | None = _Bytes(self._source)
        self._weights = WeightFile(self._file.address, found[1])
        self._check_bounds(self._file.size)
        self._lock = threading.Lock()
        self._plans: OrderedDict[Shapes, Plan] = OrderedDict()
        self._arenas: list[Arena] = []
        self._loops: weakref.WeakValueDictionary[Shapes, LoopMemory] = weakref.WeakValueDictionary()
        self._buffers = {tensor.name: i for i, tensor in enumerate((*spec.inputs, *spec.outputs))}
        self._try_plan()

    @property
    def instruction_set(self) -> str:
        """What the kernels are made for: "avx512", "avx2", "neon" or "generic"."""
        return self._kernels.name

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `runtime.engines.backend.Engine.run`."""
        return self._run(inputs, None)[0]

    def profile(self, inputs: Mapping[str, NDArray[Any]]) -> tuple[dict[str, NDArray[Any]], list[Timing]]:
        """As `run`, and what each step took."""
        seconds: list[float] = []
        outputs, plan = self._run(inputs, seconds)
        return outputs, [Timing(*step) for step in zip(plan.labels, seconds, plan.products, strict=True)]

    def peak(self) -> float:
        """Floating-point operations a second that all threads together can reach, measured; takes 50 ms."""
        return self._kernels.peak() * self.threads

    def loop(self, inputs: Mapping[str, NDArray[Any]], carried: Mapping[str, str]) -> Loop:
        """See `runtime.engines.backend.Engine.loop`. Loops of one shape share memory: their steps take turns."""
        if self._file is None:
            raise ClosedError(f"engine {self._source} was closed; open it again")
        given = {t.name: np.array(inputs[t.name], t.dtype, order="C") for t in self.spec.inputs}
        memory = self._loop_memory(tuple(array.shape for array in given.values()))
        results = {name: np.empty(shape, dtype) for name, shape, dtype in memory.plan.outputs}
        return NativeLoop(memory, self._kernels, self.threads, given, results, carried, lambda: self._file)

    def _loop_memory(self, shapes: Shapes) -> LoopMemory:
        with self._lock:
            memory = self._loops.get(shapes)
            if memory is None:
                plan = self._make_plan(shapes, keeps_weights=True)
                memory = self._loops[shapes] = LoopMemory(plan, lambda size: Arena(size, self._source))
        return memory

    def close(self) -> None:
        """Unmap the file and free the memory, as soon as no call runs."""
        with self._lock:
            self._file = None
            self._arenas.clear()
            self._plans.clear()

    def _run(
        self, inputs: Mapping[str, NDArray[Any]], seconds: list[float] | None
    ) -> tuple[dict[str, NDArray[Any]], Plan]:
        file = self._file  # keeps it mapped while this call runs
        if file is None:
            raise ClosedError(f"engine {self._source} was closed; open it again")
        given = {t.name: np.ascontiguousarray(inputs[t.name], t.dtype) for t in self.spec.inputs}
        plan, outputs = self._plan(tuple(array.shape for array in given.values()))
        results = {name: np.empty(shape, dtype) for name, shape, dtype in outputs}
        buffers = Buffers([*given.values(), *results.values()])
        arena = self._take(plan.size)
        times = (ctypes.c_double * len(plan.layers))() if seconds is not None else None
        self._kernels.run(plan.layers, (arena.address, arena.size), buffers, self.threads, times)
        self._give(arena)
        if seconds is not None and times is not None:
            seconds += list(times)
        return results, plan

    def _try_plan(self) -> None:
        """What these kernels cannot do shows on opening; so does what does not fit, where sizes are fixed."""
        try:
            self._plan(_smallest_shapes(self.spec))
        except UnknownProgramError:
            raise
        except EngineFormatError:
            if self.spec.size:
                raise

    def _plan(self, shapes: Shapes) -> tuple[Plan, list[tuple[str, tuple[int, ...], str]]]:
        with self._lock:
            plan = self._plans.get(shapes)
            if plan is None:
                plan = self._plans[shapes] = self._make_plan(shapes)
                while len(self._plans) > _KEPT_PLANS:
                    self._plans.popitem(last=False)
            self._plans.move_to_end(shapes)
        return plan, plan.outputs

    def _make_plan(self, shapes: Shapes, *, keeps_weights: bool = False) -> Plan:
        names = [tensor.name for tensor in self.spec.inputs]
        values = self._program.values(dict(zip(names, shapes, strict=True)), self.spec, self._weights.initializers)
        batch = values[self.spec.outputs[0].name].shape[0]
        planner = Planner(values, batch, self._buffers, self._weights, self._kernels.lanes, self._algorithm)
        steps = planner.plan(self._program)
        plan = build(steps, planner.batch, self._kernels, self.threads, keeps_weights=keeps_weights)
        plan.outputs = [(tensor.name, values[tensor.name].shape, tensor.dtype) for tensor in self.spec.outputs]
        return plan

    def _check_bounds(self, size: int) -> None:
        for found in self._weights.initializers.values():
            if found.offset < 0 or found.offset + found.nbytes > size:
                raise EngineFormatError(f"engine {self._source}: initializer {found.name} lies beyond the file's end")

    def _take(self, size: int) -> "Arena":
        with self._lock:
            while self._arenas:
                arena = self._arenas.pop()
                if arena.size >= size:
                    return arena
        return Arena(size, self._source)

    def _give(self, arena: "Arena") -> None:
        """Keep it for the next call: fresh memory costs as much as some layers."""
        with self._lock:
            if self._file is not None and len(self._arenas) < 1:
                self._arenas.append(arena)


class _Bytes:
    """An engine's bytes, read-only; a file's are shared with every process that maps it."""

    def __init__(self, source: EngineSource) -> None:
        self._held: mmap.mmap | bytes
        if source.data is not None:
            self._held = source.data
        else:
            with source.open() as file:
                self._held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            if hasattr(mmap, "MADV_WILLNEED"):
                self._held.madvise(mmap.MADV_WILLNEED)  # read ahead while the host prepares its first call
        self.size = len(self._held)
        self.address: int = np.frombuffer(self._held, np.uint8).ctypes.data


def _smallest_shapes(spec: EngineSpec) -> Shapes:
    """Inputs of a size that the engine takes."""
    side = -(-spec.smallest_side // spec.size_multiple) * spec.size_multiple
    size = spec.size or (side, side)
    sizes = {"N": 1, "H": size[0], "W": size[1]}
    return tuple(tuple(sizes.get(axis, 1) if isinstance(axis, str) else axis for axis in t.shape) for t in spec.inputs)


def physical_cores() -> int:
    """Cores that this process may use; two hardware threads of one core count once."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cpus = os.sched_getaffinity(0)
    siblings = {_siblings(cpu) for cpu in cpus}
    return max(1, len(siblings))


def _siblings(cpu: int) -> str:
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return str(cpu)
