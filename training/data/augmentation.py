"""Resize, random scale, random crop and mirror, the same for all arrays of one item."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.images import resize_map, resize_photo
from training.errors import DataError

Array = NDArray[Any]


@dataclass(frozen=True)
class Augmentation:
    """What happens to an item before the network sees it.

    Attributes:
        resize: [H, W] every item is brought to; None keeps the stored size.
        min_scale: a random factor from here to 1 shrinks the item before the crop; 1 = off.
        crop: [H, W] of the random window; None takes the whole.
        flip: mirror half of the items.
        multiple: sides are rounded down to this where there is no crop.
    """

    resize: tuple[int, int] | None = None
    min_scale: float = 1.0
    crop: tuple[int, int] | None = None
    flip: bool = True
    multiple: int = 1

    def __call__(self, item: dict[str, Array], draw: np.random.Generator, name: str) -> dict[str, Array]:
        """Transform arrays [H, W] (maps) and [H, W, 3] (photos) alike.

        Raises:
            DataError: the crop is larger than the item called `name`.
        """
        height, width = self.resize or next(iter(item.values())).shape[:2]
        scale = draw.uniform(self.min_scale, 1.0)
        if self.crop:
            scale = max(scale, self.crop[0] / height, self.crop[1] / width) if self.min_scale < 1 else 1.0
        height, width = round(height * scale), round(width * scale)
        window = self.crop or (height // self.multiple * self.multiple, width // self.multiple * self.multiple)
        if window[0] > height or window[1] > width or min(window) == 0:
            raise DataError(f"{name}: {height}×{width} pixels are too few for a crop of {window[0]}×{window[1]}")
        top, left = draw.integers(height - window[0] + 1), draw.integers(width - window[1] + 1)
        mirror = self.flip and draw.random() < 0.5
        out = {}
        for key, array in item.items():
            sized = (resize_photo if array.ndim == 3 else resize_map)(array, (height, width))
            cut = sized[top : top + window[0], left : left + window[1]]
            out[key] = np.ascontiguousarray(cut[:, ::-1] if mirror else cut)
        return out


def parse_size(text: str) -> tuple[int, int] | None:
    """ "512x1024" → (512, 1024), height first; "" → None."""
    if not text:
        return None
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise DataError(f"size {text!r} is not HEIGHTxWIDTH, for example 512x1024")
    return int(parts[0]), int(parts[1])
