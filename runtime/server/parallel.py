"""How many calls run at once, and on how many threads each: measured, since it depends on engines and machine."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.engines.engine import engine_spec
from runtime.engines.native_engine import physical_cores
from runtime.errors import Pix2rtError
from runtime.media.images import encode_image
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
    """Measure engines with their example inputs, from arrays to the bytes of a picture: one call on all cores against
    two on half of them, and so on while that does more.

    Several are chosen only where all engines together then do a tenth more, because each answer takes longer.
    Engines that do not load are left out.
    """
    cores = physical_cores()
    one = [_speed(path, device, backend, 1, cores) for path in paths]
    best, calls = Parallel(1, cores), 2
    while calls <= cores:
        speeds = [_speed(path, device, backend, calls, cores // calls) for path in paths]
        ratios = [new / old for new, old in zip(speeds, one, strict=True) if new and old]
        gain = statistics.geometric_mean(ratios) if ratios else 0.0
        if gain < max(_WORTH, best.gain or 0.0):
            break
        best, calls = Parallel(calls, cores // calls, gain), 2 * calls
    return best


def given(calls: int | None, threads: int | None) -> Parallel:
    """What the user named; the other is what fills the machine."""
    cores = physical_cores()
    return Parallel(calls or max(1, cores // (threads or cores)), threads or max(1, cores // (calls or 1)))


def _speed(path: Path, device: str, backend: str, calls: int, threads: int) -> float | None:
    """Calls a second; None where the engine does not load."""
    try:
        runner = RUNNERS[engine_spec(path).kind](path, device, backend=backend, threads=threads)
        with runner:
            runner.warm_up()
            example = runner.example(runner.spec)

            def work() -> None:
                made = runner.run(**example, **runner.quick_options)
                if isinstance(made, np.ndarray):
                    encode_image(made, "png")

            return calls_a_second(work, calls, _SECONDS)
    except (Pix2rtError, KeyError):
        return None


def calls_a_second(work: Callable[[], object], calls: int, seconds: float) -> float:
    """How often `work` is done by so many threads, measured for so long, at least once by each."""
    ends = time.perf_counter() + seconds

    def repeat(_: int) -> int:
        count = 0
        while not count or time.perf_counter() < ends:
            work()
            count += 1
        return count

    start = time.perf_counter()
    with ThreadPoolExecutor(calls) as threads:
        done = sum(threads.map(repeat, range(calls)))
    return done / (time.perf_counter() - start)
