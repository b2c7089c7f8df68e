"""A sketch in, its photo out, or the reverse, by the search of the Contextual GAN."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from runtime.commands.options import Device, Engine, Threads
from runtime.commands.trace import Trace
from runtime.console import INTERRUPTED, note, out, progress_bar
from runtime.engine import engine_spec
from runtime.errors import InputError
from runtime.images import read_drawing, write_image
from runtime.input_files import output_paths
from runtime.search import Completion, Search, Step
from runtime.sketch_completer import DIRECTIONS, SketchCompleter

_WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg")


def complete(
    engine: Engine,
    image: Annotated[Path, typer.Argument(metavar="SKETCH", help="The drawing, or with --given photo a photo.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .png or .jpg, or a folder.")],
    given: Annotated[str, typer.Option(help="What SKETCH is: sketch or photo; the other one is made.")] = "sketch",
    known: Annotated[
        Path | None,
        typer.Option(help="A grey picture of SKETCH's size: black = not to be relied on, the lighter the weightier."),
    ] = None,
    iterations: Annotated[int, typer.Option(help="Most steps of the search.")] = Search.iterations,
    restarts: Annotated[int, typer.Option(help="Searches side by side, of which the best counts.")] = Search.restarts,
    candidates: Annotated[int, typer.Option(help="Random starts tried for each of them.")] = Search.candidates,
    seed: Annotated[int, typer.Option(help="Of the random starts.")] = Search.seed,
    learning_rate: Annotated[float, typer.Option(help="Of the search.")] = Search.learning_rate,
    momentum: Annotated[float, typer.Option(help="Of the search.")] = Search.momentum,
    perceptual_weight: Annotated[
        float, typer.Option(help="λ: small follows SKETCH, large the discriminator's taste.")
    ] = Search.perceptual_weight,
    z_limit: Annotated[float, typer.Option(help="Bound of every component of z.")] = Search.z_limit,
    stop_early: Annotated[
        bool, typer.Option("--stop-early/--all-iterations", help="Whether to end once the loss has settled.")
    ] = Search.stop_early,
    joint: Annotated[bool, typer.Option("--joint", help="Write sketch and photo side by side.")] = False,
    trace: Annotated[Path | None, typer.Option(help="Also draw losses and intermediate images there (.png).")] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Make the photo that a sketch, however poor, belongs to; or a photo's sketch.

    Any size: extended to a square and scaled to the engine's. Ctrl-C keeps the best result so far.

    Example: `pix2rt complete faces.onnx sketch.png -o photo.png --restarts 3`

    Example: `pix2rt complete faces.onnx photo.jpg --given photo -o sketch.png --trace trace.png`
    """
    engine_spec(engine, ("sketch",))
    if given not in DIRECTIONS:
        raise InputError(f"--given {given!r} is unknown; give sketch or photo, whichever the file is")
    (target,) = output_paths([image], output, "image", _WRITTEN_SUFFIXES)
    if trace:
        (trace,) = output_paths([image], trace, "image", (".png",))
    completer = SketchCompleter(engine, device, threads)
    drawing = read_drawing(image)
    known_mask = read_drawing(known).max(axis=-1) if known else None
    observed, mask = completer.joint(drawing, given, known_mask, lambda sentence: note(f"{image}: {sentence}"))
    drawn = Trace(iterations) if trace else None
    start = time.perf_counter()
    with progress_bar("steps") as progress, _interruption() as interrupted:
        task = progress.add_task("complete", total=iterations)

        def follow(step: Step) -> bool:
            progress.update(task, completed=step.iteration)
            if drawn:
                drawn.add(step)
            return bool(interrupted)

        completion = completer.complete(
            observed,
            mask,
            callback=follow,
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
    seconds = time.perf_counter() - start
    write_image(target, completion.image if joint else _half(completion.image, given))
    if trace and drawn:
        write_image(trace, drawn.draw(completion))
    _print(completion, seconds, target)
    if interrupted:
        note("interrupted; the best result so far was kept")
        raise typer.Exit(INTERRUPTED)


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


def _half(joint: NDArray[np.uint8], given: str) -> NDArray[np.uint8]:
    return np.split(joint, 2, axis=1)[1 if given == "sketch" else 0]


def _print(completion: Completion, seconds: float, target: Path) -> None:
    first, last = (completion.contextual_loss[i, completion.restart] for i in (0, completion.iteration))
    steps = len(completion.contextual_loss) - 1
    out.print(
        f"{steps} steps in {seconds:.1f} s ({1000 * seconds / max(steps, 1):.1f} ms each), contextual loss "
        f"{first:.4f} → {last:.4f} at step {completion.iteration} → {target}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
