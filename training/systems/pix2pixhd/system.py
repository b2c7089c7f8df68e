"""pix2pixHD in training: the objective of equation 5 with instance features, and the paper's three stages."""

import copy
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from training.checkpoint import Checkpoint, load_strict
from training.class_tables import class_table
from training.data.augmentation import Augmentation, parse_size
from training.data.label_maps import LabelMaps, find_samples
from training.losses import feature_matching_loss, gan_loss, perceptual_loss
from training.networks.label_encoding import instance_edges, instance_means, means_per_instance, one_hot, one_hot_of
from training.networks.layers import initialise, to_pixels, to_unit_range
from training.networks.patchgan import MultiScaleDiscriminator
from training.networks.pix2pixhd import Architecture, Encoder, Generator
from training.networks.seen_channels import seen_channels
from training.networks.vgg import VGG19Features
from training.state import read_initial
from training.styles import fit_styles
from training.system import Batch, Update, frozen
from training.systems.pix2pixhd.options import Options

FAMILY = "pix2pixhd"


class Synthesised(NamedTuple):
    """What `Synthesis` made.

    Attributes:
        condition: what was shown of the input, [N, C, H, W].
        fake: image [N, 3, H, W] in [−1, 1].
        real: likewise.
        styles: features of each pixel's object, [N, F, H, W]; None without an encoder.
        channels: None, or which channels of the condition and of the image behind it are given, because the other
            classes do not appear.
    """

    condition: Tensor
    fake: Tensor
    real: Tensor
    styles: Tensor | None
    channels: Tensor | None


