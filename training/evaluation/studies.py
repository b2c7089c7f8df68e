"""The ablation tables of the papers as data: a study's rows are option values that are trained and compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.errors import InputError


@dataclass(frozen=True)
class Study:
    """One table.

    Attributes:
        family: whose options the rows set.
        section: of the paper.
        rows: option values by row name; every other option is the user's, the same for all rows.
    """

    family: str
    section: str
    rows: Mapping[str, Mapping[str, Any]]

    @property
    def varied(self) -> set[str]:
        """The options that the rows set."""
        return {name for options in self.rows.values() for name in options}

    def choose(self, names: str) -> dict[str, Mapping[str, Any]]:
        """The rows called `names` (separated by commas), all where it is empty.

        Raises:
            InputError: a row is unknown.
        """
        chosen = [name.strip() for name in names.split(",")] if names else list(self.rows)
        unknown = [name for name in chosen if name not in self.rows]
        if unknown:
            raise InputError(f"--rows: unknown {', '.join(map(repr, unknown))}; choose from {', '.join(self.rows)}")
        return {name: self.rows[name] for name in chosen}


_GENERATORS = {"unet": {"use_skips": True}, "encoder-decoder": {"use_skips": False}}
STUDIES = {
    "losses": Study(
        "pix2pix",
        "pix2pix section 4.2, table 1: terms of the objective",
        {name: {"objective": name} for name in ("l1", "gan", "cgan", "l1+gan", "l1+cgan")},
    ),
    "generators": Study(
        "pix2pix",
        "pix2pix section 4.3, table 2: what the skip connections do",
        {
            f"{name}-{objective}": {"generator": "unet", **options, "objective": objective}
            for name, options in _GENERATORS.items()
            for objective in ("l1", "l1+cgan")
        },
    ),
    "overview": Study(
        "pix2pix",
        "pix2pix sections 4.2 and 4.3: the terms of the objective, with skip connections and without",
        {
            f"{name}-{objective}": {"generator": "unet", **options, "objective": objective}
            for name, options, objectives in (
                ("unet", _GENERATORS["unet"], ("l1", "cgan", "l1+cgan")),
                ("encoder-decoder", _GENERATORS["encoder-decoder"], ("l1", "l1+cgan")),
            )
            for objective in objectives
        },
    ),
    "patches": Study(
        "pix2pix",
        "pix2pix section 4.4, table 3: pixels a side that the discriminator judges",
        {str(size): {"patch_size": size, "objective": "l1+cgan"} for size in (1, 16, 70, 286)},
    ),
    "features": Study(
        "pix2pixhd",
        "pix2pixHD section 3.3: the feature-matching loss",
        {"gan": {"lambda_feature": 0.0}, "gan+features": {"lambda_feature": 10.0}},
    ),
}
