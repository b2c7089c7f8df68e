"""Photos with holes: the data of inpainting. Any folder of photos will do; the holes are drawn anew every epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from training.data.augmentation import Augmentation
from training.data.holes import KINDS, draw_hole, require_kinds
from training.data.images import read_photo, resize_photo
from training.data.photos import Photos


class HoledPhotos(Photos):
    """Items {"image": uint8 [H, W, 3], the whole photo; "hole": uint8 [H, W], 255 = missing}.

    Args:
        photos, augmentation, seed: see `Photos`.
        kinds: of holes, those of `training.data.holes.KINDS`; each item gets one of them.

    Raises:
        DataError: no such kind of hole.
    """

    def __init__(
        self, photos: Sequence[Path], augmentation: Augmentation, kinds: Sequence[str] = tuple(KINDS), seed: int = 0
    ) -> None:
        super().__init__(photos, augmentation, seed)
        require_kinds(kinds)
        self.kinds = tuple(kinds)

    def item(self, image: NDArray[np.uint8], rng: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
        return {"image": image, "hole": draw_hole(rng, image.shape[0], image.shape[1], self.kinds)}


@dataclass(frozen=True)
class HoledPhoto:
    """A held-out photo, uint8 [H, W, 3], and its hole, bool [H, W], true = missing."""

    name: str
    image: NDArray[np.uint8]
    hole: NDArray[np.bool_]


class HeldOutPhotos(Sequence[HoledPhoto]):
    """Photos at one size, each with one hole that depends on the seed and its place alone.

    A photo is cut to its middle part of the size's proportions, which is then resized; small photos are enlarged.

    Args:
        photos: files.
        size: [H, W]; None for `common_size(photos)`.
        kinds: of holes; each photo gets one of them.
        seed: of the holes.

    Raises:
        DataError: no such kind of hole.
    """

    def __init__(
        self, photos: Sequence[Path], size: tuple[int, int] | None, kinds: Sequence[str] = ("centre",), seed: int = 0
    ) -> None:
        require_kinds(kinds)
        self.photos, self.kinds, self.seed = list(photos), tuple(kinds), seed
        self.size = size or common_size(photos)

    def __len__(self) -> int:
        return len(self.photos)

    @overload
    def __getitem__(self, index: int) -> HoledPhoto: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[HoledPhoto]: ...
    def __getitem__(self, index: int | slice) -> HoledPhoto | Sequence[HoledPhoto]:
        """Raises DataError: the photo cannot be read."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        path = self.photos[index]
        hole = draw_hole(np.random.default_rng([self.seed, index]), *self.size, self.kinds)
        return HoledPhoto(path.stem, middle_part(read_photo(path), self.size), hole > 0)


def common_size(photos: Sequence[Path]) -> tuple[int, int]:
    """512×512 where no photo's shorter side has fewer pixels, else 256×256.

    Raises:
        DataError: a photo cannot be read.
    """
    side = 512 if all(min(read_photo(path).shape[:2]) >= 512 for path in photos) else 256
    return side, side


def middle_part(photo: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The largest part of `size`'s proportions about the middle, resized to [H, W] = `size`."""
    scale = min(photo.shape[0] / size[0], photo.shape[1] / size[1])
    high, wide = max(1, round(scale * size[0])), max(1, round(scale * size[1]))
    top, left = (photo.shape[0] - high) // 2, (photo.shape[1] - wide) // 2
    return resize_photo(np.ascontiguousarray(photo[top : top + high, left : left + wide]), size)
