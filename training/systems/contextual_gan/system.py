"""The Contextual GAN in training: a plain GAN over joint images; what sketch and photo share, it learns by itself."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from training.checkpoint import Checkpoint, load_strict
from training.data.joint import JointImages, find_photos
from training.losses import gan_loss, sliced_distance
from training.networks.contextual_gan import JointEncoder, build
from training.networks.layers import to_pixels, to_unit_range
from training.state import read_initial
from training.system import Batch, Update
from training.systems.contextual_gan.options import Options

FAMILY = "contextual_gan"


class Made(NamedTuple):
    """What the generator makes of a batch, with an encoder E or without.

    Attributes:
        z: random, [N, z_nc].
        fake: G(z), [N, 3, H, W] in [−1, 1].
        codes: E(real), [N, z_nc].
        rebuilt: G(E(real)).
    """

    z: Tensor
    fake: Tensor
    codes: Tensor | None = None
    rebuilt: Tensor | None = None


class Autoencoder(nn.Module):
    """The generator, and an encoder that is trained along.

    A plain GAN may leave out what it finds hard, and a search cannot find what is not there. With an encoder every real
    image gets a z that gives it back (Larsen et al. 2016, "Autoencoding beyond pixels"), where random ones are drawn.
    """

    def __init__(self, generator: nn.Module, encoder: nn.Module) -> None:
        super().__init__()
        self.generator, self.encoder = generator, encoder

    def forward(self, z: Tensor, real: Tensor) -> Made:
        """G(z) and G(E(real)), one batch that shares its statistics."""
        codes = self.encoder(real)
        fake, rebuilt = self.generator(torch.cat([z, codes.to(z.dtype)])).split(len(z))
        return Made(z, fake, codes, rebuilt)


class ContextualGan:
    """A `training.system.System`."""

    def __init__(self, options: Options) -> None:
        self.options, self.architecture = options, options.architecture
        photos = find_photos(Path(options.data), options.split)
        side = self.architecture.size[0]
        self.dataset = JointImages(photos, options.style, side, options.flip, options.seed)
        self.networks = _initial(options)
        if options.init:
            checkpoint = read_initial(Path(options.init), FAMILY)
            for name, module in self.networks.items():
                load_strict(module, checkpoint.networks[name], name)
        self.roles: dict[str, nn.Module] = dict(self.networks)
        if options.lambda_rebuild:
            encoder = _initialised(JointEncoder(self.architecture))
            self.roles["generator"] = Autoencoder(self.networks["generator"], encoder)

    def step(self, batch: Batch, modules: Mapping[str, nn.Module], update: Update) -> dict[str, Tensor]:
        """`d_steps` on D, then `g_steps` on G, fresh z for each (Goodfellow et al. 2014, non-saturating)."""
        real = to_unit_range(batch["joint_image"])
        generator, critic = modules["generator"], modules["discriminator"]
        losses = {}
        for _ in range(self.options.d_steps):
            with torch.no_grad():
                fake = self._made(generator, real).fake
            # Apart, not in one batch: BatchNorm would mix the statistics of real and fake images.
            losses["D_real"] = gan_loss([[critic(real)]], True, "vanilla")
            losses["D_fake"] = gan_loss([[critic(fake)]], False, "vanilla")
            update("discriminator", losses["D_real"] + losses["D_fake"])
        for _ in range(self.options.g_steps):
            terms = self._terms(self._made(generator, real), real)
            update("generator", torch.stack(list(terms.values())).sum())
            losses |= terms
        return {name: loss.detach() for name, loss in losses.items()}

    def _made(self, generator: nn.Module, real: Tensor) -> Made:
        """Of fresh z; for both sides alike, else D would tell G's steps by the statistics of their batches."""
        z = self._z(real)
        return generator(z, real) if self.options.lambda_rebuild else Made(z, generator(z))

    def _z(self, like: Tensor) -> Tensor:
        """z ∈ U(−1, 1)^z_nc, one per image of `like`."""
        return torch.rand(len(like), self.architecture.z_nc, device=like.device) * 2 - 1

    def _terms(self, made: Made, real: Tensor) -> dict[str, Tensor]:
        """What the generator minimises."""
        o, judged = self.options, _untouched(self.networks["discriminator"], made.fake)
        terms = {"G_GAN": o.lambda_gan * gan_loss([[judged]], True, "vanilla")}
        if made.codes is not None and made.rebuilt is not None:
            terms["G_L1"] = o.lambda_rebuild * l1_loss(made.rebuilt.float(), real)
            terms["E_z"] = o.lambda_latent * sliced_distance(made.codes.float(), made.z)
        return terms

    @torch.no_grad()
    def sample(self, batch: Batch) -> NDArray[np.uint8]:
        """Two joint images of the generator, then a real one."""
        # A copy in evaluation mode: a picture must not change BatchNorm's statistics or the random numbers.
        generator = copy.deepcopy(self.networks["generator"]).eval()
        rng = torch.Generator().manual_seed(self.options.seed)
        z = (torch.rand(2, self.architecture.z_nc, generator=rng) * 2 - 1).to(batch["joint_image"].device)
        made = to_pixels(generator(z)).cpu().numpy()
        return np.concatenate([*made, batch["joint_image"][0].cpu().numpy()], 1)

    def checkpoint(self, step: int) -> Checkpoint:
        return _checkpoint_of(self.networks, self.options, step)

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
    return {name: _initialised(network) for name, network in build(options.architecture).items()}


def _initialised(network: nn.Module) -> nn.Module:
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


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
