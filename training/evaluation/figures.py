"""The figures of an evaluation: their titles, units, digits and meanings, and tables made of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from training.system import HeldOut

Values = Mapping[str, float]


@dataclass(frozen=True)
class Figure:
    """How one figure is shown.

    Attributes:
        title: with the unit.
        digits: after the point.
        meaning: one sentence for the legend.
    """

    title: str
    digits: int
    meaning: str


FIGURES = {
    "psnr": Figure("PSNR dB", 2, "peak signal-to-noise ratio to the real photo; mean over the items"),
    "ssim": Figure("SSIM", 4, "structural similarity to the real photo, at most 1; mean over the items"),
    "contextual_loss": Figure(
        "contextual loss", 4, "of the given half alone, at the end: how closely it is followed; mean over the items"
    ),
    "colour_distance": Figure("ΔE", 1, "distance in CIE Lab to the real photo, mean over pixels and items"),
    "hole_psnr": Figure(
        "PSNR dB", 2, "peak signal-to-noise ratio to the real photo inside the hole; mean over the items"
    ),
    "hole_ssim": Figure("SSIM", 4, "structural similarity to it, its map averaged over the hole; mean over the items"),
    "sharpness": Figure("sharp.", 3, "mean gradient of lightness, relative to the real photos: below 1 is blurred"),
    "chroma": Figure("chroma", 3, "mean distance from grey in Lab, relative to the real photos: below 1 is greyish"),
    "overlap_l": Figure("∩ L", 3, "overlap of the histograms of lightness with the real photos', at most 1"),
    "overlap_a": Figure("∩ a", 3, "the same of Lab's green–red"),
    "overlap_b": Figure("∩ b", 3, "the same of Lab's blue–yellow"),
    "pixel_accuracy": Figure("pixel acc.", 3, "FCN-score: share of pixels that the segmenter labels as the label map"),
    "class_accuracy": Figure("class acc.", 3, "FCN-score: the same per class, mean over the classes asked for"),
    "mean_iou": Figure("mean IoU", 3, "FCN-score: intersection over union, mean over the classes asked for or found"),
    "feature_distance": Figure(
        "feature dist.",
        4,
        "squared distance of unit-length features to the real photo's, channels weighted alike (not LPIPS's own "
        "learned weights); mean over the items",
    ),
    "frechet_distance": Figure(
        "Fréchet dist.", 3, "between Gaussians fitted to pooled features of generated and of real images"
    ),
    "verification": Figure(
        "verif. acc.",
        3,
        "share of generated images whose nearest real photo is their own, by L2 distance of features of grey images",
    ),
}


class Measure:
    """Something measured over held-out items; a subclass overrides what it has to say."""

    def add(self, item: HeldOut) -> dict[str, float]:
        """Take one item into account; the figures of it alone, whose means over the items are reported too."""
        return {}

    def generated(self) -> dict[str, float]:
        """Figures of all generated images together."""
        return {}

    def real(self) -> dict[str, float]:
        """The same of the real photos: what a perfect generator would reach."""
        return {}

    def notes(self) -> list[str]:
        """What a reader of these figures has to know."""
        return []


def markdown_table(first_title: str, rows: Iterable[tuple[str, Values]]) -> list[str]:
    """Lines of a table with a column for every figure that occurs; empty cells where a row lacks one."""
    named = list(rows)
    keys = occurring(values for _, values in named)
    lines = [_line([first_title, *(FIGURES[key].title for key in keys)]), "|---" * (len(keys) + 1) + "|"]
    return lines + [_line([name, *(cell(values, key) for key in keys)]) for name, values in named]


def legend(keys: Iterable[str]) -> list[str]:
    """One Markdown line per figure: its meaning."""
    return [f"- {FIGURES[key].title}: {FIGURES[key].meaning}" for key in keys]


def occurring(rows: Iterable[Values]) -> list[str]:
    """The figures that some row has, in the order of `FIGURES`."""
    present = set().union(*rows)
    return [key for key in FIGURES if key in present]


def cell(values: Values, key: str) -> str:
    """A figure as text, "" where `values` lacks it."""
    return f"{values[key]:.{FIGURES[key].digits}f}" if key in values else ""


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
