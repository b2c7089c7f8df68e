"""What completion minimises over z with both networks fixed: the Contextual GAN's section 3.2."""

import torch
import torch.nn.functional as F
from torch import Tensor

# One grey level: what the loss takes white for, because no mass at all has no logarithm.
_WHITE = 1 / 255


def contextual_loss(joint_image: Tensor, observed: Tensor, weights: Tensor) -> Tensor:
    """L_contextual = D_KL(M⊙y, M⊙G(z)): how far the known part of a joint image is from what was observed.

    Both sides are darknesses (white 0, black 1), normalised to sum to one over the known part: what a sketch says is
    where its ink is, and a faint one says the same as a bold one.

    Args:
        joint_image: G(z), [N, 3, H, W] in [−1, 1].
        observed: y, [1, 3, H, W] in [−1, 1].
        weights: M, [1, 1, H, W]; 0 = unknown, more = matters more. At least one must be above 0.

    Returns:
        One value ≥ 0 per joint image, [N].
    """
    given, made = _darkness(observed), _darkness(joint_image)
    given_mass, made_mass = (given * weights).sum((1, 2, 3)), (made * weights).sum((1, 2, 3))
    p = given * weights / given_mass
    # log p − log q with the weights cancelled: where one is 0, neither has a logarithm.
    return (p * (torch.log(given) - torch.log(made))).sum((1, 2, 3)) + torch.log(made_mass) - torch.log(given_mass)


def perceptual_loss(logits: Tensor) -> Tensor:
    """L_perceptual = log(1 − D(G(z))) from the discriminator's logits [N] → [N]."""
    return -F.softplus(logits)


def _darkness(image: Tensor) -> Tensor:
    return (1 - image) * (0.5 * (1 - _WHITE)) + _WHITE
