"""Leads a campaign: hands out cases to worker processes, replaces those that die, and keeps what was found."""

import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from threading import Lock

from tests.campaign.kinds import Kind
from tests.campaign.worker import SECONDS, case, work

_WALL_SECONDS = 4 * SECONDS  # a file; the processor may be shared
_START_SECONDS = 300
_SHARE = 20  # cases of one kind in a row


@dataclass(frozen=True)
class Finding:
    """A case that did not end as documented: what happened, and where the file is kept."""

    kind: str
    index: int
    what: str
    file: Path


class Campaign:
    """One run over several kinds.

    Attributes:
        findings: so far.
        counts: cases read so far, by kind.
    """

    def __init__(self, kinds: Sequence[Kind], seed: int, kept: Path) -> None:
        """`kept` is the folder for files that were found; it is made when the first one is."""
        self._kinds, self._seed, self._kept = kinds, seed, kept
        self._lock = Lock()
        self.findings: list[Finding] = []
        self.counts = dict.fromkeys((kind.name for kind in kinds), 0)

    def run(self, indices: Sequence[int], *, seconds: float, workers: int, tell: Callable[[Finding], None]) -> None:
        """Read the cases `indices` of every kind, or as many as `seconds` allow, all kinds alike."""
        deadline = time.monotonic() + seconds
        with tempfile.TemporaryDirectory(prefix="campaign-") as name:
            folder = Path(name)
            for kind in self._kinds:
                (folder / kind.name).mkdir()
                kind.plant(folder / kind.name)
            shares = [indices[start : start + _SHARE] for start in range(0, len(indices), _SHARE)]
            queues = {kind.name: iter(shares) for kind in self._kinds}
            with ThreadPoolExecutor(workers) as threads:
                jobs = [threads.submit(self._lead, folder, queues, deadline, tell) for _ in range(workers)]
                for job in jobs:
                    job.result()

    def _lead(
        self, folder: Path, queues: dict[str, Iterator[Sequence[int]]], deadline: float, tell: Callable[[Finding], None]
    ) -> None:
        """One share of every kind in turn, each in the one process that this thread has for it."""
        crews = {kind.name: _Crew(kind, folder / kind.name, self._seed) for kind in self._kinds}
        try:
            while crews:
                for name, crew in list(crews.items()):
                    with self._lock:
                        share = next(queues[name], None)
                    if share is None or time.monotonic() > deadline:
                        crews.pop(name).dismiss()
                        continue
                    for index in share:
                        found = crew.read(index)
                        self._note(crew, index, found, tell)
        finally:
            for crew in crews.values():
                crew.dismiss()

    def _note(self, crew: "_Crew", index: int, found: str | None, tell: Callable[[Finding], None]) -> None:
        with self._lock:
            self.counts[crew.kind.name] += 1
            if found is None:
                return
            self._kept.mkdir(parents=True, exist_ok=True)
            name, content = case(crew.kind, crew.intact, self._seed, index)
            file = self._kept / f"{crew.kind.name}-{self._seed}-{name}"
            file.write_bytes(content)
            finding = Finding(crew.kind.name, index, found, file)
            self.findings.append(finding)
            tell(finding)


class _Crew:
    """The process that reads one kind of file for a thread, and its successors."""

    def __init__(self, kind: Kind, intact: Path, seed: int) -> None:
        self.kind, self.intact = kind, intact
        self._seed = seed
        self._process = None

    def read(self, index: int) -> str | None:
        """What is wrong with case `index`, None for nothing."""
        if self._process is None:
            self._start()
        try:
            self._connection.send(index)
            if self._connection.poll(_WALL_SECONDS):
                return self._connection.recv()
        except (EOFError, OSError):
            return self._post_mortem()
        self._process.kill()
        self._post_mortem()
        return f"time-out: no answer in {_WALL_SECONDS} s"

    def _start(self) -> None:
        context = get_context("spawn")
        self._folder = tempfile.TemporaryDirectory(prefix="campaign-worker-")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, self.kind, self.intact, Path(self._folder.name), self._seed)
        self._process = context.Process(target=work, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        try:
            is_ready = self._connection.poll(_START_SECONDS) and self._connection.recv() == "ready"
        except EOFError:
            is_ready = False
        if not is_ready:
            raise RuntimeError(f"a worker for {self.kind.name} did not start: {self._post_mortem()}")

    def _post_mortem(self) -> str:
        """How the process ended, with the last it said."""
        self._process.join()
        code = self._process.exitcode
        last = (Path(self._folder.name) / "log.txt").read_text(errors="replace")[-3000:]
        self._process = None
        self._folder.cleanup()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{'time-out' if code == -signal.SIGXCPU else 'crash'}: {how}\n{last}"

    def dismiss(self) -> None:
        if self._process is not None:
            self._connection.send(None)
            self._process.join(10)
            self._process.kill()
            self._process = None
            self._folder.cleanup()
