"""Inpainting: how often and at how many resolutions patches are swapped, and with which image."""

from dataclasses import dataclass
from typing import Self

from export.family_options import FamilyOptions, option
from runtime.engines.spec import EngineSpec


@dataclass(frozen=True)
class Options(FamilyOptions):
    """See the fields; None leaves the choice to the size."""

    scales: int | None = option(None, "resolutions, each twice the last; by default from a side of 256 pixels up.")
    iterations: int | None = option(
        None, "matches at the lowest resolution; more make textures coherent. 1 by default."
    )
    style_transfer: bool = option(False, "repaint in the style of a second image instead.")

    @classmethod
    def of_engine(cls, spec: EngineSpec) -> Self:
        return cls(
            scales=spec.options.get("scales"),
            iterations=spec.options.get("iterations"),
            style_transfer=spec.input("style_image") is not None,
        )
