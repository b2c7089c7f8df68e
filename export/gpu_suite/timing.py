"""Times of repeated calls."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

_WARM_UP = 3
_LEAST, _MOST = 5, 500  # calls

Figures = dict[str, float]


def nothing() -> None:
    """Nothing to wait for."""


def measure(call: Callable[[], Any], seconds: float, wait: Callable[[], Any] = nothing) -> Figures:
    """Milliseconds of a call, with what it queues: median, least and 90th percentile.

    Args:
        call: what to measure.
        seconds: about how long; at least five calls, whatever they take.
        wait: for what the call has queued.
    """
    for _ in range(_WARM_UP):
        call()
    wait()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _LEAST or (time.perf_counter() < end and len(times) < _MOST):
        start = time.perf_counter()
        call()
        wait()
        times.append(1000 * (time.perf_counter() - start))
    p50, p90 = np.percentile(times, (50, 90))
    return {"p50_ms": float(p50), "p90_ms": float(p90), "min_ms": min(times), "calls": len(times)}


def clocked(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and its milliseconds."""
    start = time.perf_counter()
    result = call()
    return result, 1000 * (time.perf_counter() - start)
