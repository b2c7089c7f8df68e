"""Timing of an engine and of torch eager in turns, for the reports that compare the two in one process."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from runtime.bench.measure import machine
from runtime.errors import InputError

_MAX_TURNS = 10_000
_PAUSE_S = 0.05  # in which the threads of the one library go to sleep before the other's wake up


def require_turns(turns: int) -> None:
    """Raises InputError where it is not a possible number."""
    if not 1 <= turns <= _MAX_TURNS:
        raise InputError(f"--turns is {turns}, expected a number from 1 to {_MAX_TURNS}")


def in_turns(
    calls: Sequence[Callable[[], object]], turns: int, threads: int | None, repeats: int = 1
) -> list[list[float]]:
    """Milliseconds of each call, one value a turn, after one turn that does not count.

    Args:
        calls: what is measured.
        turns: of each.
        threads: torch's; None for its own choice.
        repeats: of a call in a turn; the mean counts.
    """
    with _torch_threads(threads):
        rounds = [[_timed(call, repeats) for call in calls] for _ in range(1 + turns)][1:]
    return [list(column) for column in zip(*rounds, strict=True)]


def speedup(torch_ms: Sequence[float], engine_ms: Sequence[float]) -> float:
    """Median of torch ÷ engine over the turns, which a busy machine slows alike."""
    return float(np.median(np.divide(torch_ms, engine_ms)))


def shown_ms(times_ms: Sequence[float]) -> str:
    """As a table has it: median and best."""
    return f"{np.median(times_ms):.1f} ms (best {min(times_ms):.1f})"


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Markdown of names and figures, and what they were measured on."""
    system = machine()
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""]
    lines.append(f"{system['cpu']}, {system['cores']} cores, torch {torch.__version__}; medians, measured in turns.")
    return "\n".join(lines) + "\n"


@contextmanager
def _torch_threads(threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _timed(call: Callable[[], object], repeats: int) -> float:
    time.sleep(_PAUSE_S)
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return 1000 * (time.perf_counter() - start) / repeats
