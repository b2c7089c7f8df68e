"""What a completion is given, and what it makes of it: styles of sketch by engine, and hints by weight."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.files import atomic_path
from training.checkpoint import Checkpoint
from training.data.sketches import STYLES
from training.evaluation.appearance import ColourDistance, Fidelity
from training.evaluation.evaluate import Progress, Report, evaluate
from training.evaluation.figures import Measure, legend, markdown_table, occurring
from training.evaluation.grid import write_grid
from training.networks.completion_losses import contextual_loss
from training.networks.layers import to_unit_range
from training.system import HeldOut
from training.systems.contextual_gan.completion import Search
from training.systems.contextual_gan.held_out import Completer, Item, find_items

WEIGHTS = (16, 64, 255)
# Middles of the dabs of colour as shares of the side, (y, x): where a portrait has its hair and a cheek.
_DABS = ((0.14, 0.5), (0.62, 0.36))
_DAB_SIDE = 0.125
_GRID_ITEMS = 6
_PICTURES = "pictures"

# Entered with a row's title; what it gives is told each item's name.
Evaluating = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class Study:
    """What all rows have in common.

    Attributes:
        data: folder of photos.
        split: part of the folder.
        limit: most items.
        search: how ẑ is sought.
        out: folder to write: `table.md`, grids and all pictures.
    """

    data: Path
    split: str
    limit: int
    search: Search
    out: Path

    def items(self, checkpoint: Checkpoint, style: str = "", hint: NDArray[np.uint8] | None = None) -> list[Item]:
        """Sketches of which the photo is to be made; errors as of `find_items`."""
        found = islice(find_items(checkpoint, self.data, self.split, style=style), self.limit)
        return [replace(item, hint=hint) for item in found]

    def report(
        self, completer: Completer, items: Sequence[Item], folder: Path, measure: Measure, progress: Progress
    ) -> Report:
        """Complete the items; of each a picture in `folder`, whose older ones go."""
        for stale in folder.glob("*.png"):
            stale.unlink()
        losses: list[float] = []
        report = evaluate(_completed(completer, items, self.search, losses), [Fidelity(), measure], folder, progress)
        return replace(report, generated={**report.generated, "contextual_loss": float(np.mean(losses))})

    def write(self, first_title: str, reports: Mapping[str, Report], notes: Sequence[str]) -> None:
        """`table.md`."""
        rows = [(title, report.generated) for title, report in reports.items()]
        count = len(next(iter(reports.values())).items)
        lines = [*markdown_table(first_title, rows), "", *legend(occurring(values for _, values in rows)), ""]
        lines += [*notes, f"Means over {count} items; {self.search.iterations} steps, N = {self.search.candidates}."]
        with atomic_path(self.out / "table.md") as temporary:
            temporary.write_text("\n".join(lines) + "\n", "utf-8")


def style_study(checkpoints: Mapping[str, Checkpoint], study: Study, evaluating: Evaluating) -> dict[str, Report]:
    """Every checkpoint on sketches of every style; a grid a style.

    Args:
        checkpoints: of the Contextual GAN, by name.
        study: what all rows have in common.
        evaluating: shows progress.

    Returns:
        Reports by row: "fdog, <name>".

    Raises:
        DataError: there are no photos.
    """
    reports = {}
    completers = {name: Completer(checkpoint) for name, checkpoint in checkpoints.items()}
    for style in STYLES:
        folders = {name: study.out / _PICTURES / style / name for name in checkpoints}
        for name, checkpoint in checkpoints.items():
            row, items = f"{style}, {name}", study.items(checkpoint, style)
            with evaluating(row) as progress:
                reports[row] = study.report(completers[name], items, folders[name], ColourDistance(), progress)
        write_grid(study.out / f"{style}.png", folders, _GRID_ITEMS)
    study.write("sketch", reports, [])
    return reports


def hint_study(checkpoint: Checkpoint, study: Study, evaluating: Evaluating) -> dict[str, Report]:
    """No hint, two dabs of the real photo's colours, and all of the photo, by weight; a grid of all rows.

    Args:
        checkpoint: of the Contextual GAN.
        study: what all rows have in common.
        evaluating: shows progress.

    Returns:
        Reports by row: "dabs, 64".

    Raises:
        DataError: there are no photos.
    """
    side = checkpoint.architecture.size[0]
    dabs = dabs_of_colour(side)
    hints: dict[str, NDArray[np.uint8] | None] = {"none": None}
    for name, where in (("dabs", dabs), ("whole photo", np.ones_like(dabs))):
        hints |= {f"{name}, {weight}": where * np.uint8(weight) for weight in WEIGHTS}
    completer, reports = Completer(checkpoint), {}
    folders = {row: study.out / _PICTURES / row.replace(", ", "-").replace(" ", "-") for row in hints}
    for row, hint in hints.items():
        items = study.items(checkpoint, hint=hint)
        with evaluating(row) as progress:
            reports[row] = study.report(completer, items, folders[row], ColourDistance(~dabs), progress)
    write_grid(study.out / "grid.png", folders, _GRID_ITEMS)
    share = f"{100 * dabs.mean():.1f} %"
    study.write("hint, weight", reports, [f"The dabs are {share} of the photo; ΔE is that of all pixels but theirs."])
    return reports


def dabs_of_colour(side: int) -> NDArray[np.bool_]:
    """Where the dabs are, bool [side, side]."""
    where = np.zeros((side, side), np.bool_)
    length = max(1, round(_DAB_SIDE * side))
    for y, x in _DABS:
        top, left = (round(share * side - length / 2) for share in (y, x))
        where[top : top + length, left : left + length] = True
    return where


def _completed(completer: Completer, items: Sequence[Item], search: Search, losses: list[float]) -> Iterator[HeldOut]:
    """Completions, and beside them the contextual losses of the given half without its hint."""
    for item in items:
        made = completer.complete(item, search).images[search.iterations]
        weights = torch.from_numpy(replace(item, hint=None).weights)[None, None]
        observed = to_unit_range(torch.from_numpy(item.joint)[None])
        losses.append(float(contextual_loss(made.cpu(), observed, weights)))
        yield item.held_out(made)
