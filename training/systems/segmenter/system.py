"""The segmenter in training: cross-entropy, nothing else."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from training.checkpoint import Checkpoint, load_strict
from training.class_tables import class_table, ignored_classes
from training.data.label_maps import LabelMaps, find_samples
from training.networks.layers import initialise, to_unit_range
from training.networks.normalization import has_batch_norm
from training.networks.segmenter import build
from training.state import read_initial
from training.system import Batch, Update
from training.systems.segmenter.options import Options

FAMILY = "segmenter"
ROLE = "generator"
_IGNORED = -1


class Segmentation:
    """A `training.system.System`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        samples = find_samples(Path(options.data), options.split, options.label_nc, use_instances=False)
        self.dataset = LabelMaps(samples, options.label_nc, options.augmentation, options.seed)
        self.roles: dict[str, nn.Module] = {ROLE: _initial(options)}
        if options.init:
            load_strict(self.roles[ROLE], read_initial(Path(options.init), FAMILY).networks[FAMILY], FAMILY)

    def step(self, batch: Batch, modules: Mapping[str, nn.Module], update: Update) -> dict[str, Tensor]:
        scores = modules[ROLE](to_unit_range(batch["real_image"])).float()
        target = batch["condition"].long()
        ignored = torch.tensor(ignored_classes(self.options.label_nc), device=target.device)
        target = torch.where(torch.isin(target, ignored), _IGNORED, target)
        counted = target != _IGNORED
        # By hand: the mean over no pixel at all would not be a number.
        loss = F.cross_entropy(scores, target, ignore_index=_IGNORED, reduction="sum") / counted.sum().clamp(min=1)
        update(ROLE, loss)
        right = (scores.argmax(1) == target).sum() / counted.sum().clamp(min=1)
        return {"cross_entropy": loss.detach(), "pixel_accuracy": right}

    @torch.no_grad()
    def sample(self, batch: Batch) -> NDArray[np.uint8]:
        """Photo | labels found | true labels, in the class colours."""
        photo, labels = batch["real_image"][:1], class_table(self.options.label_nc)
        assert labels is not None
        # A copy in evaluation mode: a picture must not change BatchNorm's statistics.
        found = copy.deepcopy(self.roles[ROLE]).eval()(to_unit_range(photo)).argmax(1)[0]
        maps = [found, batch["condition"][0]]
        coloured = [labels.colourise(ids.cpu().numpy().astype(np.uint8)) for ids in maps]
        return np.concatenate([photo[0].cpu().numpy(), *coloured], 1)

    def checkpoint(self, step: int) -> Checkpoint:
        return _checkpoint_of(self.roles[ROLE], self.options, step)

    def finish(self, checkpoint: Checkpoint, progress: Callable[[float], None]) -> Checkpoint:
        return checkpoint


def untrained(options: Options) -> Checkpoint:
    """Initial weights of the architecture: what it costs to run does not depend on what it learned."""
    return _checkpoint_of(_initial(options), options, 0)


def _initial(options: Options) -> nn.Module:
    torch.manual_seed(options.seed)
    network = build(options.architecture)[FAMILY]
    initialise(network)
    return network


def _checkpoint_of(network: nn.Module, options: Options, step: int) -> Checkpoint:
    # A class is told by its colour, which an image's own statistics would take away.
    normalization = "running-stats" if has_batch_norm(network) else "per-image"
    labels = class_table(options.label_nc)
    return Checkpoint(
        FAMILY, options.architecture, {FAMILY: network.state_dict()}, labels, normalization=normalization, step=step
    )
