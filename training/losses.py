"""Losses of the pix2pix family. Each takes networks' outputs and gives a scalar; weights belong to the systems."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

GAN_MODES = ("lsgan", "vanilla")
# pix2pixHD's perceptual loss: relu1_1 … relu5_1.
VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


def gan_loss(outputs: Sequence[Sequence[Tensor]], target_is_real: bool, mode: str) -> Tensor:
    """Σ_k L_GAN(D_k), pix2pixHD equation 3.

    Args:
        outputs: per scale the discriminator's layers, the last being the scores (logits).
        target_is_real: what the discriminator should say.
        mode: "lsgan" (least squares) or "vanilla" (binary cross-entropy).
    """
    distance = F.mse_loss if mode == "lsgan" else F.binary_cross_entropy_with_logits
    scores = [layers[-1].float() for layers in outputs]
    return torch.stack([distance(s, torch.full_like(s, float(target_is_real))) for s in scores]).sum()


def feature_matching_loss(fake: Sequence[Sequence[Tensor]], real: Sequence[Sequence[Tensor]]) -> Tensor:
    """Σ_k L_FM(G, D_k), pix2pixHD equation 4: L1 between the layers before the scores.

    The scale factors 4 / layers and 1 / scales are the reference code's.
    """
    terms = [
        F.l1_loss(fake_layer.float(), real_layer.detach().float()) * 4.0 / len(fake_layers)
        for fake_layers, real_layers in zip(fake, real, strict=True)
        for fake_layer, real_layer in zip(fake_layers[:-1], real_layers[:-1], strict=True)
    ]
    return torch.stack(terms).sum() / len(fake)


def sliced_distance(made: Tensor, wanted: Tensor) -> Tensor:
    """Squared sliced Wasserstein distance of two clouds of points (Kolouri et al. 2018, "Sliced-Wasserstein
    auto-encoders", equation 12), along every axis and along as many random directions.

    Args:
        made: points, [N, K].
        wanted: as many points that are spread as they should be, [N, K].
    """
    directions = F.normalize(torch.randn(made.shape[1], made.shape[1], device=made.device), dim=0)
    lines = [(cloud.sort(0).values, (cloud @ directions).sort(0).values) for cloud in (made, wanted)]
    return torch.stack([F.mse_loss(a, b) for a, b in zip(*lines, strict=True)]).sum()


def hole_weights(hole: Tensor, boundary_weight: float) -> Tensor:
    """M_F of inpainting (section 3.2): 1 in the hole, `boundary_weight` where it meets what is known, 0 outside.

    Args:
        hole: [N, 1, h, w], 0 or 1 = missing, at the features' resolution.
        boundary_weight: of the hole's pixels that have a known one among their eight neighbours.
    """
    inner = -F.max_pool2d(-hole, 3, stride=1, padding=1)
    return hole * (boundary_weight + (1 - boundary_weight) * inner)


def feature_loss(fake: Tensor, real: Tensor, weights: Tensor | None = None) -> Tensor:
    """L1 between feature maps [N, C, h, w], as a share of the mean of `real`, which is detached.

    The share makes a weight mean the same for every feature network, whatever the size of its values.

    Args:
        fake: features.
        real: of what they should be.
        weights: [N, 1, h, w] of each pixel; None counts all alike.
    """
    real = real.detach().float()
    distance = (fake.float() - real).abs().mean(1, keepdim=True)
    mean = distance.mean() if weights is None else (distance * weights).sum() / weights.sum().clamp(min=1)
    return mean / real.abs().mean().clamp(min=1e-6)


def perceptual_loss(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Weighted L1 between the VGG19 features relu1_1 … relu5_1 (pix2pixHD section 3.3, reference weights)."""
    terms = [w * F.l1_loss(f, r.detach()) for w, f, r in zip(VGG_WEIGHTS, fake, real, strict=True)]
    return torch.stack(terms).sum()
