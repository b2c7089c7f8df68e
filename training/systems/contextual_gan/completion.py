"""Completion by torch, for evaluation while training; the engine does the same in one graph per step."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.networks.completion_losses import contextual_loss, perceptual_loss


@dataclass(frozen=True)
class Search:
    """How ẑ is sought (section 3.2); defaults are the runtime's, which training does not import.

    Attributes:
        iterations: steps of gradient descent.
        candidates: N, random z of which the one of the lowest contextual loss starts.
        learning_rate: of z.
        momentum: of the descent.
        perceptual_weight: λ.
        z_limit: z is clipped to ± this.
    """

    iterations: int = 500
    candidates: int = 10
    learning_rate: float = 0.1
    momentum: float = 0.9
    perceptual_weight: float = 0.01
    z_limit: float = 1.0


@dataclass(frozen=True)
class Found:
    """What a search passed through.

    Attributes:
        images: G(z), [1, 3, H, W] in [−1, 1], by steps done; the last one always.
        contextual_loss: at the start and after every step.
        total_loss: likewise, with λ·L_perceptual.
    """

    images: dict[int, Tensor]
    contextual_loss: list[float]
    total_loss: list[float]


def complete(
    generator: nn.Module,
    discriminator: nn.Module,
    observed: Tensor,
    weights: Tensor,
    search: Search,
    z: Tensor,
    keep: Collection[int] = (),
) -> Found:
    """Descend from the best of the candidates `z`.

    Args:
        generator: in evaluation mode.
        discriminator: likewise.
        observed: y, [1, 3, H, W] in [−1, 1].
        weights: M, [1, 1, H, W], 0 = unknown.
        search: how.
        z: candidates [N, z_nc].
        keep: steps after which to keep the image, beside the last.
    """
    with torch.no_grad():
        best = contextual_loss(generator(z), observed, weights).argmin()
    z, velocity = z[best : best + 1].clone(), torch.zeros_like(z[:1])
    found = Found({}, [], [])
    for iteration in range(search.iterations + 1):
        z.requires_grad_(True)
        joint = generator(z)
        contextual = contextual_loss(joint, observed, weights)
        total = contextual + search.perceptual_weight * perceptual_loss(discriminator(joint))
        (gradient,) = torch.autograd.grad(total.sum(), z)
        found.contextual_loss.append(float(contextual.detach()))
        found.total_loss.append(float(total.detach()))
        if iteration in keep or iteration == search.iterations:
            found.images[iteration] = joint.detach()
        with torch.no_grad():
            velocity = search.momentum * velocity - search.learning_rate * gradient
            z = (z + velocity).clamp(-search.z_limit, search.z_limit)
    return found
