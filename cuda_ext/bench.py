"""Compares the forms of patch-swap: a run each for memory, then in turns, so that a drifting clock hits all alike."""

import ctypes
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cuda_ext.bench_forms import FORMS, Problem, Run

_STATUS = Path("/proc/self/status")


def measure(problem: Problem, runs: int, threads: int, progress: Callable[[], None]) -> dict[str, Any]:
    """Run every form `runs` times in turns, after one run each for its memory.

    Returns:
        A JSON-serialisable report; ratios are medians over the turns of convolution's time by the form's.
    """
    torch.set_num_threads(threads)
    forms: dict[str, Run] = {}
    memory: dict[str, float | None] = {}
    outputs: dict[str, NDArray[Any]] = {}
    for form, make in FORMS.items():
        make(problem.small(), threads)()
        forms[form] = make(problem, threads)
        memory[form], outputs[form] = first_run(forms[form])
        progress()
    turns = []
    for _ in range(runs):
        turns.append({form: _seconds(run) for form, run in forms.items()})
        progress()
    report: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    report |= {
        "processor": platform.processor() or platform.machine(),
        "system": platform.platform(),
        "threads": threads,
    }
    report |= {"problem": problem.as_dict(), "scores_mb": problem.scores_mb, "gram_gflop": problem.gram_gflop}
    report["forms"] = {form: _figures(problem, form, memory[form], turns) for form in forms}
    return report | {"largest_difference": _largest_difference(outputs)}


def _seconds(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def first_run(run: Run) -> tuple[float | None, NDArray[Any]]:
    """Peak MB beyond what was there and the output, None but on Linux; and a copy of the output."""
    before = _reset_peak()
    output = run()
    extra = None if before is None else _resident_mb("VmHWM") - before - output.nbytes / 1e6
    return extra, output.copy()


def _reset_peak() -> float | None:
    """Resident MB now, from which the peak counts again; None where the system does not tell (anything but Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what other forms left would be taken again, unseen
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
        return _resident_mb("VmRSS")
    return None


def _resident_mb(field: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024 / 1e6


def _figures(problem: Problem, form: str, extra_mb: float | None, turns: list[dict[str, float]]) -> dict[str, Any]:
    times = [turn[form] for turn in turns]
    figures: dict[str, Any] = {
        "seconds": statistics.median(times),
        "ratio": statistics.median(turn["convolution"] / turn[form] for turn in turns),
        "roofline": statistics.median(turn["product"] / turn[form] for turn in turns),
        "times_s": times,
    }
    if form != "product":
        figures["extra_mb"] = extra_mb
        figures["of_scores"] = None if extra_mb is None else extra_mb / problem.scores_mb
    return figures


def _largest_difference(outputs: dict[str, NDArray[Any]]) -> float:
    """Between any form's output and the operator's."""
    others = (output for form, output in outputs.items() if form not in ("operator", "product"))
    return max(float(np.abs(output - outputs["operator"]).max()) for output in others)
