"""Random checkpoints of every variant of network, small enough to export in a second."""

from pathlib import Path

import torch

from training.checkpoint import Checkpoint, save_checkpoint
from training.class_tables import class_table
from training.networks.pix2pixhd import Architecture, build, initialise

_TINY = {"ngf": 4, "n_downsample": 1, "n_blocks": 1, "n_blocks_local": 1, "nef": 4, "n_downsample_encoder": 2}
ARCHITECTURES = {
    "global": Architecture(label_nc=19, **_TINY),
    "local": Architecture(label_nc=6, n_enhancers=1, **_TINY),
    "features": Architecture(label_nc=7, n_enhancers=1, feat_num=3, **_TINY),
    "no_edges": Architecture(label_nc=6, use_edges=False, **_TINY),
    "rgb": Architecture(label_nc=0, use_edges=False, **_TINY),
}


def tiny_checkpoint(variant: str, seed: int = 0) -> Checkpoint:
    """A checkpoint of ARCHITECTURES[variant] with seeded weights, and styles where the network takes features.

    Weights are drawn ten times wider than the reference code's, else tiny networks give an almost uniform image;
    biases are random too, so that a lost one shows.
    """
    architecture = ARCHITECTURES[variant]
    torch.manual_seed(seed)
    networks = build(architecture)
    for network in networks.values():
        initialise(network)
        for name, weight in network.named_parameters():
            weight.data = torch.randn_like(weight) * 0.1 if name.endswith("bias") else weight.data * 10
    classes = range(architecture.label_nc if architecture.feat_num else 0)
    return Checkpoint(
        family="pix2pixhd",
        architecture=architecture,
        networks={name: network.state_dict() for name, network in networks.items()},
        labels=class_table(architecture.label_nc),
        styles={class_id: torch.rand(3, architecture.feat_num) * 2 - 1 for class_id in classes},
        step=7,
    )


def save_tiny_checkpoint(variant: str, path: Path, seed: int = 0) -> Path:
    """Write `tiny_checkpoint` to `path` and return it."""
    save_checkpoint(tiny_checkpoint(variant, seed), path)
    return path
