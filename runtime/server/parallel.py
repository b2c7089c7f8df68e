"""How many calls run at once, and on how many threads each: measured, since it depends on engines and machine."""

import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from runtime.engines.engine import engine_spec
from runtime.engines.native_engine import physical_cores
from runtime.errors import Pix2rtError
from runtime.runners.runner import Runner
from runtime.server.inference import RUNNERS

_SECONDS = 0.4  # of measuring a candidate, at least one call of each thread
_WORTH = 1.1  # how much more must be done in all for every single answer to take longer


@dataclass(frozen=True)
class Parallel:
    """A choice.

    Attributes:
        calls: that run at once.
        threads: of each.
        gain: of several calls, a second, against one at a time on all cores; None where that was not measured.
    """

    calls: int
    threads: int
    gain: float | None = None

    def __str__(self) -> str:
        threads = f" on {self.threads} thread{'s' if self.threads > 1 else ''}"
        measured = f", which do {self.gain:.2f} times what one does" if self.gain and self.calls > 1 else ""
        return f"{self.calls} call{'s' if self.calls > 1 else ''} at once{threads}{measured}"


def choose(paths: Sequence[Path], device: str, backend: str) -> Parallel:
    """Measure engines with their example inputs, one call on all cores against several on fewer.

    Several are chosen only where all engines together then do a tenth more, because each answer takes longer.
    Engines that do not load are left out.
    """
    cores = physical_cores()
    candidates = [(cores // threads, threads) for threads in _divisors(cores)]
    first = [_speed(path, device, backend, *candidates[0]) for path in paths]
    gains = [1.0]
    for candidate in candidates[1:]:
        pairs = [
            (_speed(path, device, backend, *candidate), old) for path, old in zip(paths, first, strict=True) if old
        ]
        ratios = [new / old for new, old in pairs if new]
        gains.append(statistics.geometric_mean(ratios) if ratios else 0.0)
    best = max(range(len(gains)), key=gains.__getitem__)
    chosen = best if gains[best] >= _WORTH else 0
    return Parallel(*candidates[chosen], gains[chosen] if len(gains) > 1 else None)


def given(calls: int | None, threads: int | None) -> Parallel:
    """What the user named; the other is what fills the machine."""
    cores = physical_cores()
    return Parallel(calls or max(1, cores // (threads or cores)), threads or max(1, cores // (calls or 1)))


def _divisors(cores: int) -> Iterator[int]:
    yield cores
    for threads in range(cores // 2, 0, -1):
        if cores % threads == 0:
            yield threads


def _speed(path: Path, device: str, backend: str, calls: int, threads: int) -> float | None:
    """Calls a second; None where the engine does not load."""
    try:
        runner = RUNNERS[engine_spec(path).kind](path, device, backend=backend, threads=threads)
        with runner:
            runner.warm_up()
            return _calls_a_second(runner, calls)
    except (Pix2rtError, KeyError):
        return None


def _calls_a_second(runner: Runner, calls: int) -> float:
    ends = time.perf_counter() + _SECONDS

    def repeat(_: int) -> int:
        count = 0
        while not count or time.perf_counter() < ends:
            runner.warm_up()
            count += 1
        return count

    start = time.perf_counter()
    with ThreadPoolExecutor(calls) as threads:
        done = sum(threads.map(repeat, range(calls)))
    return done / (time.perf_counter() - start)
