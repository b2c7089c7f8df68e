"""The process that `cuda_ext.bench` starts for each form."""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from cuda_ext.bench_forms import FORMS, Problem

_STATUS = Path("/proc/self/status")


def serve() -> None:
    """Answer requests: "memory" runs once and replies peak extra MB, "run" replies seconds, "save PATH" the path."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not end up among the replies
    form, sizes, threads = json.loads(sys.argv[1])
    torch.set_num_threads(threads)
    problem = Problem(**sizes)
    FORMS[form](problem.small(), threads)()
    run = FORMS[form](problem, threads)
    output = np.empty(0, np.float32)
    for line in sys.stdin:
        name, _, path = line.strip().partition(" ")
        reply: float | str | None = path
        if name == "memory":
            before = _reset_peak()
            output = run()
            reply = None if before is None else _resident_mb("VmHWM") - before - output.nbytes / 1e6
        elif name == "run":
            start = time.perf_counter()
            output = run()
            reply = time.perf_counter() - start
        else:
            np.save(path, output)
        print(json.dumps(reply), file=replies, flush=True)


def _reset_peak() -> float | None:
    """Resident MB now, from which the peak counts again; None where the system does not tell (anything but Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
        return _resident_mb("VmRSS")
    return None


def _resident_mb(field: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024 / 1e6
