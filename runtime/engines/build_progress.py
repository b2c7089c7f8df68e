"""How far a build is, from what TensorRT reports of its phases, which nest."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

Progress = Callable[[str, float], None]  # the outermost phase, and the share of it that is done, 0 to 1


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0
    inner: float = 0.0  # of the step at hand


@dataclass
class Phases:
    """The phases that run, by name."""

    report: Progress
    running: dict[str, _Phase] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)  # TensorRT calls from several threads

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase of so many steps begins, within a step of `parent` if that is given."""
        with self.lock:
            self.running[name] = _Phase(parent, max(steps, 1))

    def step(self, name: str, step: int) -> None:
        """The step of that number is done, counted from 0."""
        with self.lock:
            phase = self.running.get(name)
            if phase is None:
                return
            phase.done, phase.inner = step + 1, 0.0
            share = min(1.0, phase.done / phase.steps)
            while phase.parent is not None and phase.parent in self.running:
                name, phase = phase.parent, self.running[phase.parent]
                phase.inner = share
                share = min(1.0, (phase.done + phase.inner) / phase.steps)
        self.report(name, share)

    def finish(self, name: str) -> None:
        """A phase is over."""
        with self.lock:
            self.running.pop(name, None)


def monitor(tensorrt: ModuleType, progress: Progress | None) -> Any:
    """An IProgressMonitor that tells `progress`. Ctrl-C ends the build and is then found in its `interrupted`."""
    phases = Phases(progress or (lambda phase, share: None))

    class Monitor(tensorrt.IProgressMonitor):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            tensorrt.IProgressMonitor.__init__(self)
            self.interrupted: KeyboardInterrupt | None = None

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            try:
                phases.step(phase_name, step)
            except KeyboardInterrupt as error:  # must not pass through TensorRT
                self.interrupted = error
            return self.interrupted is None

        def phase_finish(self, phase_name: str) -> None:
            phases.finish(phase_name)

    return Monitor()
