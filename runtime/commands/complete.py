"""Sketches in, their photos out, or the reverse, by the search of the Contextual GAN."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated

import numpy as np
import typer
from rich.progress import Progress

from runtime.commands.console import INTERRUPTED, note, progress_bar
from runtime.commands.lazy import REST
from runtime.commands.options import Backend, Device, Engine, SkipExisting, StopAtFirst, Threads
from runtime.commands.results import ImageRun, Result, say
from runtime.commands.trace import Trace
from runtime.engines.engine import engine_spec
from runtime.errors import InputError
from runtime.files import is_stream
from runtime.media.images import read_drawing
from runtime.media.input_files import (
    IMAGE_SUFFIXES,
    WRITTEN_SUFFIXES,
    find_images,
    output_paths,
    refuse_overwriting,
)
from runtime.media.mask_images import read_hint, read_weights
from runtime.media.mates import match_masks
from runtime.runners.search import Completion, Search, Step
from runtime.runners.sketch_completer import SketchCompleter
from runtime.runners.sketch_input import Direction


def complete(
    engine: Engine,
    images: Annotated[
        list[Path], typer.Argument(metavar="SKETCHES...", help="Drawings, with --given photo photos; files or folders.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .png or .jpg for one image, else a folder.")],
    given: Annotated[
        Direction, typer.Option(help="What SKETCHES are: sketch or photo; the other one is made.")
    ] = "sketch",
    known: Annotated[
        Path | None,
        typer.Option(
            help="A grey picture of SKETCH's size, or a folder of them: black = not to be relied on, the lighter the "
            "weightier.",
            rich_help_panel=REST,
        ),
    ] = None,
    hint: Annotated[
        Path | None,
        typer.Option(
            help="A picture of SKETCH's size, or a folder of them, transparent but where it says what the other half "
            "is like: dabs of colour, say. The more opaque the weightier."
        ),
    ] = None,
    iterations: Annotated[int, typer.Option(help="Most steps of the search.")] = Search.iterations,
    restarts: Annotated[int, typer.Option(help="Searches side by side, of which the best counts.")] = Search.restarts,
    candidates: Annotated[
        int, typer.Option(help="Random starts tried for each of them.", rich_help_panel=REST)
    ] = Search.candidates,
    seed: Annotated[int, typer.Option(help="Of the random starts.")] = Search.seed,
    learning_rate: Annotated[float, typer.Option(help="Of the search.", rich_help_panel=REST)] = Search.learning_rate,
    momentum: Annotated[float, typer.Option(help="Of the search.", rich_help_panel=REST)] = Search.momentum,
    perceptual_weight: Annotated[
        float, typer.Option(help="λ: small follows SKETCH, large the discriminator's taste.", rich_help_panel=REST)
    ] = Search.perceptual_weight,
    z_limit: Annotated[
        float, typer.Option(help="Bound of every component of z.", rich_help_panel=REST)
    ] = Search.z_limit,
    stop_early: Annotated[
        bool,
        typer.Option(
            "--stop-early/--all-iterations", help="Whether to end once the loss has settled.", rich_help_panel=REST
        ),
    ] = Search.stop_early,
    joint: Annotated[
        bool, typer.Option("--joint", help="Write sketch and photo side by side.", rich_help_panel=REST)
    ] = False,
    trace: Annotated[Path | None, typer.Option(help="Also draw losses and intermediate images there (.png).")] = None,
    skip_existing: SkipExisting = False,
    stop_at_first: StopAtFirst = False,
    device: Device = "auto",
    backend: Backend = "auto",
    threads: Threads = None,
) -> None:
    """Make the photo that a sketch, however poor, belongs to; or a photo's sketch.

    Any size: extended to a square and scaled to the engine's. Ctrl-C keeps the best result so far.

    Example: `pix2rt complete faces.onnx sketch.png -o photo.png --restarts 3`

    Example: `pix2rt complete faces.onnx sketches/ -o photos --hint colours/`

    Example: `pix2rt complete faces.onnx photo.jpg --given photo -o sketch.png --trace trace.png`
    """
    engine_spec(engine, ("sketch",))
    search = Search(
        iterations=iterations,
        restarts=restarts,
        candidates=candidates,
        seed=seed,
        learning_rate=learning_rate,
        momentum=momentum,
        perceptual_weight=perceptual_weight,
        z_limit=z_limit,
        stop_early=stop_early,
    )
    jobs = _jobs(images, output, known, hint, trace)
    completer = SketchCompleter(engine, device, backend=backend, threads=threads)
    sources, targets = [job.source for job in jobs], [job.target for job in jobs]
    run = ImageRun("complete", sources, targets, output, skip_existing, stop_at_first)
    with _interruption() as interrupted:
        progress = progress_bar("steps")
        completion = _Completion(completer, search, given, joint, run, progress, interrupted)
        begun = run.write(lambda index: completion.of(jobs[index]), lambda: bool(interrupted), progress)
    if interrupted:
        left = len(jobs) - begun
        unbegun = f"; {left} of {len(jobs)} images {'was' if left == 1 else 'were'} not begun" if left else ""
        note(f"interrupted; the best result so far was kept{unbegun}")
    run.finish(sums_up=len(jobs) > 1)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


@dataclass(frozen=True)
class _Job:
    """An image, what is known beside it, and where its results go."""

    source: Path
    target: Path
    known: Path | None
    hint: Path | None
    trace: Path | None


def _jobs(
    images: Sequence[Path], output: Path, known: Path | None, hint: Path | None, trace: Path | None
) -> list[_Job]:
    sources = find_images(images, IMAGE_SUFFIXES, WRITTEN_SUFFIXES[0])
    targets = output_paths(sources, output, "image", WRITTEN_SUFFIXES)
    nothing: list[Path | None] = [None] * len(sources)
    masks = match_masks(sources, known) if known else nothing
    hints = match_masks(sources, hint, "hint") if hint else nothing
    traces = output_paths(sources, trace, "image", WRITTEN_SUFFIXES[:1], "--trace") if trace else nothing
    jobs = [_Job(*files) for files in zip(sources, targets, masks, hints, traces, strict=True)]
    for name, files in (("mask", masks), ("hint", hints)):
        read = [file for file in files if file]
        refuse_overwriting(name, read, targets)
        refuse_overwriting(name, read, [file for file in traces if file], "--trace")
    for job in jobs:
        if job.trace and job.trace.resolve() == job.target.resolve():
            raise InputError(f"--trace would overwrite the result {job.target}; choose another folder or name")
    return jobs


@dataclass(frozen=True)
class _Completion:
    """What all images have in common."""

    completer: SketchCompleter
    search: Search
    given: Direction
    joint: bool
    run: ImageRun
    progress: Progress
    interrupted: list[int]

    def of(self, job: _Job) -> list[Result]:
        """Search, report, and return what is to be written."""
        notify = self.run.notify(job.source)
        observed, mask = self.completer.joint(
            read_drawing(job.source, notify),
            read_weights(job.known) if job.known else None,
            read_hint(job.hint) if job.hint else None,
            given=self.given,
            notify=notify,
        )
        drawn = Trace(self.search.iterations) if job.trace else None
        task = self.progress.add_task(job.source.stem, total=self.search.iterations)

        def follow(step: Step) -> bool:
            self.progress.update(task, completed=step.iteration)
            if drawn:
                drawn.add(step)
            return bool(self.interrupted)

        start = time.perf_counter()
        completion = self.completer.complete(observed, mask, callback=follow, **asdict(self.search))
        seconds = time.perf_counter() - start
        self.progress.remove_task(task)
        sketch, photo = completion.halves(self.given)
        both = np.concatenate([sketch, photo], 1)
        made = [Result(job.target, both if self.joint else photo if self.given == "sketch" else sketch)]
        if job.trace and drawn:
            made.append(Result(job.trace, drawn.draw(completion, both)))
        is_piped = job.trace is not None and is_stream(job.trace)
        say(_summary(completion, seconds, job.target), job.trace if job.trace and is_piped else job.target)
        return made


@contextmanager
def _interruption() -> Iterator[list[int]]:
    """A list that Ctrl-C puts its signal into, instead of ending the process; the second time it ends."""
    received: list[int] = []

    def receive(number: int, _frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    previous = signal.signal(signal.SIGINT, receive)
    try:
        yield received
    finally:
        signal.signal(signal.SIGINT, previous)


def _summary(completion: Completion, seconds: float, target: Path) -> str:
    first, last = (completion.contextual_loss[i, completion.restart] for i in (0, completion.iteration))
    steps = len(completion.contextual_loss) - 1
    return (
        f"{steps} steps in {seconds:.1f} s ({1000 * seconds / max(steps, 1):.1f} ms each), contextual loss "
        f"{first:.4f} → {last:.4f} at step {completion.iteration} → {target}"
    )