class Synthesis(nn.Module):
    """Generator and encoder, which train together; its state dict names are the checkpoint's."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.generator = Generator(architecture)
        self.encoder = Encoder(architecture) if architecture.feat_num else None

    def forward(self, batch: Batch) -> Synthesised:
        """Items of `LabelMaps` → what was made of them."""
        a, real = self.architecture, to_unit_range(batch["real_image"])
        styles = None if self.encoder is None else instance_means(self.encoder(real), batch["inst_map"])
        classes = seen = judged = None
        if a.label_nc and not self.generator.use_checkpointing:
            classes = batch["condition"].unique()
            seen, judged = (
                seen_channels(classes, a.label_nc, others)
                for others in (a.input_nc - a.label_nc, a.use_edges + a.output_nc)
            )
        condition = encode_condition(batch, a, classes)
        given = condition if styles is None else torch.cat([condition, styles], 1)
        return Synthesised(condition, self.generator(given, seen), real, styles, judged)


def encode_condition(batch: Batch, architecture: Architecture, classes: Tensor | None = None) -> Tensor:
    """What generator and discriminators see of the input: [one-hot labels, of `classes` if given, or RGB][edges]."""
    condition = batch["condition"]
    if not architecture.label_nc:
        first = to_unit_range(condition)
    else:
        first = one_hot(condition, architecture.label_nc) if classes is None else one_hot_of(condition, classes)
    return torch.cat([first, instance_edges(batch["inst_map"])], 1) if architecture.use_edges else first


class Pix2PixHD:
    """A `training.system.System`."""

    def __init__(self, options: Options) -> None:
        self.options, self.architecture = options, options.architecture
        a = self.architecture
        samples = find_samples(Path(options.data), options.split, a.label_nc, a.use_edges or a.feat_num > 0)
        self.dataset = LabelMaps(samples, a.label_nc, options.augmentation, options.seed)
        torch.manual_seed(options.seed)
        synthesis = Synthesis(a)
        seen_nc = a.condition_nc + a.output_nc
        critic = MultiScaleDiscriminator(seen_nc, options.ndf, options.n_layers, options.num_scales)
        self.roles: dict[str, nn.Module] = {"generator": synthesis, "discriminator": critic}
        for module in self.roles.values():
            initialise(module)
        if options.init:
            start_from(read_initial(Path(options.init), FAMILY), synthesis, critic)
        if options.fix_global:
            synthesis.generator.freeze_global()
        synthesis.generator.use_checkpointing = options.checkpointing
        self.vgg = VGG19Features(options.vgg) if options.vgg else None

    def step(self, batch: Batch, modules: Mapping[str, nn.Module], update: Update) -> dict[str, Tensor]:
        o = self.options
        condition, fake, real, styles, channels = modules["generator"](batch)
        losses = self._fidelity(fake, real)
        if o.lambda_colour:
            losses["G_colour"] = o.lambda_colour * colour_loss(styles, fake, real, batch["inst_map"])
        if not o.lambda_gan:
            update("generator", torch.stack(list(losses.values())).sum())
            return {name: loss.detach() for name, loss in losses.items()}
        pairs = torch.cat([torch.cat([condition, fake.detach()], 1), torch.cat([condition, real], 1)])
        both = modules["discriminator"](pairs, channels)
        seen_fake, seen_real = _split(both)
        judged = frozen(self.roles["discriminator"], torch.cat([condition, fake], 1), channels)
        losses["G_GAN"] = o.lambda_gan * gan_loss(judged, True, o.gan_mode)
        if o.lambda_feature:
            losses["G_feature_matching"] = o.lambda_feature * feature_matching_loss(judged, seen_real)
        update("generator", torch.stack(list(losses.values())).sum())
        losses["D_fake"] = gan_loss(seen_fake, False, o.gan_mode)
        losses["D_real"] = gan_loss(seen_real, True, o.gan_mode)
        update("discriminator", 0.5 * (losses["D_fake"] + losses["D_real"]))
        return {name: loss.detach() for name, loss in losses.items()}

    def _fidelity(self, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        """The weighted losses that need no discriminator."""
        o, losses = self.options, {}
        if o.lambda_l1:
            losses["G_L1"] = o.lambda_l1 * l1_loss(fake.float(), real)
        if self.vgg is not None:
            vgg = self.vgg.to(fake.device)
            losses["G_perceptual"] = o.lambda_perceptual * perceptual_loss(vgg(fake), vgg(real))
        return losses

    @torch.no_grad()
    def sample(self, batch: Batch) -> NDArray[np.uint8]:
        first = {key: value[:1] for key, value in batch.items()}
        made: Synthesised = copy.deepcopy(self.roles["generator"]).eval()(first)
        condition = first["condition"][0].cpu().numpy()
        if self.dataset.labels is not None:
            condition = self.dataset.labels.colourise(condition.astype(np.uint8))
        images = [to_pixels(image)[0].cpu().numpy() for image in (made.fake, made.real)]
        return np.concatenate([condition, *images], 1)

    def checkpoint(self, step: int) -> Checkpoint:
        return checkpoint_of(self.roles["generator"], self.architecture, step)

    def finish(self, checkpoint: Checkpoint, progress: Callable[[float], None]) -> Checkpoint:
        encoder = getattr(self.roles["generator"], "encoder", None)
        if encoder is not None and self.architecture.label_nc:
            resize = parse_size(self.options.resize)
            plain = Augmentation(resize=resize, flip=False, multiple=self.architecture.size_multiple)
            samples = self.dataset.samples
            every = math.ceil(len(samples) / (self.options.style_items or len(samples)))
            data = LabelMaps(samples[::every], self.architecture.label_nc, plain)
            checkpoint.styles = fit_styles(encoder, data, self.options.n_styles, self.options.seed, progress)
        return checkpoint


def colour_loss(styles: Tensor, fake: Tensor, real: Tensor, inst_map: Tensor) -> Tensor:
    """L1 distance of objects' styles, and of their mean colours in the generated image, to those in the photo.

    Each object counts alike: by pixels, sky and road would outvote everything that is restyled.
    """
    of_style, of_fake, of_real = (means_per_instance(image, inst_map) for image in (styles, fake, real))
    return l1_loss(of_style, of_real) + l1_loss(of_fake, of_real)


def checkpoint_of(synthesis: nn.Module, architecture: Architecture, step: int) -> Checkpoint:
    networks: dict[str, dict[str, Tensor]] = {}
    for key, value in synthesis.state_dict().items():
        network, _, name = key.partition(".")
        networks.setdefault(network, {})[name] = value
    normalization = "running-stats" if architecture.norm == "batch" else "per-image"
    labels = class_table(architecture.label_nc)
    return Checkpoint(FAMILY, architecture, networks, labels, normalization=normalization, step=step)


def untrained(options: Options) -> Checkpoint:
    """Initial weights of the architecture: what it costs to run does not depend on what it learned."""
    torch.manual_seed(options.seed)
    synthesis = Synthesis(options.architecture)
    initialise(synthesis)
    return checkpoint_of(synthesis, options.architecture, 0)


def start_from(checkpoint: Checkpoint, synthesis: Synthesis, critic: MultiScaleDiscriminator) -> None:
    """Continue from a checkpoint of the same architecture, or of one with fewer enhancers (the paper's next stage).

    Fewer enhancers: all but its last convolution is taken over. A discriminator in the checkpoint is taken over too;
    one with fewer scales becomes the coarse end, "adding a discriminator at the finest level" (section 3.2).

    Raises:
        CheckpointError: the weights do not fit; the difference is listed.
    """
    generator = dict(checkpoint.networks["generator"])
    if checkpoint.architecture.n_enhancers < synthesis.architecture.n_enhancers:
        inherited = {name: value for name, value in generator.items() if not name.startswith("head.")}
        generator = {**synthesis.generator.state_dict(), **inherited}
    load_strict(synthesis.generator, generator, "generator")
    if synthesis.encoder is not None and "encoder" in checkpoint.networks:
        load_strict(synthesis.encoder, checkpoint.networks["encoder"], "encoder")
    saved = checkpoint.networks.get("discriminator", {})
    if saved:
        finer = len(critic.scales) - len({name.split(".")[1] for name in saved})
        moved = {_shift_scale(name, finer): value for name, value in saved.items()}
        load_strict(critic, {**critic.state_dict(), **moved}, "discriminator")


def _shift_scale(name: str, by: int) -> str:
    scales, index, rest = name.split(".", 2)
    return f"{scales}.{int(index) + by}.{rest}"


def _split(outputs: list[list[Tensor]]) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """Discriminator outputs of a batch [fakes; reals] → those of the fakes, those of the reals."""
    halves = [[layer.chunk(2) for layer in scale] for scale in outputs]
    return [[half[0] for half in scale] for scale in halves], [[half[1] for half in scale] for scale in halves]
