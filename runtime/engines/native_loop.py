"""Repeated calls of a native plan: its weights are packed once, its outputs are copied to where they come in again."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.native_memory import Arena
from runtime.engines.native_steps import Plan
from runtime.errors import ClosedError
from runtime.native.library import Buffers, Kernels


class LoopMemory:
    """Memory that all loops of an engine over one plan share: packed weights, and what a call works in.

    Args:
        plan: whose weights stay packed.
        make_arena: bytes → memory.
    """

    def __init__(self, plan: Plan, make_arena: Callable[[int], Arena]) -> None:
        self.plan = plan
        self._arena = make_arena(plan.size)
        self._is_prepared = False
        self._lock = threading.Lock()

    def run(self, kernels: Kernels, buffers: Buffers, threads: int) -> None:
        """One call; others wait."""
        with self._lock:
            arena = (self._arena.address, self._arena.size)
            kernels.run(self.plan.layers, arena, buffers, threads, is_prepared=self._is_prepared)
            self._is_prepared = True


class NativeLoop:
    """See `runtime.engines.backend.Loop`."""

    def __init__(
        self,
        memory: LoopMemory,
        kernels: Kernels,
        threads: int,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, NDArray[Any]],
        carried: Mapping[str, str],
        file_of: Callable[[], object | None],
    ) -> None:
        """`inputs` and `outputs`: arrays of its own, in the order of the specification; `file_of`: None once closed."""
        self._memory, self._kernels, self._threads = memory, kernels, threads
        self._outputs = outputs
        self._carried = [(outputs[made], inputs[taken]) for made, taken in carried.items()]
        self._buffers = Buffers([*inputs.values(), *outputs.values()])
        self._file_of = file_of
        self._has_run = False

    def step(self) -> None:
        """See `runtime.engines.backend.Loop.step`."""
        file = self._file_of()  # keeps it mapped while this call runs
        if file is None:
            raise ClosedError("the engine of this loop was closed; open it again")
        if self._has_run:
            for made, taken in self._carried:
                np.copyto(taken, made)
        self._memory.run(self._kernels, self._buffers, self._threads)
        self._has_run = True

    def fetch(self, name: str) -> NDArray[Any]:
        """See `runtime.engines.backend.Loop.fetch`."""
        return self._outputs[name].copy()
