"""Translation of held-out items from a checkpoint, for evaluation."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from runtime.errors import InputError
from training.checkpoint import Checkpoint
from training.data.augmentation import Augmentation, parse_size
from training.data.paired import DERIVATIONS, DIRECTIONS, PairedImages, find_pairs, with_channels
from training.networks.layers import to_pixels, to_unit_range
from training.system import HeldOut, inference_device

SETTINGS = {
    "derive": "how inputs are made; default as in training",
    "direction": "AtoB or BtoA; default as in training",
    "size": "HEIGHTxWIDTH every item is brought to; default its own",
}
_CHOICES = {"derive": DERIVATIONS, "direction": DIRECTIONS}


def held_out(checkpoint: Checkpoint, data: Path, split: str, settings: Mapping[str, str]) -> Iterator[HeldOut]:
    """Translate every item of `data`'s `split`.

    Args:
        checkpoint: of pix2pix.
        data: data folder (training/data/paired.py).
        split: part of the folder.
        settings: "derive" and "direction", by default as in training; "size", HEIGHTxWIDTH every item is brought to,
            by default its own with the sides cut to what the network takes.
    """
    recipe = {"derive": "", "direction": "AtoB"} | dict(checkpoint.recipe) | dict(settings)
    for name, choices in _CHOICES.items():
        if recipe[name] not in choices:
            raise InputError(f"{name} is {recipe[name]!r}, expected one of {', '.join(filter(None, choices))}")
    a = checkpoint.architecture
    device = inference_device()
    generator = checkpoint.build()["generator"].to(device)
    pairs = find_pairs(data, split, recipe["derive"])
    augmentation = Augmentation(resize=parse_size(recipe.get("size", "")), flip=False, multiple=a.size_multiple)
    dataset = PairedImages(pairs, (a.input_nc, a.output_nc), augmentation, recipe["derive"], recipe["direction"])
    for index, pair in enumerate(pairs):
        item = {key: value.numpy() for key, value in dataset[0, index].items()}
        with torch.no_grad():
            source_image = to_unit_range(torch.from_numpy(item["input_image"])[None].to(device))
            fake = to_pixels(generator(source_image))[0].cpu().numpy()
        source, real = item["input_image"], item["real_image"]
        pictures = [np.ascontiguousarray(with_channels(image, 3)) for image in (source, fake, real)]
        # The other way round the image itself shows labels, and nothing in it can be segmented.
        label_map = item.get("label_map") if recipe["direction"] == "AtoB" else None
        yield HeldOut(pair.name, pictures[0], pictures[1], pictures[2], label_map)
