"""The Contextual GAN in training: a plain GAN over joint images; what sketch and photo share, it learns by itself."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.checkpoint import Checkpoint, load_strict
from training.data.joint import JointImages, find_photos
from training.losses import gan_loss
from training.networks.contextual_gan import build
from training.networks.layers import to_pixels, to_unit_range
from training.state import read_initial
from training.system import Batch, Update
from training.systems.contextual_gan.options import Options

FAMILY = "contextual_gan"


class ContextualGan:
    """A `training.system.System`."""

    def __init__(self, options: Options) -> None:
        self.options, self.architecture = options, options.architecture
        photos = find_photos(Path(options.data), options.split)
        side = self.architecture.size[0]
        self.dataset = JointImages(photos, options.style, side, options.flip, options.seed)
        self.roles: dict[str, nn.Module] = _initial(options)
        if options.init:
            checkpoint = read_initial(Path(options.init), FAMILY)
            for name, module in self.roles.items():
                load_strict(module, checkpoint.networks[name], name)

    def step(self, batch: Batch, modules: Mapping[str, nn.Module], update: Update) -> dict[str, Tensor]:
        """`d_steps` on D, then `g_steps` on G, fresh z for each (Goodfellow et al. 2014, non-saturating)."""
        real = to_unit_range(batch["joint_image"])
        generator, critic = modules["generator"], modules["discriminator"]
        losses = {}
        for _ in range(self.options.d_steps):
            with torch.no_grad():
                fake = generator(self._z(real))
            # Apart, not in one batch: BatchNorm would mix the statistics of real and fake images.
            losses["D_real"] = gan_loss([[critic(real)]], True, "vanilla")
            losses["D_fake"] = gan_loss([[critic(fake)]], False, "vanilla")
            update("discriminator", losses["D_real"] + losses["D_fake"])
        for _ in range(self.options.g_steps):
            judged = _untouched(self.roles["discriminator"], generator(self._z(real)))
            losses["G_GAN"] = gan_loss([[judged]], True, "vanilla")
            update("generator", losses["G_GAN"])
        return {name: loss.detach() for name, loss in losses.items()}

    def _z(self, like: Tensor) -> Tensor:
        """z ∈ U(−1, 1)^z_nc, one per image of `like`."""
        return torch.rand(len(like), self.architecture.z_nc, device=like.device) * 2 - 1

    @torch.no_grad()
    def sample(self, batch: Batch) -> NDArray[np.uint8]:
        """Two joint images of the generator, then a real one."""
        # A copy in evaluation mode: a picture must not change BatchNorm's statistics or the random numbers.
        generator = copy.deepcopy(self.roles["generator"]).eval()
        rng = torch.Generator().manual_seed(self.options.seed)
        z = (torch.rand(2, self.architecture.z_nc, generator=rng) * 2 - 1).to(batch["joint_image"].device)
        made = to_pixels(generator(z)).cpu().numpy()
        return np.concatenate([*made, batch["joint_image"][0].cpu().numpy()], 1)

    def checkpoint(self, step: int) -> Checkpoint:
        return _checkpoint_of(self.roles, self.options, step)

    def finish(self, checkpoint: Checkpoint, progress: Callable[[float], None]) -> Checkpoint:
        return checkpoint


def _untouched(module: nn.Module, *inputs: Tensor) -> Tensor:
    """`module(*inputs)` as another network's loss: it gets no gradient, and its running statistics stay.

    Those statistics are what completion uses; they should be of real and fake images alike.
    """
    constants = {name: value.detach() for name, value in module.named_parameters()}
    constants |= {name: value.clone() for name, value in module.named_buffers()}
    judged: Tensor = torch.func.functional_call(module, constants, inputs)
    return judged


def untrained(options: Options) -> Checkpoint:
    """Initial weights of the architecture: what it costs to run does not depend on what it learned."""
    return _checkpoint_of(_initial(options), options, 0)


def _initial(options: Options) -> dict[str, nn.Module]:
    torch.manual_seed(options.seed)
    networks = build(options.architecture)
    for network in networks.values():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.normal_(layer.weight, 0.0, 0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return networks


def _checkpoint_of(networks: Mapping[str, nn.Module], options: Options, step: int) -> Checkpoint:
    # Frozen at completion, so that a result never depends on its batch mates.
    states = {name: network.state_dict() for name, network in networks.items()}
    return Checkpoint(
        FAMILY,
        options.architecture,
        states,
        normalization="running-stats",
        recipe={"style": options.style},
        step=step,
    )
