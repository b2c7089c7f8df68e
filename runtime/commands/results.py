"""Writing what a command makes: results one after the other, and the line that sums up."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.commands.console import out, progress_bar
from runtime.errors import InputError
from runtime.media.images import write_image


def write_all(
    step: str, make: Callable[[int], NDArray[np.uint8]], targets: Sequence[Path], sources: Sequence[Path]
) -> None:
    """Make and write every image; one is compressed while the next is made.

    Args:
        step: what is done, for the progress bar.
        make: the image uint8 [H, W, C] of an index.
        targets: where each goes.
        sources: what each is made from, for errors.
    """
    writing: Future[None] | None = None
    with progress_bar() as progress, ThreadPoolExecutor(1) as writer:
        task = progress.add_task(step, total=len(targets))
        for index, target in enumerate(targets):
            try:
                image = make(index)
            except InputError as error:
                raise error if len(targets) == 1 else type(error)(f"{sources[index]}: {error}") from error
            if writing:
                writing.result()
            writing = writer.submit(write_image, target, image)
            progress.advance(task)
        if writing:
            writing.result()


def print_result(count: int, what: str, seconds: float, output: Path) -> None:
    """Print how many images or frames became `output`, and how fast."""
    plural = "s" * (count > 1)
    out.print(
        f"{count} {what}{plural} in {seconds:.1f} s ({count / seconds:.2f} {what}s/s) → {output}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
