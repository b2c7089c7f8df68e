"""The classes of a label map: names, palette, and the check that ids fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError

MAX_CLASSES = 256  # a label map is uint8
_LONGEST_NAME = 1000


@dataclass(frozen=True)
class LabelSpec:
    """Class table of a label map; a pixel's label id is the row.

    Attributes:
        names: one name per class.
        palette: one RGB triple of 0..255 per class, for pictures of label maps and for reading palette images.
        parts: ids of the classes that are parts of objects (a window, a wheel), ascending: their pixels have the
            instance id of their object.
    """

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    parts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < len(self.names) <= MAX_CLASSES:
            raise ValueError(f"labels: {len(self.names)} classes, expected 1 to {MAX_CLASSES}")
        if len(self.palette) != len(self.names):
            raise ValueError(f"labels: {len(self.palette)} palette colours for {len(self.names)} class names")
        if any(len(name) > _LONGEST_NAME for name in self.names):
            raise ValueError(f"labels: a class name of more than {_LONGEST_NAME} characters")
        if any(not 0 <= channel <= 255 for colour in self.palette for channel in colour):
            raise ValueError("labels: palette colours must be RGB triples of 0..255")
        if list(self.parts) != sorted({part for part in self.parts if 0 <= part < len(self.names)}):
            raise ValueError(f"labels: parts must be ascending ids of 0..{len(self.names) - 1}")

    @property
    def label_nc(self) -> int:
        """Number of classes; label ids are 0 … label_nc − 1."""
        return len(self.names)

    @classmethod
    def unnamed(cls, label_nc: int) -> "LabelSpec":
        """A table for classes nobody named: "class 0", … with well-spread colours."""
        hues = (np.arange(label_nc) * 0.618034) % 1.0
        colours = 0.5 + 0.5 * np.cos(2 * np.pi * (hues[:, None] + np.array([0.0, 1 / 3, 2 / 3])))
        palette = tuple((int(r), int(g), int(b)) for r, g, b in (colours * 255).astype(np.uint8))
        return cls(tuple(f"class {index}" for index in range(label_nc)), palette)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "LabelSpec":
        """Read what `to_json` wrote; raises ValueError, TypeError or KeyError where it does not fit."""
        names, colours = document["names"], document["palette"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("labels: names are no list of texts")
        palette = tuple((int(r), int(g), int(b)) for r, g, b in colours)
        return cls(tuple(names), palette, tuple(int(part) for part in document.get("parts", ())))

    def to_json(self) -> dict[str, Any]:
        parts = {"parts": list(self.parts)} if self.parts else {}
        return {"names": list(self.names), "palette": [list(colour) for colour in self.palette], **parts}

    @property
    def is_part(self) -> NDArray[np.bool_]:
        """Whether an id of 0..255 is a part, bool [256]."""
        table = np.zeros(MAX_CLASSES, np.bool_)
        table[list(self.parts)] = True
        return table

    def class_id(self, name: str) -> int:
        """The id of a class name; raises InputError that lists the names."""
        if name not in self.names:
            raise InputError(f"unknown class {name!r}; this engine's classes are {', '.join(self.names)}")
        return self.names.index(name)

    def colourise(self, label_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 ids [..., H, W] → RGB uint8 [..., H, W, 3]; ids outside the table are black."""
        table = np.zeros((MAX_CLASSES, 3), np.uint8)
        table[: self.label_nc] = self.palette
        return table[label_map]

    def ids_from_palette(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """RGB picture of a label map → ids. Where classes share a colour, the first one.

        Args:
            image: uint8 [H, W, 3].

        Raises:
            InputError: a colour is not in the palette (a JPEG, or another palette).
        """
        packed = image.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
        keys = np.array(self.palette, np.uint32) @ np.array([65536, 256, 1], np.uint32)
        colours, first = np.unique(keys, return_index=True)
        position = np.minimum(np.searchsorted(colours, packed), len(colours) - 1)
        unknown = colours[position] != packed
        if unknown.any():
            worst = np.unique(packed[unknown])
            shown = ", ".join(f"#{colour:06x}" for colour in worst[:5])
            raise InputError(
                f"palette image: {len(worst)} colours are not in the class table "
                f"({shown}{', …' if len(worst) > 5 else ''}); a JPEG changes colours, so store label maps as PNG, best "
                "as ids"
            )
        return first[position].astype(np.uint8)
