"""Inpainting in training: both networks in every step, each against its own discriminator (sections 3.2 and 3.4)."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cuda_ext.ops import patch_swap
from training.checkpoint import Checkpoint, load_strict
from training.data.holed import HoledPhotos
from training.data.holes import parse_kinds
from training.data.images import find_photos
from training.losses import feature_loss, gan_loss, hole_weights
from training.networks.feature_network import IMAGE_NC
from training.networks.infer_match_translate import HOLE_NC
from training.networks.inpainting import Inpainting, build, masked_input, pasted, shrunk_hole
from training.networks.layers import initialise, to_pixels, to_unit_range
from training.networks.patchgan import FeaturePatchGAN, patch_discriminator
from training.state import read_initial
from training.system import Batch, Update, frozen
from training.systems.inpainting.feature_file import load_features
from training.systems.inpainting.options import Options

FAMILY = "inpainting"
_GREY = 127  # what is shown of a hole


class Made(NamedTuple):
    """What both networks make of a batch; images [N, 3, H, W] in [−1, 1], features [N, C, H/4, W/4].

    Attributes:
        real: the photos.
        hole: [N, 1, H, W], 1 = missing.
        filled: the photos, with the coarse prediction in the hole (I₁).
        true_features: of `real`.
        predicted_features: of `filled` (F₁).
        swapped: what Feature2Image was given (F′).
        fake: what it made of it.
        fake_features: of `fake`.
    """

    real: Tensor
    hole: Tensor
    filled: Tensor
    true_features: Tensor
    predicted_features: Tensor
    swapped: Tensor
    fake: Tensor
    fake_features: Tensor


class Networks(nn.Module):
    """The networks on items of `HoledPhotos`; its state dict names are the checkpoint's."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        networks = build(options.architecture)
        self.image2feature, self.feature2image = networks["image2feature"], networks["feature2image"]
        self.features = networks["features"]
        for trained in (self.image2feature, self.feature2image):
            initialise(trained)

    def forward(self, batch: Batch) -> Made:
        real, hole = to_unit_range(batch["image"]), holes_of(batch)
        with torch.no_grad():
            true_features = self.features(real)
        filled = pasted(self.image2feature(masked_input(real, hole)), real, hole)
        predicted_features = self.features(filled)
        swapped = patch_swap(self._source(true_features, predicted_features), shrunk_hole(hole))
        fake = self.feature2image(swapped)
        fake_features = self.features(fake)
        return Made(real, hole, filled, true_features, predicted_features, swapped, fake, fake_features)

    def _source(self, truth: Tensor, predicted: Tensor) -> Tensor:
        """What is swapped: the paper trains on true features, and meets predicted ones when it is used."""
        o = self.options
        if o.translate_from == "truth":
            return truth
        if not o.end_to_end:
            predicted = predicted.detach()
        if o.translate_from == "predicted":
            return predicted
        is_predicted = (torch.rand(len(truth), 1, 1, 1) < o.predicted_share).to(truth.device)
        return torch.where(is_predicted, predicted, truth)


