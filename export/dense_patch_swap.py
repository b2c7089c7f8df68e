"""Patch-swap as users write it, by convolutions with every patch as a filter: the yardstick of our benchmarks."""

import torch
import torch.nn.functional as F
from torch import Tensor

from cuda_ext.reference import NORM_FLOOR
from training.networks.inpainting import Inpainting

_NO_KEY = -1e9


class DenseInpainting(Inpainting):
    """`Inpainting` of one image at a time that stores the scores of all pairs of patches."""

    def match(self, features: Tensor, hole: Tensor, compared: Tensor) -> Tensor:
        """Patch-swap, [1, C, h, w] and [1, 1, h, w] → [1, C, h, w]; takes memory for (h·w)² numbers, several times."""
        channels, height, width = features.shape[1:]
        touched = F.max_pool2d(hole, 3, 1, 1)
        is_key = F.pad(1 - touched[..., 1:-1, 1:-1], (1, 1, 1, 1)).reshape(1, height * width, 1, 1) > 0
        patches, keys = (
            F.unfold(of, 3, padding=1)[0].T.reshape(height * width, channels, 3, 3) for of in (features, compared)
        )
        norms = keys.flatten(1).norm(dim=1).clamp_min(NORM_FLOOR)
        scores = F.conv2d(compared, keys / norms[:, None, None, None], padding=1)
        best = torch.where(is_key, scores, _NO_KEY).argmax(1, keepdim=True)
        winners = torch.zeros_like(scores).scatter(1, best, touched)
        pasted = F.conv_transpose2d(winners, patches, padding=1)
        overlaps = F.conv_transpose2d(touched, torch.ones_like(features[:1, :1, :1, :1]).expand(1, 1, 3, 3), padding=1)
        return torch.where((hole > 0) & is_key.any(), pasted / overlaps.clamp_min(1.0), features)
