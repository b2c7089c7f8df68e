"""How well holes are filled: OpenCV's two methods, and each checkpoint's system whole, without swap, without both."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from runtime.errors import InputError
from runtime.files import atomic_path
from training.checkpoint import load_checkpoint
from training.data.holed import HeldOutPhotos
from training.evaluation.appearance import Appearance, Fidelity
from training.evaluation.evaluate import Progress, Report, evaluate
from training.evaluation.features import FeatureDistance, FeatureSource
from training.evaluation.figures import legend, markdown_table, occurring
from training.evaluation.grid import write_grid
from training.evaluation.inpainting_methods import BASELINES, CheckpointFeatures, Fill, Trained
from training.state import CHECKPOINT_FILE
from training.system import HeldOut

FAMILY = "inpainting"
COLUMNS = ("hole_psnr", "hole_ssim", "feature_distance", "sharpness")
PICTURES = "pictures"
_HOLE_COLOUR = 255
_TWO_SCALES_FROM = 512  # pixels a side: section 3.5 of the paper


@dataclass(frozen=True)
class Comparison:
    """What is compared, and on what.

    Attributes:
        trained: checkpoints.
        photos: held-out photos with holes.
        scales: of the systems; 0 for two from 512 pixels on, else one.
        iterations: more than 1 adds a row in which features are swapped so often at the lowest scale.
        features: network of the feature distance; None for the first checkpoint's own.
    """

    trained: Sequence[Trained]
    photos: HeldOutPhotos
    scales: int = 0
    iterations: int = 1
    features: FeatureSource | None = None

    @property
    def chosen_scales(self) -> int:
        return self.scales or (2 if min(self.photos.size) >= _TWO_SCALES_FROM else 1)

    def fills(self) -> Iterator[tuple[str, Fill]]:
        """Each way to fill with its title; networks are loaded when their turn comes."""
        yield from BASELINES.items()
        for trained in self.trained:
            yield from trained.fills(self.chosen_scales, self.iterations)


def load_trained(paths: Sequence[Path]) -> list[Trained]:
    """The checkpoints, named by file; where that says nothing, by folder.

    Raises:
        InputError: one holds another family, or two have one name.
    """
    found: dict[str, Trained] = {}
    for path in paths:
        checkpoint = load_checkpoint(path)
        if checkpoint.family != FAMILY:
            raise InputError(f"{path} holds a network of family {checkpoint.family}, expected {FAMILY}")
        name = path.resolve().parent.name if path.name == CHECKPOINT_FILE else path.stem
        if name in found:
            raise InputError(f"{found[name].path} and {path} would both be called {name!r}; rename one")
        found[name] = Trained(name, path, checkpoint)
    return list(found.values())


def run_study(
    comparison: Comparison, out: Path, grid_items: int, evaluating: Callable[[str], AbstractContextManager[Progress]]
) -> dict[str, Report]:
    """Fill every hole in every way; write `table.md`, `figures.json`, `grid.png` and the pictures.

    Args:
        comparison: what to compare.
        out: folder.
        grid_items: lines of the grid.
        evaluating: entered with each row's title; what it gives is told each item's name.

    Raises:
        InputError: images and networks do not fit.
        OutputError: the folder cannot be written.
    """
    for trained in comparison.trained:
        trained.require_size(comparison.photos.size, comparison.chosen_scales)
    features = comparison.features or CheckpointFeatures(comparison.trained[0])
    reports: dict[str, Report] = {}
    folders: dict[str, Path] = {}
    for title, fill in comparison.fills():
        folders[title] = out / PICTURES / _file_name(title)
        for picture in folders[title].glob("*.png"):  # of another comparison, perhaps of other items
            picture.unlink()
        measures = [Fidelity(), FeatureDistance(features), Appearance()]
        with evaluating(title) as progress:
            reports[title] = evaluate(_filled(comparison.photos, fill), measures, folders[title], progress)
    _write_text(out / "table.md", "\n".join(_table(comparison, reports)) + "\n")
    document = {"settings": settings(comparison), "rows": {title: asdict(report) for title, report in reports.items()}}
    _write_text(out / "figures.json", json.dumps(document, indent=2) + "\n")
    write_grid(out / "grid.png", folders, grid_items)
    return reports


def settings(comparison: Comparison) -> dict[str, str]:
    """What the figures rest on, by name."""
    photos, first = comparison.photos, comparison.trained[0].name
    network = str(comparison.features.path.name) if comparison.features else f"the feature network of {first}"
    return {
        "items": str(len(photos)),
        "size": f"{photos.size[0]}x{photos.size[1]}",
        "holes": ",".join(photos.kinds),
        "scales": str(comparison.chosen_scales),
        "features": network,
    }


def shown(reports: Mapping[str, Report]) -> list[tuple[str, dict[str, float]]]:
    """The rows of the table: the figures of `COLUMNS`."""
    return [(title, {key: report.generated[key] for key in COLUMNS}) for title, report in reports.items()]


def _filled(photos: HeldOutPhotos, fill: Fill) -> Iterator[HeldOut]:
    for photo in photos:
        given = np.where(photo.hole[..., None], np.uint8(_HOLE_COLOUR), photo.image)
        yield HeldOut(photo.name, given, fill(given, photo.hole), photo.image, hole=photo.hole)


def _table(comparison: Comparison, reports: Mapping[str, Report]) -> list[str]:
    said = ", ".join(f"{name} {value}" for name, value in settings(comparison).items())
    rows = shown(reports)
    lines = ["# Inpainting: inside the holes", "", f"{said[0].upper()}{said[1:]}.", ""]
    return [*lines, *markdown_table("method", rows), "", *legend(occurring(values for _, values in rows))]


def _file_name(title: str) -> str:
    return re.sub(r"[^\w.]+", "-", title)


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, "utf-8")