class Discriminators(nn.Module):
    """D₁ on the pair (image with a hole, filled image), D₂ on the pair (image, swapped features)."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        o = options
        self.filled = patch_discriminator(2 * IMAGE_NC + HOLE_NC, o.ndf, o.patch_size, o.d_norm)
        self.translated = FeaturePatchGAN(IMAGE_NC, o.architecture.feature_widths[2], o.ndf, o.d_norm)
        initialise(self)

    def forward(self, made: Made, filled: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """→ scores (logits) of `filled` by D₁ and of `image` by D₂; `made` holds what they are paired with."""
        pair = torch.cat([masked_input(made.real, made.hole), filled], 1)
        return self.filled(pair)[-1], self.translated(image, made.swapped.detach())


class InferMatchTranslate:
    """A `training.system.System`."""

    def __init__(self, options: Options) -> None:
        self.options, self.architecture = options, options.architecture
        photos = find_photos(Path(options.data), options.split)
        self.dataset = HoledPhotos(photos, options.augmentation, parse_kinds(options.holes), options.seed)
        torch.manual_seed(options.seed)
        self.networks = Networks(options)
        self.roles: dict[str, nn.Module] = {"generator": self.networks}
        if options.lambda_gan:
            self.roles["discriminator"] = Discriminators(options)
        if options.init:
            self._start_from(Path(options.init))
        if options.features or not options.init:
            load_features(options.features, self.networks.features)
        self.networks.features.requires_grad_(False)

    def step(self, batch: Batch, modules: Mapping[str, nn.Module], update: Update) -> dict[str, Tensor]:
        """One step on both discriminators, then one on both networks."""
        made = modules["generator"](batch)
        losses, terms = {}, self._terms(made)
        if self.options.lambda_gan:
            critics, mode = modules["discriminator"], self.options.gan_mode
            # Apart, not in one batch: BatchNorm would mix the statistics of real and fake images.
            real = critics(made, made.real, made.real)
            fake = critics(made, made.filled.detach(), made.fake.detach())
            for name, true_scores, false_scores in zip(("D1", "D2"), real, fake, strict=True):
                losses[f"{name}_real"] = gan_loss([[true_scores]], True, mode)
                losses[f"{name}_fake"] = gan_loss([[false_scores]], False, mode)
            update("discriminator", 0.5 * torch.stack(list(losses.values())).sum())
            judged = frozen(self.roles["discriminator"], made, made.filled, made.fake)
            weights = {"infer_GAN": self.options.lambda_gan_infer, "translate_GAN": self.options.lambda_gan}
            for (name, weight), scores in zip(weights.items(), judged, strict=True):
                terms[name] = weight * gan_loss([[scores]], True, mode)
        update("generator", torch.stack(list(terms.values())).sum())
        return {name: loss.detach() for name, loss in (losses | terms).items()}

    def _terms(self, made: Made) -> dict[str, Tensor]:
        """What the networks minimise, but for the adversarial terms."""
        o, terms = self.options, {}
        if o.lambda_feature:
            weights = hole_weights(shrunk_hole(made.hole), o.boundary_weight)
            distance = feature_loss(made.predicted_features, made.true_features, weights)
            terms["infer_feature"] = o.lambda_feature * distance
        if o.lambda_perceptual:
            terms["translate_feature"] = o.lambda_perceptual * feature_loss(made.fake_features, made.true_features)
        if o.lambda_l1:
            terms["infer_L1"] = o.lambda_l1 * _masked_l1(made.filled, made.real, made.hole)
            # Swapped features are of other places: in the hole no pixel has its true colour in them.
            terms["translate_L1"] = o.lambda_l1 * _masked_l1(made.fake, made.real, 1 - made.hole)
        return terms

    @torch.no_grad()
    def sample(self, batch: Batch) -> NDArray[np.uint8]:
        """Photo with its hole | coarse prediction | completed | photo."""
        first = {key: value[:1] for key, value in batch.items()}
        # A copy in evaluation mode: a picture must not change BatchNorm's statistics.
        pipeline = Inpainting(dict(copy.deepcopy(self.networks).eval().named_children()), scales=1)
        real, hole = to_unit_range(first["image"]), holes_of(first)
        images = [to_pixels(image)[0].cpu().numpy() for image in (pipeline.coarse(real, hole), pipeline(real, hole))]
        photo, mask = first["image"][0].cpu().numpy(), first["hole"][0].cpu().numpy()
        return np.concatenate([with_hole(photo, mask > 0), *images, photo], 1)

    def checkpoint(self, step: int) -> Checkpoint:
        return _checkpoint_of(self.networks, self.options, step)

    def finish(self, checkpoint: Checkpoint, progress: Callable[[float], None]) -> Checkpoint:
        return checkpoint

    def _start_from(self, path: Path) -> None:
        """Continue from a checkpoint of the same architecture, with its discriminators where they are there and fit."""
        checkpoint = read_initial(path, FAMILY)
        for name, network in self.networks.named_children():
            load_strict(network, checkpoint.networks[name], name)
        saved = checkpoint.networks.get("discriminator")
        if saved and "discriminator" in self.roles:
            load_strict(self.roles["discriminator"], saved, "discriminator")


def holes_of(batch: Batch) -> Tensor:
    """uint8 [N, H, W], not zero = missing → float32 [N, 1, H, W], 1 = missing."""
    return (batch["hole"] > 0).float().unsqueeze(1)


def with_hole(photo: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """What is known of a photo [H, W, 3]: grey in the `hole`, bool [H, W]."""
    return np.where(hole[..., None], np.uint8(_GREY), photo)


def _masked_l1(fake: Tensor, real: Tensor, weights: Tensor) -> Tensor:
    distance = (fake.float() - real).abs().mean(1, keepdim=True)
    return (distance * weights).sum() / weights.sum().clamp(min=1)


def untrained(options: Options) -> Checkpoint:
    """Initial weights of the architecture: what it costs to run does not depend on what it learned."""
    torch.manual_seed(options.seed)
    return _checkpoint_of(Networks(options), options, 0)


def _checkpoint_of(networks: Networks, options: Options, step: int) -> Checkpoint:
    # Frozen at inference, so that a result never depends on its batch mates, and export folds them.
    states = {name: network.state_dict() for name, network in networks.named_children()}
    recipe = {"holes": options.holes}
    return Checkpoint(FAMILY, options.architecture, states, normalization="running-stats", recipe=recipe, step=step)
