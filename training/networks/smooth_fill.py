"""A first guess for a hole: colours that spread into it from its border, coarse to fine."""

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 3  # the image's sides must be multiples of 2^LEVELS
_SPREAD = 16  # cells of 2^LEVELS pixels that colours travel; deeper inside a hole stays grey
_LEAST = 1e-3  # share of known pixels that counts as none


def smooth_fill(image: Tensor, hole: Tensor) -> Tensor:
    """The image with its hole filled smoothly: pull-push interpolation (Gortler et al. 1996, section 3.4).

    Args:
        image: [N, 3, H, W]; H and W multiples of 8; what lies in the hole is not read.
        hole: [N, 1, H, W], 0 or 1 = missing.

    Returns:
        [N, 3, H, W], equal to `image` outside the hole.
    """
    known = 1 - hole
    pyramid = [(torch.where(hole > 0, 0.0, image), known)]
    for _ in range(LEVELS):
        weighted, share = pyramid[-1]
        pyramid.append((F.avg_pool2d(weighted, 2), F.avg_pool2d(share, 2)))
    weighted, share = pyramid.pop()
    colour = _spread(weighted / share.clamp(min=_LEAST), (share > _LEAST).to(image.dtype))
    for weighted, share in reversed(pyramid):
        finer = F.interpolate(colour, scale_factor=2.0, mode="bilinear", align_corners=False)
        colour = weighted + (1 - share) * finer
    return colour


def _spread(colour: Tensor, reached: Tensor) -> Tensor:
    """Give cells [N, 1, h, w] that are 0 in `reached` the mean of their neighbours that are not, layer by layer."""
    for _ in range(_SPREAD):
        share = F.avg_pool2d(reached, 3, 1, 1)
        mean = F.avg_pool2d(colour * reached, 3, 1, 1) / share.clamp(min=_LEAST)
        colour = torch.where(reached > 0, colour, mean)
        reached = (share > 0).to(reached.dtype)
    return colour
