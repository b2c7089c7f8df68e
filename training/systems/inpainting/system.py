"""Inpainting in training: each network against its own discriminator, both in every step or one (sections 3.2, 3.4)."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.checkpoint import Checkpoint, load_strict
from training.data.holed import HoledPhotos
from training.data.holes import parse_kinds
from training.data.images import find_photos
from training.losses import feature_loss, gan_loss, hole_weights
from training.networks.inpainting import Inpainting, shrunk_hole
from training.networks.layers import to_pixels, to_unit_range
from training.state import read_initial
from training.system import Batch, Update, frozen
from training.systems.inpainting.feature_file import load_features
from training.systems.inpainting.networks import Discriminators, Made, Networks, holes_of
from training.systems.inpainting.options import INFER, Options

FAMILY = "inpainting"
_GREY = 127  # what is shown of a hole
_ADVERSARIAL = {"D1": "infer_GAN", "D2": "translate_GAN"}


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
        if options.image2feature:
            self._take_image2feature(Path(options.image2feature))
        self.networks.features.requires_grad_(False)

    def step(self, batch: Batch, modules: Mapping[str, nn.Module], update: Update) -> dict[str, Tensor]:
        """One step on the discriminators, then one on the networks."""
        made = modules["generator"](batch)
        losses, terms = {}, self._terms(made)
        if self.options.lambda_gan:
            critics, mode = modules["discriminator"], self.options.gan_mode
            # Apart, not in one batch: BatchNorm would mix the statistics of real and fake images.
            real = critics(made, made.real, made.real)
            fake = critics(made, *(image if image is None else image.detach() for image in made.images))
            for name in real:
                losses[f"{name}_real"] = gan_loss([[real[name]]], True, mode)
                losses[f"{name}_fake"] = gan_loss([[fake[name]]], False, mode)
            update("discriminator", 0.5 * torch.stack(list(losses.values())).sum())
            weights = {"D1": self.options.lambda_gan_infer, "D2": self.options.lambda_gan}
            for name, scores in frozen(self.roles["discriminator"], made, *made.images).items():
                terms[_ADVERSARIAL[name]] = weights[name] * gan_loss([[scores]], True, mode)
        update("generator", torch.stack(list(terms.values())).sum())
        return {name: loss.detach() for name, loss in (losses | terms).items()}

    def _terms(self, made: Made) -> dict[str, Tensor]:
        """What the networks minimise, but for the adversarial terms."""
        o, terms = self.options, {}
        if made.inferred and o.lambda_feature:
            weights = hole_weights(shrunk_hole(made.hole), o.boundary_weight)
            distance = feature_loss(made.inferred.features, made.true_features, weights)
            terms["infer_feature"] = o.lambda_feature * distance
        if made.translated and o.lambda_perceptual:
            distance = feature_loss(made.translated.features, made.true_features)
            terms["translate_feature"] = o.lambda_perceptual * distance
        if made.inferred and o.lambda_l1:
            terms["infer_L1"] = o.lambda_l1 * _masked_l1(made.inferred.filled, made.real, made.hole)
        if made.translated and o.lambda_l1:
            # Swapped features are of other places: in the hole no pixel has its true colour in them.
            terms["translate_L1"] = o.lambda_l1 * _masked_l1(made.translated.fake, made.real, 1 - made.hole)
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

    def _take_image2feature(self, path: Path) -> None:
        """Image2Feature of another checkpoint, whatever that one's Feature2Image is like."""
        load_strict(self.networks.image2feature, read_initial(path, FAMILY).networks[INFER], INFER)

    def _start_from(self, path: Path) -> None:
        """Continue from a checkpoint of the same architecture, with its discriminators where they are there and fit."""
        checkpoint = read_initial(path, FAMILY)
        for name, network in self.networks.named_children():
            load_strict(network, checkpoint.networks[name], name)
        saved = checkpoint.networks.get("discriminator", {})
        for name, critic in self.roles.get("discriminator", nn.Module()).named_children():
            if state := {
                key.removeprefix(f"{name}."): value for key, value in saved.items() if key.startswith(f"{name}.")
            }:
                load_strict(critic, state, f"discriminator.{name}")


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
