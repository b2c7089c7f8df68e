"""Compares the forms of patch-swap: times in turns, so that a drifting clock hits all alike; memory in processes."""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from cuda_ext.bench_forms import FORMS, Problem


class FormProcess:
    """One form in a process of its own that answers each line of its input with a line of JSON."""

    def __init__(self, form: str, problem: Problem, threads: int) -> None:
        self.form = form
        package_folder = str(Path(__file__).resolve().parents[1])
        search = os.pathsep.join(filter(None, (package_folder, os.environ.get("PYTHONPATH"))))
        arguments = json.dumps([form, problem.as_dict(), threads])
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from cuda_ext.bench_worker import serve; serve()", arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": str(threads)},
        )

    def call(self, line: str) -> Any:
        """The reply to one request, see `bench_worker.serve`."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        reply = self._process.stdout.readline()
        if not reply:
            code = self._process.wait()
            raise RuntimeError(f"the process of form {self.form!r} died (exit status {code}); is the memory enough?")
        return json.loads(reply)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def measure(problem: Problem, runs: int, threads: int, progress: Callable[[], None]) -> dict[str, Any]:
    """Run every form `runs` times in turns, after one run each for its memory.

    Returns:
        A JSON-serialisable report; ratios are medians over the turns of convolution's time by the form's.

    Raises:
        RuntimeError: a form died.
    """
    workers: list[FormProcess] = []
    try:
        for form in FORMS:
            workers.append(FormProcess(form, problem, threads))
        memory = []
        for worker in workers:
            memory.append(worker.call("memory"))
            progress()
        turns = []
        for _ in range(runs):
            turns.append({worker.form: float(worker.call("run")) for worker in workers})
            progress()
        difference = _largest_difference(workers)
    finally:
        for worker in workers:
            worker.close()
    forms = {
        worker.form: _figures(problem, worker.form, extra_mb, turns)
        for worker, extra_mb in zip(workers, memory, strict=True)
    }
    report: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    report |= {
        "processor": platform.processor() or platform.machine(),
        "system": platform.platform(),
        "threads": threads,
    }
    report |= {"problem": problem.as_dict(), "scores_mb": problem.scores_mb, "gram_gflop": problem.gram_gflop}
    return report | {"forms": forms, "largest_difference": difference}


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


def _largest_difference(workers: list[FormProcess]) -> float:
    """Between any form's output and the operator's."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = {}
        for worker in workers:
            if worker.form != "product":
                path = Path(folder) / f"{worker.form}.npy"
                worker.call(f"save {path}")
                outputs[worker.form] = np.load(path)
    reference = outputs.pop("operator")
    return max(float(np.abs(output - reference).max()) for output in outputs.values())
