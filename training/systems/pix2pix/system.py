"""pix2pix in training: equation 4 and its ablations (section 4.1), alternating steps (section 3.3)."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from training.checkpoint import Checkpoint, load_strict
from training.data.paired import PairedImages, find_pairs, with_channels
from training.losses import gan_loss
from training.networks.layers import initialise, to_pixels, to_unit_range
from training.networks.normalization import use_statistics
from training.networks.patchgan import patch_discriminator
from training.networks.pix2pix import build
from training.state import read_initial
from training.system import Batch, Update, frozen
from training.systems.pix2pix.options import Options

FAMILY = "pix2pix"


class Translation(nn.Module):
    """The generator on items of `PairedImages`; its state dict names are the checkpoint's."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """→ input [N, input_nc, H, W], fake and real image [N, output_nc, H, W], all in [−1, 1]."""
        source = to_unit_range(batch["input_image"])
        return source, self.generator(source), to_unit_range(batch["real_image"])


class Pix2Pix:
    """A `training.system.System`."""

    def __init__(self, options: Options) -> None:
        self.options, self.architecture = options, options.architecture
        o, a = options, options.architecture
        pairs = find_pairs(Path(o.data), o.split, o.derive)
        channels = (a.input_nc, a.output_nc)
        self.dataset = PairedImages(pairs, channels, o.augmentation, o.derive, o.direction, o.seed)
        torch.manual_seed(o.seed)
        translation = Translation(build(a)["generator"])
        self.roles: dict[str, nn.Module] = {"generator": translation}
        if o.has_gan:
            seen_nc = a.output_nc + (a.input_nc if o.is_conditional else 0)
            self.roles["discriminator"] = patch_discriminator(seen_nc, o.ndf, o.patch_size, o.norm)
        for module in self.roles.values():
            initialise(module)
        if o.init:
            self._start_from(read_initial(Path(o.init), FAMILY))

    def step(self, batch: Batch, modules: Mapping[str, nn.Module], update: Update) -> dict[str, Tensor]:
        """One step on D, then one on G (section 3.3); D's loss is halved, "which slows down its rate of learning"."""
        o = self.options
        source, fake, real = modules["generator"](batch)
        losses = {}
        if o.has_gan:
            critic = modules["discriminator"]
            # Apart, not in one batch: BatchNorm would mix the statistics of real and fake images.
            losses["D_real"] = gan_loss([critic(self._seen(source, real))], True, o.gan_mode)
            losses["D_fake"] = gan_loss([critic(self._seen(source, fake.detach()))], False, o.gan_mode)
            update("discriminator", 0.5 * (losses["D_real"] + losses["D_fake"]))
        terms = {}
        if o.has_gan:
            judged = frozen(self.roles["discriminator"], self._seen(source, fake))
            terms["G_GAN"] = gan_loss([judged], True, o.gan_mode)
        if o.has_l1:
            terms["G_L1"] = o.lambda_l1 * l1_loss(fake.float(), real)
        update("generator", torch.stack(list(terms.values())).sum())
        return {name: loss.detach() for name, loss in (losses | terms).items()}

    def _seen(self, source: Tensor, image: Tensor) -> Tensor:
        """What D judges: equation 1's pair (x, y), or the image alone in equation 2."""
        return torch.cat([source, image.to(source.dtype)], 1) if self.options.is_conditional else image

    @torch.no_grad()
    def sample(self, batch: Batch) -> NDArray[np.uint8]:
        first = {key: value[:1] for key, value in batch.items()}
        # A copy in evaluation mode: a picture must not change BatchNorm's statistics or the random numbers.
        generator = copy.deepcopy(self.roles["generator"]).eval()
        use_statistics(generator, "per-image")
        images = [to_pixels(image)[0].cpu().numpy() for image in generator(first)]
        return np.concatenate([with_channels(image, 3) for image in images], 1)

    def checkpoint(self, step: int) -> Checkpoint:
        return checkpoint_of(self.roles["generator"], self.options, step)

    def finish(self, checkpoint: Checkpoint, progress: Callable[[float], None]) -> Checkpoint:
        return checkpoint

    def _start_from(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint of the same architecture, with its discriminator where it is there and fits."""
        load_strict(self.roles["generator"].get_submodule("generator"), checkpoint.networks["generator"], "generator")
        saved = checkpoint.networks.get("discriminator")
        if saved and "discriminator" in self.roles:
            load_strict(self.roles["discriminator"], saved, "discriminator")


def checkpoint_of(translation: nn.Module, options: Options, step: int) -> Checkpoint:
    networks = {"generator": translation.get_submodule("generator").state_dict()}
    recipe = {"derive": options.derive, "direction": options.direction}
    return Checkpoint(FAMILY, options.architecture, networks, recipe=recipe, step=step)


def untrained(options: Options) -> Checkpoint:
    """Initial weights of the architecture: what it costs to run does not depend on what it learned."""
    torch.manual_seed(options.seed)
    translation = Translation(build(options.architecture)["generator"])
    initialise(translation)
    return checkpoint_of(translation, options, 0)
