"""Poor sketches: how families trained on the same pairs cope with them (Contextual GAN, section 4.3)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from runtime.files import atomic_path
from training.checkpoint import Checkpoint
from training.data.photo_folder import write_pair
from training.data.poor_sketches import QUALITIES
from training.errors import DataError
from training.evaluation.evaluate import Progress, Report, evaluate, held_out_items
from training.evaluation.figures import Measure, legend, markdown_table, occurring
from training.evaluation.grid import write_grid
from training.system import family_system

SPLIT = "val"
_PAIRS, _PICTURES = "pairs", "pictures"

Measures = Callable[[Checkpoint], Sequence[Measure]]


def sketch_study(
    checkpoints: Mapping[str, Checkpoint],
    photos: Sequence[Path],
    style: str,
    side: int,
    folder: Path,
    measures: Measures,
    progress: Progress = lambda name: None,
) -> dict[str, Report]:
    """Evaluate every checkpoint on every quality of sketch; write `table.md` and a grid of pictures per quality.

    Args:
        checkpoints: by name, of any family that reads pairs [sketch | photo].
        photos: held-out photos.
        style: of the sketches, of `training.data.sketches.STYLES`.
        side: of sketch and photo, pixels.
        folder: to write.
        measures: makes the measures anew for each report.
        progress: told each item's name.

    Returns:
        Reports by row: "sparse, <name>".

    Raises:
        DataError: a photo cannot be read, or there is none.
    """
    if not photos:
        raise DataError("there are no photos to sketch")
    reports = {}
    for quality in QUALITIES:
        pairs = folder / _PAIRS / quality
        write_pairs(pairs / SPLIT, photos, style, side, quality)
        pictures = {name: folder / _PICTURES / quality / name for name in checkpoints}
        for name, checkpoint in checkpoints.items():
            items = held_out_items(checkpoint, pairs, SPLIT, _pairs_as_they_lie(checkpoint))
            reports[f"{quality}, {name}"] = evaluate(items, measures(checkpoint), pictures[name], progress)
        write_grid(folder / f"{quality}.png", pictures, items=min(6, len(photos)))
    rows = [(row, report.generated) for row, report in reports.items()]
    lines = markdown_table("sketch", rows)
    lines += ["", f"Means over {len(photos)} photos of {side}×{side} pixels, {style} sketches.", ""]
    lines += legend(occurring(values for _, values in rows))
    with atomic_path(folder / "table.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", "utf-8")
    return reports


def _pairs_as_they_lie(checkpoint: Checkpoint) -> dict[str, str]:
    """The setting by which the checkpoint's family reads pairs and derives nothing."""
    settings = {"style": "stored", "derive": "", "direction": "AtoB"}
    return {name: value for name, value in settings.items() if name in family_system(checkpoint.family).SETTINGS}


def write_pairs(folder: Path, photos: Sequence[Path], style: str, side: int, quality: str) -> None:
    """Joint images [sketch | photo] of `quality`, which both families read; older ones there go."""
    for stale in folder.glob("*.png"):
        stale.unlink()
    for index, photo in enumerate(photos):
        write_pair(photo, folder / f"{photo.stem}.png", style, side, quality, seed=index)
