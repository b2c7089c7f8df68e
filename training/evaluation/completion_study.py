"""The Contextual GAN's claims as tables: how steps, candidates and λ change a completion (section 4 of the paper)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from skimage.metrics import structural_similarity

from training.checkpoint import Checkpoint
from training.errors import DataError
from training.evaluation.features import FeatureDistance
from training.evaluation.onnx_network import OnnxNetwork
from training.system import HeldOut
from training.systems.contextual_gan.completion import Search
from training.systems.contextual_gan.held_out import Completer, Item, find_items

ITERATIONS = (0, 10, 25, 50, 100, 250, 500)
CANDIDATES = (1, 10, 30)
WEIGHTS = (0.0, 0.001, 0.01, 0.1, 1.0)


@dataclass(frozen=True)
class Row:
    """Means over the items.

    Attributes:
        title: what was changed, and to what.
        start: contextual loss of the best candidate.
        contextual_loss: at the end: how closely the given half is followed.
        total_loss: with λ·L_perceptual, which is what is minimised.
        ssim: of the other half with the real one, at most 1.
        verification: share of completions nearest to their own real half in a network's features; None without one.
        bound: the same of the real halves, slightly changed.
    """

    title: str
    start: float
    contextual_loss: float
    total_loss: float
    ssim: float
    verification: float | None = None
    bound: float | None = None


def study(
    checkpoint: Checkpoint,
    data: Path,
    split: str,
    direction: str = "AtoB",
    search: Search | None = None,
    limit: int = 20,
    features: OnnxNetwork | None = None,
    progress: Callable[[str], None] = lambda title: None,
) -> dict[str, list[Row]]:
    """Three tables, "iterations", "N" and "λ", each changing one thing of `search`.

    Args:
        checkpoint: of the Contextual GAN.
        data: folder of photos.
        split: part of the folder.
        direction: AtoB, sketch → photo, or BtoA.
        search: what else is fixed; None for the paper's.
        limit: most items.
        features: network whose features tell items apart (section 4.2), if any.
        progress: called with each row's title as it starts.

    Raises:
        InputError, DataError: the direction or the folder makes no sense.
    """
    search = search or Search()
    items = list(_some(find_items(checkpoint, data, split, direction), limit))
    completer = Completer(checkpoint)
    steps = [number for number in ITERATIONS if number < search.iterations] + [search.iterations]
    progress("iterations")
    tables = {"iterations": _by_step(completer, items, search, steps, features)}
    for name, field, values in (("N", "candidates", CANDIDATES), ("λ", "perceptual_weight", WEIGHTS)):
        tables[name] = []
        for value in values:
            progress(f"{name} = {value:g}")
            changed = replace(search, **{field: value})  # type: ignore[arg-type]
            row = _by_step(completer, items, changed, [search.iterations], features)[0]
            tables[name].append(replace(row, title=f"{value:g}"))
    return tables


def markdown(tables: dict[str, list[Row]], search: Search, count: int) -> str:
    """The tables, and what they rest on."""
    lines = []
    for name, rows in tables.items():
        verified = [row.verification for row in rows if row.verification is not None]
        titles = [name, "contextual loss at the start", "at the end", "total loss", "SSIM"]
        lines += [_line(titles + ["verif. acc."] * bool(verified)), "|---" * (len(titles) + bool(verified)) + "|"]
        for row in rows:
            cells = [f"{value:.4f}" for value in (row.start, row.contextual_loss, row.total_loss, row.ssim)]
            cells += [f"{row.verification:.3f}"] if row.verification is not None else []
            lines.append(_line([row.title, *cells]))
        lines.append("")
    lines.append(
        f"Means over {count} items. Unless the table says otherwise: {search.iterations} steps, "
        f"N = {search.candidates}, λ = {search.perceptual_weight:g}, learning rate {search.learning_rate:g}, momentum "
        f"{search.momentum:g}."
    )
    bounds = [row.bound for rows in tables.values() for row in rows if row.bound is not None]
    if bounds:
        lines.append(
            f"Verification: by chance {1 / count:.3f}; the real photos, slightly changed, reach {bounds[0]:.3f}."
        )
    return "\n".join(lines) + "\n"


def _by_step(
    completer: Completer, items: Sequence[Item], search: Search, steps: Sequence[int], features: OnnxNetwork | None
) -> list[Row]:
    """A row per number of steps; all come from one search per item."""
    figures = []
    distances = {step: FeatureDistance(features) for step in steps} if features else {}
    for item in items:
        found = completer.complete(item, search, steps)
        losses = found.contextual_loss, found.total_loss
        made = {step: item.held_out(found.images[step]) for step in steps}
        figures.append([[losses[0][0], *(loss[step] for loss in losses), ssim(made[step])] for step in steps])
        for step, distance in distances.items():
            distance.add(made[step])
    means = np.mean(figures, axis=0)
    rows = []
    for step, mean in zip(steps, means, strict=True):
        start, contextual, total, similarity = map(float, mean)
        row = Row(str(step), start, contextual, total, similarity)
        if distances:
            fake, real = distances[step].generated(), distances[step].real()
            row = replace(row, verification=fake.get("verification"), bound=real.get("verification"))
        rows.append(row)
    return rows


def ssim(item: HeldOut) -> float:
    return float(structural_similarity(item.real_image, item.fake_image, channel_axis=2, data_range=255))


def _some(items: Iterator[Item], limit: int) -> Iterator[Item]:
    if limit < 1:
        raise DataError(f"--items is {limit}, expected at least 1")
    for _, item in zip(range(limit), items, strict=False):
        yield item


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
