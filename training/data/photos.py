"""Folders of photos as data: windows of them, drawn anew every epoch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from training.data import Draw
from training.data.augmentation import Augmentation
from training.data.images import read_photo


class Photos(Dataset[dict[str, Tensor]]):
    """Items {"image": uint8 [H, W, 3], a whole photo or a window of it}.

    Args:
        photos: files (`training.data.images.find_photos`).
        augmentation: scaling, window and mirror; a fixed window lets items form batches.
        seed: of whatever is random; an item is a function of seed, epoch and index.
    """

    def __init__(self, photos: Sequence[Path], augmentation: Augmentation, seed: int = 0) -> None:
        self.photos, self.augmentation, self.seed = list(photos), augmentation, seed

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        """Raises DataError: the photo cannot be read, or is smaller than the window."""
        epoch, index = draw
        path = self.photos[index]
        rng = np.random.default_rng([self.seed, epoch, index])
        image = self.augmentation({"image": read_photo(path)}, rng, path.name)["image"]
        return {name: torch.from_numpy(array) for name, array in self.item(image, rng).items()}

    def item(self, image: NDArray[np.uint8], rng: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
        """What an item has; a data set with more of it draws that from `rng`."""
        return {"image": image}
