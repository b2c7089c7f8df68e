"""Synthesis of held-out items from a checkpoint, for evaluation."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from runtime.errors import InputError
from runtime.runners.instances import find_instances, instance_classes
from training.checkpoint import Checkpoint
from training.class_tables import class_table, without_parts
from training.data.augmentation import Augmentation, parse_size
from training.data.label_maps import LabelMaps, find_samples
from training.errors import CheckpointError
from training.networks.label_encoding import instance_means
from training.networks.layers import to_pixels, to_unit_range
from training.system import HeldOut, inference_device
from training.systems.pix2pixhd.system import encode_condition

SETTINGS = {
    "styles": "encoded (from the real photo, default) or sampled (from the style bank)",
    "size": "HEIGHTxWIDTH every item is brought to; default its own",
}
STYLES = ("encoded", "sampled")
_RGB = 3


def held_out(checkpoint: Checkpoint, data: Path, split: str, settings: Mapping[str, str]) -> Iterator[HeldOut]:
    """Synthesise every item of `data`'s `split`.

    Args:
        checkpoint: of pix2pixHD.
        data: data folder (training/data/label_maps.py).
        split: part of the folder.
        settings: "styles": "encoded" from the real photo (default), or "sampled" per instance from the style bank with
            seed 0; "size": HEIGHTxWIDTH every item is brought to, by default its own.
    """
    styles = settings.get("styles", STYLES[0])
    if styles not in STYLES:
        raise InputError(f"styles is {styles!r}, expected {' or '.join(STYLES)}")
    a = checkpoint.architecture
    if (a.label_nc or a.image_nc, a.output_nc) != (a.label_nc or _RGB, _RGB):
        raise InputError(
            f"this network takes images of {a.image_nc} channels and makes ones of {a.output_nc}; only RGB is evaluated"
        )
    device = inference_device()
    networks = {name: network.to(device) for name, network in checkpoint.build().items()}
    samples = find_samples(data, split, a.label_nc, a.use_edges or a.feat_num > 0)
    augmentation = Augmentation(resize=parse_size(settings.get("size", "")), flip=False, multiple=a.size_multiple)
    dataset = LabelMaps(samples, a.label_nc, augmentation)
    for index, sample in enumerate(samples):
        item = dataset[0, index]
        condition = item["condition"].numpy()
        picture = condition if dataset.labels is None else dataset.labels.colourise(condition.astype(np.uint8))
        batch = {key: value.unsqueeze(0).to(device) for key, value in item.items()}
        fake = synthesise(networks, checkpoint, batch, styles)
        labels = dataset.labels
        label_map = None if labels is None else without_parts(condition, item["inst_map"].numpy(), labels)
        yield HeldOut(sample.name, picture, fake, item["real_image"].numpy(), label_map)


@torch.no_grad()
def synthesise(
    networks: dict[str, nn.Module], checkpoint: Checkpoint, batch: dict[str, Tensor], styles: str
) -> NDArray[np.uint8]:
    """One item → uint8 [H, W, 3], truncated as in the engines."""
    parts = [encode_condition(batch, checkpoint.architecture)]
    if "encoder" in networks and styles == "encoded":
        parts.append(instance_means(networks["encoder"](to_unit_range(batch["real_image"])), batch["inst_map"]))
    elif "encoder" in networks:
        parts.append(_sampled_styles(checkpoint, batch))
    return to_pixels(networks["generator"](torch.cat(parts, 1)))[0].cpu().numpy()


def _sampled_styles(checkpoint: Checkpoint, batch: dict[str, Tensor]) -> Tensor:
    if not checkpoint.styles:
        raise CheckpointError("the checkpoint has no style bank: its training has not finished; use --styles encoded")
    random, labels = np.random.default_rng(0), class_table(checkpoint.architecture.label_nc)
    assert labels is not None, "only classes have styles"
    found = find_instances(batch["inst_map"][0].cpu().numpy().astype(np.int32))
    classes = instance_classes(found, batch["condition"][0].cpu().numpy().astype(np.uint8), labels)
    rows = np.zeros((len(classes), checkpoint.architecture.feat_num), np.float32)
    for row, class_id in enumerate(classes.tolist()):
        bank = checkpoint.styles.get(class_id)
        if bank is not None:
            rows[row] = bank[random.integers(len(bank))].numpy()
    features = torch.from_numpy(rows[found.compact]).permute(2, 0, 1)
    return features.unsqueeze(0).to(batch["inst_map"].device)
