"""Runs the stages, each in a process of its own, and keeps the document that they fill."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from export.gpu_suite.settings import Settings
from export.gpu_suite.stages import STAGES, Stage
from export.gpu_suite.worker import MARK
from runtime.bench.measure import machine
from runtime.files import atomic_path
from runtime.version import __version__

_LOG = 3000  # characters of a failed stage's output that are kept
FORMAT = 1


class Document:
    """The JSON file, written after every change."""

    def __init__(self, path: Path, settings: Settings, *, resume: bool) -> None:
        """Begin it, or go on with what is there: stages that were done are not done again."""
        self._path, self._lock = path, threading.Lock()
        self._content: dict[str, Any] = {
            "format": FORMAT,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "pix2rt": __version__,
            "host": machine(),
            "device": settings.device,
            "is_dry_run": settings.is_small,
            "stages": {},
        }
        if resume and path.is_file():
            self._content = json.loads(path.read_text("utf-8"))

    def status(self, stage: str) -> str:
        """ "done", "failed", "out of time", or "" where it was not begun."""
        found = self._content["stages"].get(stage, {})
        return str(found.get("status", ""))

    def put(self, stage: str, **fields: Any) -> None:
        """Fields of a stage."""
        with self._lock:
            self._content["stages"].setdefault(stage, {"results": {}}).update(fields)
            self._write()

    def add(self, stage: str, key: str, value: Any) -> None:
        """A result of a stage."""
        with self._lock:
            self._content["stages"].setdefault(stage, {"results": {}})["results"][key] = value
            self._write()

    def _write(self) -> None:
        with atomic_path(self._path) as temporary:
            temporary.write_text(json.dumps(self._content, indent=1), encoding="utf-8")


def conduct(
    path: Path,
    settings: Settings,
    *,
    only: Sequence[str] = (),
    seconds: float = 480,
    resume: bool = False,
    report: Callable[[str], None] = lambda step: None,
) -> bool:
    """Run the stages in their order.

    Args:
        path: of the JSON file.
        settings: what they are told.
        only: names of stages; empty for all.
        seconds: for everything; a stage that no time is left for is left out.
        resume: go on with the file that is there.
        report: called with the name of each stage as it starts and with how it ended.

    Returns:
        Whether every stage that ran was done.
    """
    document = Document(path, settings, resume=resume)
    end = time.monotonic() + seconds
    beside: list[threading.Thread] = []
    wanted = [s for s in STAGES if (not only or s.name in only) and not (resume and document.status(s.name) == "done")]
    for stage in wanted:
        left = end - time.monotonic()
        if left < min(5, stage.limit_s):
            document.put(stage.name, status="no time was left")
            continue
        work = threading.Thread(
            target=_run, args=(stage, settings, document, min(left, stage.limit_s), report), daemon=True
        )
        work.start()
        if stage.is_beside:
            beside.append(work)
        else:
            work.join()
    for work in beside:
        work.join()
    return all(document.status(stage.name) == "done" for stage in wanted)


def new_folder() -> tempfile.TemporaryDirectory[str]:
    """For what stages make."""
    return tempfile.TemporaryDirectory(prefix="gpu-suite-")


def _run(stage: Stage, settings: Settings, document: Document, limit_s: float, report: Callable[[str], None]) -> None:
    report(stage.name)
    start = time.monotonic()
    document.put(stage.name, status="running")
    code = [sys.executable, "-m", "export.gpu_suite.worker", stage.name, settings.to_json()]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (_root(), os.environ.get("PYTHONPATH"))))}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            code, stdout=subprocess.PIPE, stderr=log, env=environment, text=True, process_group=0
        )
        timer = threading.Timer(limit_s, os.killpg, (process.pid, signal.SIGKILL))  # and whatever it has started
        timer.start()
        assert process.stdout
        for line in process.stdout:
            if line.startswith(MARK):
                document.add(stage.name, *json.loads(line[len(MARK) :]))
        result = process.wait()
        timer.cancel()
        took = time.monotonic() - start
        status = "done" if result == 0 else "out of time" if took >= limit_s else "failed"
        log.seek(0)
        words = {} if status == "done" else {"log": log.read()[-_LOG:], "exit": result}
    document.put(stage.name, status=status, seconds=round(took, 1), **words)
    report(f"{stage.name}: {status} after {took:.0f} s")


def _root() -> str:
    return str(Path(__file__).resolve().parents[2])
