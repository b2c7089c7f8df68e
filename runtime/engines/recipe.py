"""How training made an engine's input, where it made it itself: of photos, or of label maps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.engines.labels import LabelSpec

LABELS = "labels"
DERIVATIONS = ("grey", "edges", "soft-edges", "sketch", "incomplete", LABELS)


@dataclass(frozen=True)
class Recipe:
    """Attributes:
    derive: what was made: one of `DERIVATIONS`, the names of `pix2rt train pix2pix --derive`.
    labels: the class table whose colours a label map gets; None for all others.
    """

    derive: str
    labels: LabelSpec | None = None

    def __post_init__(self) -> None:
        if self.derive not in DERIVATIONS:
            raise ValueError(f"recipe: derive is {self.derive!r}, expected one of {', '.join(DERIVATIONS)}")
        if (self.derive == LABELS) != (self.labels is not None):
            raise ValueError(f"recipe: {self.derive} {'without' if self.derive == LABELS else 'with'} a class table")

    @property
    def raw(self) -> str:
        """What the input is made of, in words."""
        return "a label map of class ids" if self.derive == LABELS else "a photo"

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Recipe":
        """Read what `to_json` wrote; raises ValueError, TypeError or KeyError where it does not fit."""
        labels = document["labels"]
        return cls(document["derive"], None if labels is None else LabelSpec.from_json(labels))

    def to_json(self) -> dict[str, Any]:
        return {"derive": self.derive, "labels": self.labels.to_json() if self.labels else None}
