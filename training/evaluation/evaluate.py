"""Comparing a checkpoint's images with real photos: figures per item and over all, a report and pictures."""

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from runtime.errors import InputError
from runtime.files import atomic_path
from training.checkpoint import Checkpoint
from training.evaluation.figures import Measure, Values, legend, markdown_table, occurring
from training.networks import FAMILIES
from training.system import HeldOut, family_system, makes_images

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Attributes:
        items: figures of each item, by its name.
        generated: means over the items, and figures of all generated images together.
        real: the same of the real photos, where they mean something: the bound of what is possible.
        notes: what a reader of the figures has to know.
    """

    items: dict[str, dict[str, float]]
    generated: dict[str, float]
    real: dict[str, float]
    notes: list[str]

    def rows(self) -> list[tuple[str, Values]]:
        """Items, then the two lines for all."""
        together = [("generated", self.generated)]
        return [*self.items.items(), *together, *([("real", self.real)] if self.real else [])]


def evaluate(
    items: Iterator[HeldOut],
    measures: Sequence[Measure],
    out: Path | None = None,
    progress: Progress = lambda name: None,
) -> Report:
    """Measure every item.

    Args:
        items: held-out items, one at a time.
        measures: what to measure.
        out: folder for one picture per item: input | generated | real. None writes nothing.
        progress: called with each item's name when it is done.
    """
    figures: dict[str, dict[str, float]] = {}
    for item in items:
        figures[item.name] = {key: value for measure in measures for key, value in measure.add(item).items()}
        if out is not None:
            picture = np.concatenate([item.input_picture, item.fake_image, item.real_image], 1)
            with atomic_path(out / f"{item.name}.png") as temporary:
                cv2.imwrite(str(temporary), picture[..., ::-1])
        progress(item.name)
    keys = occurring(figures.values())
    generated = {key: float(np.mean([values[key] for values in figures.values()])) for key in keys}
    for measure in measures:
        generated |= measure.generated()
    real = {key: value for measure in measures for key, value in measure.real().items()}
    return Report(figures, generated, real, [note for measure in measures for note in measure.notes()])


def held_out_items(checkpoint: Checkpoint, data: Path, split: str, settings: Mapping[str, str]) -> Iterator[HeldOut]:
    """Held-out items of any family that makes images.

    Args:
        checkpoint: of the family.
        data: data folder.
        split: part of the folder.
        settings: how the family reads the data and runs its networks, by the names in its `SETTINGS`.

    Raises:
        InputError: the family makes no images, or does not know a setting.
    """
    if not makes_images(checkpoint.family):
        raise InputError(
            f"the checkpoint holds a network of family {checkpoint.family}, which makes no images; give one of "
            f"{', '.join(filter(makes_images, FAMILIES))}"
        )
    module = family_system(checkpoint.family)
    unknown = [name for name in settings if name not in module.SETTINGS]
    if unknown:
        raise InputError(
            f"{checkpoint.family} does not know {', '.join(f'--{name}' for name in unknown)}; it takes "
            f"{', '.join(f'--{name}' for name in module.SETTINGS)}"
        )
    items: Iterator[HeldOut] = module.held_out(checkpoint, data, split, settings)
    return items


def write_report(path: Path, report: Report, settings: Mapping[str, str]) -> None:
    """The figures as Markdown."""
    lines = [", ".join(f"{name}: {value}" for name, value in settings.items()), ""] if settings else []
    lines += markdown_table("image", report.rows())
    lines += ["", *legend(occurring([*report.items.values(), report.generated, report.real]))]
    lines += ["", *report.notes] if report.notes else []
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", "utf-8")


def write_json(path: Path, report: Report, settings: Mapping[str, str]) -> None:
    """Every figure unrounded; what is not finite, such as the PSNR of an image without an error, is null."""

    def finite(values: Values) -> dict[str, float | None]:
        return {key: value if math.isfinite(value) else None for key, value in values.items()}

    items = {name: finite(values) for name, values in report.items.items()}
    document = {"settings": dict(settings), "items": items, "notes": report.notes}
    document |= {"generated": finite(report.generated), "real": finite(report.real)}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2, ensure_ascii=False), "utf-8")


def write_csv(path: Path, report: Report) -> None:
    """A line an item, then "generated" and "real", unrounded; cells are empty where a line lacks a figure."""
    rows = report.rows()
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["image", *occurring(values for _, values in rows)], restval="")
        writer.writeheader()
        writer.writerows({"image": name, **values} for name, values in rows)
