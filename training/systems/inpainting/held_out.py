"""Completion of held-out photos from a checkpoint, for evaluation."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from runtime.errors import InputError
from training.checkpoint import Checkpoint
from training.data.augmentation import parse_size
from training.data.holed import HeldOutPhotos
from training.data.holes import KINDS, parse_kinds
from training.data.images import find_photos
from training.networks.inpainting import Inpainting
from training.networks.layers import to_pixels, to_unit_range
from training.system import HeldOut, inference_device
from training.systems.inpainting.system import with_hole

SETTINGS = {
    "holes": f"one or more of {', '.join(KINDS)}; default as in training",
    "size": "HEIGHTxWIDTH every photo is brought to; default 512x512 if none is smaller, else 256x256",
    "scales": "1 (default) works at the photo's size alone, 2 at half of it first, …",
    "iterations": "swaps at the lowest scale; default 1",
}
_DEFAULTS = {"size": "", "scales": "1", "iterations": "1"}


def held_out(checkpoint: Checkpoint, data: Path, split: str, settings: Mapping[str, str]) -> Iterator[HeldOut]:
    """Complete every photo of `data`'s `split`, with a hole that is the same every time.

    Args:
        checkpoint: of inpainting.
        data: folder of photos.
        split: part of the folder.
        settings: "holes", kinds of them, by default as in training; "size", HEIGHTxWIDTH every photo is brought to, by
            default that of `HeldOutPhotos`; "scales" and "iterations" of `Inpainting`, 1 by default.

    Raises:
        InputError: a setting makes no sense, or the networks do not take the size.
        DataError: there are no photos, or there is no such kind of hole.
    """
    recipe = {"holes": ",".join(KINDS)} | _DEFAULTS | dict(checkpoint.recipe) | dict(settings)
    scales, iterations = (_count(recipe[name], name) for name in ("scales", "iterations"))
    photos = HeldOutPhotos(find_photos(data, split), parse_size(recipe["size"]), parse_kinds(recipe["holes"]))
    multiple = checkpoint.architecture.size_multiple * 2 ** (scales - 1)
    if any(side % multiple for side in photos.size):
        raise InputError(f"size is {photos.size[0]}x{photos.size[1]}, expected sides that are multiples of {multiple}")
    device = inference_device()
    networks = {name: network.to(device) for name, network in checkpoint.build().items()}
    pipeline = Inpainting(networks, scales, iterations)
    for photo in photos:
        image = to_unit_range(torch.from_numpy(photo.image)[None].to(device))
        hole = torch.from_numpy(photo.hole)[None, None].to(device, torch.float32)
        with torch.no_grad():
            made = to_pixels(pipeline(image, hole))[0].cpu().numpy()
        # Known pixels from the bytes: the way to [−1, 1] and back may change one.
        fake = np.where(photo.hole[..., None], made, photo.image)
        yield HeldOut(photo.name, with_hole(photo.image, photo.hole), fake, photo.image, hole=photo.hole)


def _count(text: str, name: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 8:
        raise InputError(f"{name} is {text!r}, expected an integer from 1 to 8")
    return int(text)
