"""Measures engines end to end: arrays of bytes in, array of bytes out, host work included.

Every engine runs in a process of its own, so that load time and peak memory are its own; engines take turns, so that a
drifting clock hits all alike.
"""

import os
import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.bench.inputs import BenchInput
from runtime.bench.worker import EngineProcess
from runtime.engines.engine import AUTO
from runtime.version import __version__


def measure(
    paths: Sequence[Path],
    scene: BenchInput,
    runs: int,
    warmup: int,
    *,
    device: str = AUTO,
    backends: Sequence[str] = (),
    threads: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Measure engines in turns.

    Args:
        paths: of the engines.
        scene: the input of all of them.
        runs: measured calls of each.
        warmup: calls of each before those, at least one: the first call is reported by itself.
        device: as in `open_engine`.
        backends: of each engine, as in `open_engine`; empty for "auto".
        threads: as in `open_engine`.
        progress: called after every turn.

    Returns:
        A JSON-serialisable report. Under "engines", every engine but the first has what it is to the first: "speedup",
        how many times as fast the first one is, as median, min and max over turns, and "max_difference" of their
        outputs, in the units of "output"; None where these have other shapes.

    Raises:
        Pix2rtError: an engine cannot be opened, or refuses the input.
    """
    workers: list[EngineProcess] = []
    try:
        for path in paths:
            workers.append(EngineProcess(path))
        opened = [
            worker.call("open", worker.path, device, backend, threads, scene)
            for worker, backend in zip(workers, backends or (AUTO,) * len(paths), strict=True)
        ]
        turns_ms = np.array([_turn(workers, progress) for _ in range(max(warmup, 1) + runs)])
        memory, outputs = zip(*(worker.call("finish") for worker in workers), strict=True)
    finally:
        for worker in workers:
            worker.close()
    measured = turns_ms[-runs:].T
    engines = [
        {"path": str(path), **opened[i], "first_call_ms": float(turns_ms[0, i]), "peak_memory_mb": memory[i]}
        | _statistics(measured[i])
        for i, path in enumerate(paths)
    ]
    for engine, times_ms, output in zip(engines[1:], measured[1:], outputs[1:], strict=True):
        engine["speedup"] = _speedup(times_ms / measured[0])
        engine["max_difference"] = _max_difference(outputs[0], output)
    report: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "pix2rt": __version__}
    report |= {"machine": machine(), "input": scene.source, "size": list(scene.size)}
    return report | {"output": "grey levels" if outputs[0].dtype == np.uint8 else "floats", "engines": engines}


def _turn(workers: list[EngineProcess], progress: Callable[[], None]) -> list[float]:
    times_ms = [float(worker.call("run")) for worker in workers]
    progress()
    return times_ms


def _statistics(times_ms: NDArray[np.float64]) -> dict[str, Any]:
    p50, p90, p99 = (float(value) for value in np.percentile(times_ms, (50, 90, 99)))
    return {"p50_ms": p50, "p90_ms": p90, "p99_ms": p99, "images_per_s": 1000 / p50, "times_ms": times_ms.tolist()}


def _speedup(ratios: NDArray[np.float64]) -> dict[str, float]:
    return {"median": float(np.median(ratios)), "min": float(ratios.min()), "max": float(ratios.max())}


def _max_difference(first: NDArray[Any], second: NDArray[Any]) -> float | None:
    if first.shape != second.shape:
        return None
    return float(np.abs(first.astype(np.float32) - second.astype(np.float32)).max())


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
