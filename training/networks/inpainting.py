"""Contextual inpainting from image and hole to the completed image: Infer, Match, Translate, at several scales."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cuda_ext.ops import patch_match, patch_paste
from training.networks.feature_network import STRIDE
from training.networks.infer_match_translate import Architecture, build
from training.networks.smooth_fill import smooth_fill

__all__ = ["Architecture", "Inpainting", "build", "low_pass", "masked_input", "pasted", "shrunk_hole"]

_CELL = 8  # pixels; architectures take multiples of it only


class Inpainting(nn.Module):
    """The whole inference pipeline (figure 2 and section 3.5 of the paper).

    Image2Feature works at the lowest scale alone. Every scale then matches and translates; the result, enlarged, fills
    the hole of the next. Not in the paper:

    - That counts deep in the hole only, near its border a smooth filling does, so thin holes do not suffer from scales
      at which they are wide.
    - Low frequencies stay those of the guess that a scale begins with: the match looks at directions of features only,
      so its texture is right and its light is not.
    - Where a patch goes is decided by pictures without fine detail, what goes there has it: the guess is compared with
      known pixels as blurred as itself, those of the last scale enlarged likewise. Else blurred patches would find
      blurred ones. Such pairs are those of image analogies (Hertzmann et al. 2001).
    - Swapped features are swapped again, most often at the lowest scale, where a patch covers most: neighbours come to
      agree, and the mean of patches that overlap is no blur (Wexler et al. 2007, space-time completion).
    - By how much the translated image misses the known pixels around a hole is spread into it and taken off, as a
      membrane in seamless cloning (Pérez et al. 2003): no seam stays.

    Args:
        networks: those of `build`, in evaluation mode.
        scales: 1 works at the image's size alone, 2 at half of it first, …
        iterations: times that features are swapped at the lowest scale, half as often at each finer one, but at least
            once; more make textures coherent.
        swap: False leaves out the match: the features of the coarse image are translated as they are.
    """

    def __init__(
        self, networks: Mapping[str, nn.Module], scales: int = 2, iterations: int = 1, swap: bool = True
    ) -> None:
        super().__init__()
        if scales < 1 or iterations < 1:
            raise ValueError(f"scales is {scales} and iterations is {iterations}, expected at least 1 of each")
        self.image2feature = networks["image2feature"]
        self.features = networks["features"]
        self.feature2image = networks["feature2image"]
        self.scales, self.iterations, self.swap = scales, iterations, swap

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        """Complete images.

        Args:
            image: [N, 3, H, W] in [−1, 1]; what lies in the hole is not read. H and W are multiples of the
                architecture's `size_multiple` · 2^(scales − 1).
            hole: [N, 1, H, W], 0 or 1 = missing.

        Returns:
            [N, 3, H, W] in [−1, 1], equal to `image` outside the hole.
        """
        pyramid = [_shrunk(image, hole, scale) for scale in reversed(range(self.scales))]
        made, blurred = self.image2feature(masked_input(*pyramid[0])), None
        for index, (known, missing) in enumerate(pyramid):
            if index:
                blurred = _enlarged(made, 2)
                made = _blended_by_depth(blurred, known, missing)
            guess = pasted(made, known, missing)
            times = max(1, self.iterations // 2**index)
            made = self.translate(guess, missing, times, blurred)
            made = pasted(made + smooth_fill(known - made, missing), known, missing)
            made = pasted(made + low_pass(guess - made), known, missing)
        return made

    def coarse(self, image: Tensor, hole: Tensor) -> Tensor:
        """Image2Feature's prediction alone, enlarged to the image's size; arguments and result as of `forward`."""
        scale = self.scales - 1
        known, missing = _shrunk(image, hole, scale)
        made = pasted(self.image2feature(masked_input(known, missing)), known, missing)
        return pasted(_enlarged(made, 2**scale) if scale else made, image, hole)

    def translate(self, filled: Tensor, hole: Tensor, times: int = 1, blurred: Tensor | None = None) -> Tensor:
        """Match and Translate: features, swapped in the hole, back to an image [N, 3, H, W] that is new everywhere.

        Args:
            filled: [N, 3, H, W], with a guess in the hole.
            hole: [N, 1, H, W].
            times: that features are swapped.
            blurred: `filled` without fine detail, by which the first swap chooses; None for one of half the resolution.
        """
        features = self.features(filled)
        if self.swap:
            compared = self.features(_enlarged(F.avg_pool2d(filled, 2), 2) if blurred is None else blurred)
            for _ in range(times):
                features = compared = self.match(features, shrunk_hole(hole), compared)
        return self.feature2image(features)

    def match(self, features: Tensor, hole: Tensor, compared: Tensor) -> Tensor:
        """Patch-swap of features [N, C, h, w] in hole [N, 1, h, w], which gets their type, as ONNX asks.

        Which patch goes where is decided by the features `compared`; they may be the same.
        """
        hole = hole.to(features.dtype)
        return patch_paste(features, hole, patch_match(compared, hole))

    def forward_style(self, image: Tensor, style: Tensor) -> Tensor:
        """Style transfer: every patch of the image's features becomes the most similar one of the style's.

        Args:
            image: content, [N, 3, H, W] in [−1, 1].
            style: [N, 3, H, any width] in [−1, 1].

        Returns:
            [N, 3, H, W] in [−1, 1].
        """
        made = image
        style_features = self.features(style)
        for _ in range(self.iterations):
            features = torch.cat([self.features(made), style_features], 3)
            width = made.shape[3] // STRIDE
            is_content = torch.arange(features.shape[3], device=features.device) < width
            hole = torch.zeros_like(features[:, :1]) + is_content.to(features.dtype)
            made = self.feature2image(self.match(features, hole, features)[..., :width])
        return made


def masked_input(image: Tensor, hole: Tensor) -> Tensor:
    """What Image2Feature sees: the image with its hole filled smoothly, and the hole, [N, 4, H, W]."""
    return torch.cat([smooth_fill(image, hole), hole], 1)


def pasted(made: Tensor, image: Tensor, hole: Tensor) -> Tensor:
    """`made` in the hole, `image` elsewhere, in the type of `image`."""
    return torch.where(hole > 0, made.to(image.dtype), image)


def _blended_by_depth(enlarged: Tensor, known: Tensor, hole: Tensor) -> Tensor:
    """What the last scale made where nothing is known nearby; towards the hole's border, a smooth filling."""
    smooth = smooth_fill(known, hole)
    return smooth + low_pass(hole).square() * (enlarged - smooth)


def low_pass(image: Tensor) -> Tensor:
    """The image without whatever is finer than `_CELL` pixels; its sides are multiples of that."""
    cells = F.avg_pool2d(F.avg_pool2d(image, _CELL), 3, 1, 1, count_include_pad=False)
    return _enlarged(cells, _CELL)


def shrunk_hole(hole: Tensor, factor: int = STRIDE) -> Tensor:
    """At 1/factor of the size; a pixel is missing where any of those it stands for is."""
    return F.max_pool2d(hole, factor)


def _shrunk(image: Tensor, hole: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """Image and hole halved `scale` times.

    A plain mean does: where it would mix known and missing pixels, the shrunk hole covers it.
    """
    if scale == 0:
        return image, hole
    return F.avg_pool2d(image, 2**scale), shrunk_hole(hole, 2**scale)


def _enlarged(image: Tensor, factor: int) -> Tensor:
    return F.interpolate(image, scale_factor=float(factor), mode="bilinear", align_corners=False)
