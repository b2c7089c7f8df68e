"""Joint images [sketch | photo]: made from a folder of photos, or read as they lie."""

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from training.data import Draw, images
from training.data.images import read_photo, resize_photo
from training.data.sketches import STYLES
from training.errors import DataError

_LINES_AT = 2  # sketches are drawn this many times larger: their lines are then about one pixel wide


def find_photos(root: Path, split: str) -> list[Path]:
    """The images in `root`/`split`, or in `root` itself where there is no such folder.

    Raises:
        DataError: there is no folder, or it holds no image.
    """
    return images.find_photos(root, split, "faces", "photos, or joint images with --style stored")


class JointImages(Dataset[dict[str, Tensor]]):
    """Items {"joint_image": uint8 [side, 2·side, 3]}, sketch on the left, kept in memory once made.

    Args:
        photos: files.
        style: of `STYLES`; "stored" for files that are joint images already.
        side: of the photo, pixels.
        flip: mirror half of the items, both halves alike.
        seed: of the mirroring.
    """

    def __init__(self, photos: list[Path], style: str, side: int, flip: bool, seed: int = 0) -> None:
        self.photos, self.style, self.side, self.flip, self.seed = photos, style, side, flip, seed
        self._made: dict[int, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        epoch, index = draw
        if index not in self._made:
            self._made[index] = joint_image(self.photos[index], self.style, self.side)
        joint = self._made[index]
        if self.flip and np.random.default_rng([self.seed, epoch, index]).random() < 0.5:
            joint = np.concatenate([half[:, ::-1] for half in np.split(joint, 2, 1)], 1)
        return {"joint_image": torch.from_numpy(np.ascontiguousarray(joint))}


def joint_image(path: Path, style: str, side: int) -> NDArray[np.uint8]:
    """One joint image, uint8 [side, 2·side, 3], from the photo or stored joint image at `path`."""
    picture = read_photo(path)
    if style == "stored":
        height, width = picture.shape[:2]
        if width != 2 * height:
            raise DataError(
                f"{path} is {width}×{height} pixels, a joint image is twice as wide as high; name the sketch's "
                f"--style ({', '.join(STYLES)}) if these are photos"
            )
        return np.concatenate([resize_photo(half, (side, side)) for half in np.split(picture, 2, 1)], 1)
    return joint_of(middle_square(picture), style, side)


def joint_of(photo: NDArray[np.uint8], style: str, side: int) -> NDArray[np.uint8]:
    """A square photo and its sketch as one joint image, uint8 [side, 2·side, 3]."""
    return np.concatenate([sketch_of(photo, style, side), resize_photo(photo, (side, side))], 1)


def sketch_of(photo: NDArray[np.uint8], style: str, side: int) -> NDArray[np.uint8]:
    """A square photo's sketch, RGB uint8 [side, side, 3], its lines about one pixel wide."""
    lines = STYLES[style](resize_photo(photo, (_LINES_AT * side,) * 2))
    sketch = cv2.resize(lines, (side, side), interpolation=cv2.INTER_AREA)
    return np.repeat(sketch[..., None], 3, -1)


def middle_square(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The largest square about the middle."""
    height, width = photo.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return photo[top : top + side, left : left + side]
