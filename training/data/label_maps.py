"""Label maps with photos: the data of pix2pixHD.

A data folder holds, for a split such as "train", the folders

    train_label  train_inst  train_img      label ids, instance ids, photos        (label_nc > 0)
    train_A      train_inst  train_B        RGB inputs, instance ids, RGB targets  (label_nc = 0)

`train_inst` is needed only for edges or features. Files match by stem, after Cityscapes' endings are taken off.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from training.class_tables import class_table
from training.data import Draw
from training.data.augmentation import Augmentation
from training.data.images import list_images, read_map, read_photo, require_folder
from training.errors import DataError

_ENDING = re.compile(r"_(gtFine_labelIds|gtFine_instanceIds|gtCoarse_labelIds|gtCoarse_instanceIds|leftImg8bit)$")


@dataclass(frozen=True)
class Sample:
    """Files of one item; `instances` is None where no map of instances is used."""

    name: str
    condition: Path
    instances: Path | None
    photo: Path


def find_samples(root: Path, split: str, label_nc: int, use_instances: bool) -> list[Sample]:
    """The items of `root`, by name.

    Raises:
        DataError: a folder is missing or empty, or stems have no partner (they are listed).
    """
    condition, photo = ("label", "img") if label_nc else ("A", "B")
    columns = [_by_stem(root / f"{split}_{condition}"), _by_stem(root / f"{split}_{photo}")]
    if use_instances:
        columns.append(_by_stem(root / f"{split}_inst"))
    everything = sorted(set().union(*columns))
    lonely = [name for name in everything if not all(name in column for column in columns)]
    if lonely:
        raise DataError(
            f"{root}: {len(lonely)} of {len(everything)} {split} items lack a label map, photo or instance map: "
            f"{', '.join(lonely[:8])}{', …' if len(lonely) > 8 else ''}; stems must be equal"
        )
    return [Sample(n, columns[0][n], columns[2][n] if use_instances else None, columns[1][n]) for n in everything]


def _by_stem(folder: Path) -> dict[str, Path]:
    require_folder(folder, "see training/README.md for the layout")
    files = {_ENDING.sub("", path.stem): path for path in list_images(folder)}
    if not files:
        raise DataError(f"data folder {folder} holds no images")
    return files


class LabelMaps(Dataset[dict[str, Tensor]]):
    """Items {"condition", "inst_map", "real_image"} as integer tensors on the CPU.

    condition: int32 ids [H, W], or uint8 RGB [H, W, 3] where label_nc is 0. inst_map: int32 [H, W] (zeros where not
    used). real_image: uint8 RGB [H, W, 3].
    """

    def __init__(self, samples: list[Sample], label_nc: int, augmentation: Augmentation, seed: int = 0) -> None:
        self.samples, self.label_nc, self.augmentation, self.seed = samples, label_nc, augmentation, seed
        self.labels = class_table(label_nc)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        epoch, index = draw
        sample = self.samples[index]
        random = np.random.default_rng([self.seed, epoch, index])
        item = self.augmentation(self._read(sample), random, sample.name)
        return {key: torch.from_numpy(array) for key, array in item.items()}

    def _read(self, sample: Sample) -> dict[str, Any]:
        condition: Any = read_map(sample.condition, self.labels) if self.label_nc else read_photo(sample.condition)
        item = {"condition": condition, "real_image": read_photo(sample.photo)}
        height, width = condition.shape[:2]
        item["inst_map"] = read_map(sample.instances) if sample.instances else np.zeros((height, width), np.int32)
        for key, array in item.items():
            if array.shape[:2] != (height, width):
                raise DataError(
                    f"{sample.name}: {key} is {array.shape[0]}×{array.shape[1]}, the input is {height}×{width}"
                )
        if self.label_nc and not 0 <= condition.min() <= condition.max() < self.label_nc:
            raise DataError(
                f"{sample.condition}: label ids {condition.min()} … {condition.max()}, expected 0 … {self.label_nc - 1}"
                "; set --label-nc or correct the map"
            )
        return item
