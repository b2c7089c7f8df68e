"""The feature network in training: the encoder of a denoising autoencoder (Vincent et al. 2008), on any photos.

What tells textures apart must survive the noise, and what gives the image back must survive the network; both are what
inpainting asks of its features.
"""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from training.checkpoint import Checkpoint, load_strict
from training.data.images import find_photos
from training.data.photos import Photos
from training.networks.feature_network import IMAGE_NC, Architecture, build
from training.networks.layers import to_pixels, to_unit_range
from training.state import read_initial
from training.system import Batch, Update
from training.systems.feature_network.options import Options

FAMILY = "feature_network"
ROLE = "generator"
_MEASURED = 256  # items whose features set the scale of the channels
_DEAD = 1e-3  # share of the mean: a channel below it is not scaled up to matter


class Autoencoder(nn.Module):
    """The feature network and a decoder, which training alone needs."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        w0, w1, w2 = architecture.widths
        self.features = build(architecture)["features"]
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(w2, w1, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(w1, w0, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(w0, IMAGE_NC, 3, padding=1),
        )

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, H, W] in [−1, 1] → about the same."""
        return self.decoder(self.features(image))


class DenoisingFeatures:
    """A `training.system.System`."""

    def __init__(self, options: Options) -> None:
        self.options, self.architecture = options, options.architecture
        photos = find_photos(Path(options.data), options.split)
        self.dataset = Photos(photos, options.augmentation, options.seed)
        self.autoencoder = _initial(options)
        self.roles: dict[str, nn.Module] = {ROLE: self.autoencoder}
        if options.init:
            saved = read_initial(Path(options.init), FAMILY).networks["features"]
            load_strict(self.autoencoder.features, saved, "features")

    def step(self, batch: Batch, modules: Mapping[str, nn.Module], update: Update) -> dict[str, Tensor]:
        """L1 to the clean image and to its differences of neighbours, without which fine texture is worth little."""
        real = to_unit_range(batch["image"])
        strength = self.options.noise * torch.rand(len(real), 1, 1, 1).to(real.device)
        fake = modules[ROLE](real + strength * torch.randn(real.shape).to(real.device)).float()
        losses = {"L1": l1_loss(fake, real)}
        losses["L1_differences"] = torch.stack([l1_loss(fake.diff(dim=d), real.diff(dim=d)) for d in (2, 3)]).sum()
        update(ROLE, losses["L1"] + losses["L1_differences"])
        return {name: loss.detach() for name, loss in losses.items()}

    @torch.no_grad()
    def sample(self, batch: Batch) -> NDArray[np.uint8]:
        """Photo | what its features give back | photo."""
        image = batch["image"][:1]
        made = to_pixels(copy.deepcopy(self.autoencoder).eval()(to_unit_range(image)))
        return np.concatenate([picture[0].cpu().numpy() for picture in (image, made, image)], 1)

    def checkpoint(self, step: int) -> Checkpoint:
        return _checkpoint_of(self.autoencoder, self.architecture, step)

    def finish(self, checkpoint: Checkpoint, progress: Callable[[float], None]) -> Checkpoint:
        """Scale every channel to a mean square of 1 over the data, so that all have an equal say in a match."""
        features = checkpoint.build()["features"]
        count, squares = min(_MEASURED, len(self.dataset)), []
        for index in range(count):
            image = to_unit_range(self.dataset[0, index]["image"][None])
            with torch.no_grad():
                squares.append(features(image).square().mean((0, 2, 3)))
            progress((index + 1) / count)
        root = torch.stack(squares).mean(0).sqrt()
        last = [name.rpartition(".")[0] for name in checkpoint.networks["features"] if name.endswith(".weight")][-1]
        scale = 1 / root.clamp(min=max(_DEAD * float(root.mean()), 1e-12))
        state = dict(checkpoint.networks["features"])
        # ReLU(s·x) = s·ReLU(x) for s > 0: the last convolution takes the scale.
        state[f"{last}.weight"] = state[f"{last}.weight"].cpu() * scale.view(-1, 1, 1, 1)
        state[f"{last}.bias"] = state[f"{last}.bias"].cpu() * scale
        checkpoint.networks["features"] = state
        return checkpoint


def untrained(options: Options) -> Checkpoint:
    """Initial weights of the architecture: what it costs to run does not depend on what it learned."""
    return _checkpoint_of(_initial(options), options.architecture, 0)


def _initial(options: Options) -> Autoencoder:
    torch.manual_seed(options.seed)
    autoencoder = Autoencoder(options.architecture)
    for layer in autoencoder.modules():
        if isinstance(layer, nn.Conv2d):
            # No normalisation here: the values' size must survive the layers by itself.
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return autoencoder


def _checkpoint_of(autoencoder: Autoencoder, architecture: Architecture, step: int) -> Checkpoint:
    return Checkpoint(FAMILY, architecture, {"features": autoencoder.features.state_dict()}, step=step)
