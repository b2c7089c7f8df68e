"""Going through a command's images: results written one after the other, failures kept for the end, a line that sums
up.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from runtime.commands.console import NoteOnce, err, note, out, progress_bar
from runtime.errors import ImageFileError, InputError, MissingFileError, OutputError, Pix2rtError
from runtime.extras import extra_needed
from runtime.files import is_stream, is_there
from runtime.media.images import write_image

OF_ONE_IMAGE = (InputError, ImageFileError, MissingFileError)  # the others may still succeed


@dataclass(frozen=True)
class Result:
    """A picture that was made: uint8 [H, W, C], where it goes, and the ICC profile that it is in."""

    path: Path
    image: NDArray[np.uint8]
    profile: bytes | None = None


# Makes the results of an index; its second argument gives what takes the sentences on a file. For a cluster it is
# pickled, and runners in it open their engine again where they are.
Notes = Callable[[Path], Callable[[str], None]]
Maker = Callable[[int, Notes], Sequence[Result]]


def threads_of(ray: str | None, threads: int | None) -> int | None:
    """Of a runner that actors of a cluster open again: as many as CPUs are set aside for each."""
    return threads or (1 if ray else None)


@dataclass
class ImageRun:
    """A command's way through its images.

    Attributes:
        step: what is done, for the progress bar.
        sources: what each result is made from.
        targets: where each goes.
        output: what the user gave for them.
        skip_existing: leave out images whose target is there.
        stop_at_first: let the first image that fails end the run.
    """

    step: str
    sources: Sequence[Path]
    targets: Sequence[Path]
    output: Path
    skip_existing: bool = False
    stop_at_first: bool = False
    _notes: NoteOnce = field(default_factory=NoteOnce, init=False)
    _written: list[Path] = field(default_factory=list, init=False)
    _failures: dict[str, list[Path]] = field(default_factory=dict, init=False)
    _skipped: int = field(default=0, init=False)
    _seconds: float = field(default=0.0, init=False)

    def notify(self, path: Path) -> Callable[[str], None]:
        """What takes the sentences on one file."""
        return lambda sentence: self._notes.add(path, sentence)

    def make(self, make: "Maker", ray: str | None, threads: int | None, device: str) -> None:
        """`write` here, or on the Ray cluster of that address; see `Maker`. Then `finish`."""
        if ray is None:
            self.write(lambda index: make(index, self.notify))
        else:
            self._spread(make, ray, threads, device)
        self.finish()

    def _spread(self, make: "Maker", ray: str, threads: int | None, device: str) -> None:
        with extra_needed("--ray", "ray"):
            from runtime.server.cluster import Actors, cluster, spread
        pending = self._pending()
        actors = Actors(threads_of(ray, threads) or 1, 0 if device in ("auto", "cpu") else 1)
        start = time.perf_counter()
        with cluster(ray), progress_bar() as bar:
            task = bar.add_task(self.step, total=len(pending))
            for index, outcome in spread(partial(_outcome, make), pending, actors) if pending else ():
                for path, sentence in outcome.notes:
                    self._notes.add(path, sentence)
                if outcome.failure is None:
                    self._written += outcome.written
                elif isinstance(outcome.failure, OF_ONE_IMAGE):
                    self._fail(index, outcome.failure)
                else:
                    raise outcome.failure
                bar.advance(task)
        self._seconds = time.perf_counter() - start

    def _pending(self) -> list[int]:
        pending = [i for i, target in enumerate(self.targets) if not (self.skip_existing and is_there(target))]
        self._skipped = len(self.targets) - len(pending)
        return pending

    def write(
        self,
        make: Callable[[int], Sequence[Result]],
        should_end: Callable[[], bool] = lambda: False,
        progress: Progress | None = None,
    ) -> int:
        """Make and write every image; one is compressed while the next is made.

        Args:
            make: the results of an index.
            should_end: asked before each image.
            progress: a bar that `make` moves, instead of one of images.

        Returns:
            How many images are done or were there already; `should_end` left the others.

        Raises:
            Pix2rtError: the only image fails, the first one does with `stop_at_first`, or results cannot be written.
        """
        start = time.perf_counter()
        pending = self._pending()
        begun = self._skipped
        writing: Future[list[Path]] | None = None
        with nullcontext(progress) if progress else progress_bar() as bar, ThreadPoolExecutor(1) as writer:
            task = None if progress else bar.add_task(self.step, total=len(pending))
            for index in pending:
                if should_end():
                    break
                begun += 1
                try:
                    results = make(index)
                except OF_ONE_IMAGE as error:
                    self._fail(index, error)
                else:
                    self._keep(writing)
                    writing = writer.submit(_write, results)
                if task is not None:
                    bar.advance(task)
            self._keep(writing)
        self._seconds = time.perf_counter() - start
        return begun

    def finish(self, *, sums_up: bool = True) -> None:
        """Print the remaining notes and, if it `sums_up`, how many results there are; raise InputError for the
        failures.
        """
        self._notes.finish()
        _require_kept(self._written)
        if self._skipped:
            note(f"{self._skipped} of {len(self.targets)} results were there already")
        if sums_up and self._written:
            print_result(len(self._written), "image", self._seconds, self.output)
        if self._failures:
            raise InputError(self._summary_of_failures())

    def _summary_of_failures(self) -> str:
        """A line for each reason, with the files that it holds for."""
        lines = []
        for reason, files in self._failures.items():
            line = _with_name(files[0], reason)
            if len(files) == len(self.targets):
                return f"{line}; likewise all {len(files) - 1} others"
            lines.append(line + "".join(f"; likewise {file}" for file in files[1:]))
        failed = sum(map(len, self._failures.values()))
        return "\n".join([f"{failed} of {len(self.targets)} images failed:", *lines])

    def _fail(self, index: int, error: Pix2rtError) -> None:
        source = self.sources[index]
        if self.stop_at_first or len(self.targets) == 1:
            raise type(error)(_with_name(source, str(error))) from error
        self._failures.setdefault(str(error), []).append(source)

    def _keep(self, writing: "Future[list[Path]] | None") -> None:
        if writing:
            _require_kept(self._written[-1:])
            self._written += writing.result()[:1]


def _with_name(source: Path, reason: str) -> str:
    return reason if str(source) in reason else f"{source}: {reason}"


def _write(results: Sequence[Result]) -> list[Path]:
    for result in results:
        write_image(result.path, result.image, result.profile)
    return [result.path for result in results]


@dataclass(frozen=True)
class _Outcome:
    """Of an image that was made elsewhere."""

    written: list[Path]
    notes: list[tuple[Path, str]]
    failure: Pix2rtError | None = None


def _outcome(make: Maker, index: int) -> _Outcome:
    notes: list[tuple[Path, str]] = []

    def notify(path: Path) -> Callable[[str], None]:
        return lambda sentence: notes.append((path, sentence))

    try:
        return _Outcome(_write(make(index, notify))[:1], notes)
    except Pix2rtError as error:
        return _Outcome([], notes, error)


def _require_kept(written: Sequence[Path]) -> None:
    """A folder that somebody deletes is made again for the next result; those before would be missing in silence."""
    lost = [path for path in written if not (is_stream(path) or is_there(path))]
    if lost:
        raise OutputError(
            f"{lost[0]} is gone since it was written; was its folder deleted or moved? Run the command again, with "
            "--skip-existing for what is missing"
        )


def say(line: str, output: Path) -> None:
    """Print a line on standard output, or on standard error where `output` may be there."""
    (err if is_stream(output) else out).print(line, markup=False, highlight=False, soft_wrap=True)


def print_result(count: int, what: str, seconds: float, output: Path) -> None:
    """Print how many images or frames became `output`, and how fast."""
    plural = "s" * (count > 1)
    say(f"{count} {what}{plural} in {seconds:.1f} s ({count / seconds:.2f} {what}s/s) → {output}", output)
