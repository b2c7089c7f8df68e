"""The networks of inpainting in training: what they make of a batch, and who judges it."""

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from cuda_ext.ops import patch_swap
from training.networks.feature_network import IMAGE_NC
from training.networks.infer_match_translate import HOLE_NC
from training.networks.inpainting import build, masked_input, pasted, shrunk_hole
from training.networks.layers import initialise, to_unit_range
from training.networks.patchgan import FeaturePatchGAN, patch_discriminator
from training.system import Batch
from training.systems.inpainting.options import INFER, TRANSLATE, Options


class Inferred(NamedTuple):
    """What Image2Feature made of a batch.

    Attributes:
        filled: the photos, with the coarse prediction in the hole (I₁), [N, 3, H, W] in [−1, 1].
        features: of `filled` (F₁), [N, C, H/4, W/4].
    """

    filled: Tensor
    features: Tensor


class Translated(NamedTuple):
    """What Feature2Image made of a batch.

    Attributes:
        swapped: what it was given (F′), [N, C, H/4, W/4].
        fake: what it made of that, [N, 3, H, W] in [−1, 1].
        features: of `fake`.
    """

    swapped: Tensor
    fake: Tensor
    features: Tensor


class Made(NamedTuple):
    """A batch and what the networks that are trained made of it; None for one that is not.

    Attributes:
        real: the photos, [N, 3, H, W] in [−1, 1].
        hole: [N, 1, H, W], 1 = missing.
        true_features: of `real`, [N, C, H/4, W/4].
        inferred: by Image2Feature.
        translated: by Feature2Image.
    """

    real: Tensor
    hole: Tensor
    true_features: Tensor
    inferred: Inferred | None
    translated: Translated | None

    @property
    def images(self) -> tuple[Tensor | None, Tensor | None]:
        """What the discriminators judge: the filled photos, and the translated ones."""
        return self.inferred and self.inferred.filled, self.translated and self.translated.fake


class Networks(nn.Module):
    """The networks on items of `HoledPhotos`; its state dict names are the checkpoint's."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        networks = build(options.architecture)
        self.image2feature, self.feature2image = networks["image2feature"], networks["feature2image"]
        self.features = networks["features"]
        for name in (INFER, TRANSLATE):
            initialise(self.get_submodule(name))
            self.get_submodule(name).requires_grad_(options.trains(name))
        self.train()

    def train(self, mode: bool = True) -> Self:
        """A network that is not trained works as at inference: the statistics of its BatchNorm stay."""
        super().train(mode)
        for name in (INFER, TRANSLATE):
            self.get_submodule(name).train(mode and self.options.trains(name))
        return self

    def forward(self, batch: Batch) -> Made:
        o = self.options
        real, hole = to_unit_range(batch["image"]), holes_of(batch)
        with torch.no_grad():
            true_features = self.features(real)
        inferred = self._infer(real, hole) if o.trains(INFER) or o.translate_from != "truth" else None
        translated = None
        if o.trains(TRANSLATE):
            translated = self._translate(self._source(true_features, inferred), hole)
        return Made(real, hole, true_features, inferred if o.trains(INFER) else None, translated)

    def _infer(self, real: Tensor, hole: Tensor) -> Inferred:
        filled = pasted(self.image2feature(masked_input(real, hole)), real, hole)
        return Inferred(filled, self.features(filled))

    def _translate(self, source: Tensor, hole: Tensor) -> Translated:
        swapped = patch_swap(source, shrunk_hole(hole))
        fake = self.feature2image(swapped)
        return Translated(swapped, fake, self.features(fake))

    def _source(self, truth: Tensor, inferred: Inferred | None) -> Tensor:
        """What is swapped: the paper trains on true features, and meets predicted ones when it is used."""
        o = self.options
        if inferred is None or o.translate_from == "truth":
            return truth
        predicted = inferred.features if o.end_to_end else inferred.features.detach()
        if o.translate_from == "predicted":
            return predicted
        is_predicted = (torch.rand(len(truth), 1, 1, 1) < o.predicted_share).to(truth.device)
        return torch.where(is_predicted, predicted, truth)


class Discriminators(nn.Module):
    """D₁ on the pair (image with a hole, filled image), D₂ on the pair (image, swapped features)."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        o = options
        if o.trains(INFER):
            self.filled = patch_discriminator(2 * IMAGE_NC + HOLE_NC, o.ndf, o.patch_size, o.d_norm)
        if o.trains(TRANSLATE):
            self.translated = FeaturePatchGAN(IMAGE_NC, o.architecture.feature_widths[2], o.ndf, o.d_norm)
        initialise(self)

    def forward(self, made: Made, filled: Tensor | None, translated: Tensor | None) -> dict[str, Tensor]:
        """Scores (logits) of `filled` by "D1" and of `translated` by "D2"; `made` holds what they are paired with."""
        scores = {}
        if made.inferred and filled is not None:
            scores["D1"] = self.filled(torch.cat([masked_input(made.real, made.hole), filled], 1))[-1]
        if made.translated and translated is not None:
            scores["D2"] = self.translated(translated, made.translated.swapped.detach())
        return scores


def holes_of(batch: Batch) -> Tensor:
    """uint8 [N, H, W], not zero = missing → float32 [N, 1, H, W], 1 = missing."""
    return (batch["hole"] > 0).float().unsqueeze(1)
