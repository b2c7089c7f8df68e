"""Pairs of images: the data of pix2pix. Four ways to bring them, told apart by what is in the data folder.

    train/                 input | output side by side in one image; or photos, from which `derive` makes the inputs
    train_A/ train_B/      two folders with equal stems (also trainA, trainB)
    train_label/ train_img/    label ids and photos: the input is the label map in its class colours (derive "labels")

"train" is the split. Photos may also lie directly in the data folder.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from runtime.runners.conditions import CONDITIONS
from training.class_tables import CITYSCAPES
from training.data import Draw
from training.data.augmentation import Augmentation
from training.data.images import list_images, read_map, read_photo, require_folder
from training.data.label_maps import find_samples
from training.errors import DataError

LABELS = "labels"
DERIVATIONS = ("", *CONDITIONS, LABELS)
DIRECTIONS = ("AtoB", "BtoA")


@dataclass(frozen=True)
class Pair:
    """Files of one item; `second` is None where one image holds both, or the input is derived."""

    name: str
    first: Path
    second: Path | None = None


def find_pairs(root: Path, split: str, derive: str = "") -> list[Pair]:
    """The items of `root`, by name.

    Raises:
        DataError: nothing is there, or stems have no partner (they are listed).
    """
    require_folder(root, "see training/README.md for the layouts")
    if derive == LABELS:
        return [Pair(s.name, s.condition, s.photo) for s in find_samples(root, split, CITYSCAPES.label_nc, False)]
    if derive:
        return _single(root, split)
    for first, second in ((f"{split}_A", f"{split}_B"), (f"{split}A", f"{split}B")):
        if (root / first).is_dir() or (root / second).is_dir():
            return _matched(root / first, root / second)
    return _single(root, split)


def _single(root: Path, split: str) -> list[Pair]:
    folder = root / split if (root / split).is_dir() else root
    pairs = [Pair(path.stem, path) for path in list_images(folder)]
    if not pairs:
        raise DataError(
            f"{folder} holds no images; expected {split}/ with photos or side-by-side pairs, or {split}_A/ and "
            f"{split}_B/, in {root}"
        )
    return pairs


def _matched(first: Path, second: Path) -> list[Pair]:
    for folder in (first, second):
        require_folder(folder, f"pairs need both {first.name} and {second.name}")
    columns = [{path.stem: path for path in list_images(folder)} for folder in (first, second)]
    everything = sorted(set(columns[0]) | set(columns[1]))
    if not everything:
        raise DataError(f"{first} and {second} hold no images")
    lonely = [name for name in everything if not all(name in column for column in columns)]
    if lonely:
        raise DataError(
            f"{len(lonely)} of {len(everything)} images in {first} and {second} have no partner: "
            f"{', '.join(lonely[:8])}{', …' if len(lonely) > 8 else ''}; stems must be equal"
        )
    return [Pair(name, columns[0][name], columns[1][name]) for name in everything]


class PairedImages(Dataset[dict[str, Tensor]]):
    """Items {"input_image": uint8 [H, W, input_nc], "real_image": uint8 [H, W, output_nc]}.

    Where inputs are label maps in colour, "label_map", int32 [H, W], has their ids.

    Args:
        pairs: from `find_pairs`.
        channels: input_nc and output_nc; pictures are read as 1 (luma) or 3 (RGB) channels.
        augmentation: the same for both images.
        derive: how inputs are made from photos; "" where they are given.
        direction: "BtoA" swaps input and output.
        seed: of augmentation and derivation.
    """

    def __init__(
        self,
        pairs: list[Pair],
        channels: tuple[int, int],
        augmentation: Augmentation,
        derive: str = "",
        direction: str = "AtoB",
        seed: int = 0,
    ) -> None:
        self.pairs, self.channels, self.augmentation = pairs, channels, augmentation
        self.derive, self.direction, self.seed = derive, direction, seed

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        epoch, index = draw
        pair = self.pairs[index]
        random = np.random.default_rng([self.seed, epoch, index])
        images = self.augmentation(self._read(pair), random, pair.name)
        item: dict[str, NDArray[Any]] = {}
        if self.derive in CONDITIONS:
            images["A"] = CONDITIONS[self.derive](images["B"], random)
        elif self.derive == LABELS:
            item["label_map"] = images["A"]
            images["A"] = CITYSCAPES.colourise(images["A"].astype(np.uint8))
        order = ("A", "B") if self.direction == "AtoB" else ("B", "A")
        for name, key, nc in zip(("input_image", "real_image"), order, self.channels, strict=True):
            item[name] = with_channels(images[key], nc)
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in item.items()}

    def _read(self, pair: Pair) -> dict[str, NDArray[Any]]:
        if self.derive == LABELS and pair.second:
            ids = read_map(pair.first, CITYSCAPES)
            if not 0 <= ids.min() <= ids.max() < CITYSCAPES.label_nc:
                raise DataError(
                    f"{pair.first}: label ids {ids.min()} … {ids.max()}, expected Cityscapes' 0 … "
                    f"{CITYSCAPES.label_nc - 1}; correct the map, or give coloured maps as {pair.first.parent.name}"
                )
            images: dict[str, NDArray[Any]] = {"A": ids, "B": read_photo(pair.second)}
        elif self.derive:
            return {"B": read_photo(pair.first)}
        elif pair.second:
            images = {"A": read_photo(pair.first), "B": read_photo(pair.second)}
        else:
            return _halves(read_photo(pair.first), pair.first)
        sizes = [image.shape[:2] for image in images.values()]
        if sizes[0] != sizes[1]:
            raise DataError(
                f"{pair.name}: {pair.first} is {sizes[0][0]}×{sizes[0][1]}, its partner {pair.second} is "
                f"{sizes[1][0]}×{sizes[1][1]}; both must show the same scene pixel for pixel"
            )
        return images


def _halves(image: NDArray[np.uint8], path: Path) -> dict[str, NDArray[Any]]:
    width = image.shape[1]
    if width % 2 or width < 2:
        raise DataError(
            f"{path} is {image.shape[0]}×{width}: a side-by-side pair has an even width, input | output; if it is one "
            "photo, say with --derive how its input is made"
        )
    return {"A": image[:, : width // 2], "B": image[:, width // 2 :]}


def with_channels(image: NDArray[np.uint8], nc: int) -> NDArray[np.uint8]:
    """uint8 [H, W, C] as 1 channel (luma) or 3 (equal channels from grey)."""
    if image.shape[2] == nc:
        return image
    if nc == 3:
        return np.repeat(image, 3, axis=2)
    return CONDITIONS["grey"](image, np.random.default_rng(0))
