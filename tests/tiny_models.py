"""Random checkpoints of every variant of network, small enough to export in a second."""

from pathlib import Path

import torch

from training.checkpoint import Checkpoint, save_checkpoint
from training.class_tables import class_table
from training.networks import family_networks, pix2pix
from training.networks.layers import initialise
from training.networks.pix2pixhd import Architecture

_TINY = {"ngf": 4, "n_downsample": 1, "n_blocks": 1, "n_blocks_local": 1, "nef": 4, "n_downsample_encoder": 2}
ARCHITECTURES = {
    "global": Architecture(label_nc=19, **_TINY),
    "local": Architecture(label_nc=6, n_enhancers=1, **_TINY),
    "features": Architecture(label_nc=7, n_enhancers=1, feat_num=3, **_TINY),
    "no_edges": Architecture(label_nc=6, use_edges=False, upsampling="smooth", **_TINY),
    "rgb": Architecture(label_nc=0, use_edges=False, **_TINY),
    "grey_to_rgb": Architecture(label_nc=0, use_edges=False, image_nc=1, norm="batch", **_TINY),
    "rgb_to_five": Architecture(label_nc=0, use_edges=False, output_nc=5, **_TINY),
    "batch_norm": Architecture(label_nc=7, n_enhancers=1, feat_num=3, norm="batch", **_TINY),
}
_TINY_UNET = {"ngf": 4, "n_downsample": 4, "dropout_blocks": (0, 1)}
_TINY_RESNET = {"generator": "resnet", "ngf": 4, "n_downsample": 1, "n_blocks": 2, "dropout_blocks": (0, 1)}
TRANSLATORS = {
    "unet": pix2pix.Architecture(**_TINY_UNET),
    "unet_grey": pix2pix.Architecture(input_nc=1, norm="instance", **_TINY_UNET),
    "unet_plain": pix2pix.Architecture(input_nc=5, output_nc=1, norm="none", **_TINY_UNET),
    "encoder_decoder": pix2pix.Architecture(use_skips=False, **_TINY_UNET),
    "resnet": pix2pix.Architecture(**_TINY_RESNET),
    "resnet_bilinear": pix2pix.Architecture(output_nc=6, norm="instance", upsampling="bilinear", **_TINY_RESNET),
}


def tiny_checkpoint(variant: str, seed: int = 0) -> Checkpoint:
    """A checkpoint of ARCHITECTURES or TRANSLATORS with seeded weights, and styles where the network takes features.

    Weights are drawn ten times wider than the reference code's, else tiny networks give an almost uniform image;
    biases and BatchNorm's statistics are random too, so that a lost one shows.
    """
    family = "pix2pix" if variant in TRANSLATORS else "pix2pixhd"
    architecture = TRANSLATORS[variant] if variant in TRANSLATORS else ARCHITECTURES[variant]
    torch.manual_seed(seed)
    networks = family_networks(family).build(architecture)
    for network in networks.values():
        initialise(network)
        for name, weight in network.named_parameters():
            if weight.ndim > 1:
                weight.data = weight.data * 10
            else:
                weight.data = torch.randn_like(weight) * 0.1 + (0 if name.endswith("bias") else 1)
        for name, statistic in network.named_buffers():
            if name.endswith(("mean", "var")):
                statistic.uniform_(0.5, 1.5)
    labels = class_table(architecture.label_nc) if isinstance(architecture, Architecture) else None
    feat_num = architecture.feat_num if isinstance(architecture, Architecture) else 0
    classes = range(labels.label_nc if labels and feat_num else 0)
    return Checkpoint(
        family=family,
        architecture=architecture,
        networks={name: network.state_dict() for name, network in networks.items()},
        labels=labels,
        styles={class_id: torch.rand(3, feat_num) * 2 - 1 for class_id in classes},
        step=7,
    )


def save_tiny_checkpoint(variant: str, path: Path, seed: int = 0) -> Path:
    """Write `tiny_checkpoint` to `path` and return it."""
    save_checkpoint(tiny_checkpoint(variant, seed), path)
    return path
