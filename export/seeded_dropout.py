"""Dropout whose mask is a function of a seed, so that pix2pix's noise z (section 3.2.1) can be had again at any time.

A mask is computed, not drawn: a keyed permutation of the pixel's number gives its bit. Only sums, products and
remainders of integers below 2^31 occur, so every backend computes the same bits: ONNX has no random numbers that
repeat, and TensorRT neither unsigned integers nor shifts.

The permutation is a Feistel network over pairs of residues (left, right) modulo p = 46337 with the round function of
the MiMC cipher, t ↦ t³, which is one to one because gcd(3, p − 1) = 1; p² < 2^31. One round with key k and constant c:
    (left, right) → (right + (left + k + c)³ mod p, left)
It runs three times: seed and layer give an image's keys, with these the channel gives the channel's keys, with these
the pixel's number y · W + x gives the bit. A value is kept where the last residue is below (p + 1) / 2, which is
23169 of 46337 cases (0.50001), and doubled as in training.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

PRIME = 46337
KEPT_BELOW = (PRIME + 1) // 2
# One constant a round: the fractional parts of √2, √3, √5, √7, √11, √13, times p.
_CONSTANTS = (19193, 33921, 10938, 29922, 14671, 28059)
_SIGN = 2**31 - 1

Pair = tuple[Tensor, Tensor]


@dataclass
class SeedHolder:
    """The seeds int32 [N] of the call that is under way; every layer of a network reads the same holder."""

    seed: Tensor | None = None


class SeededDropout(nn.Module):
    """Drops half of the values as the seeds in `holder` say, and doubles the rest.

    Args:
        holder: shared by the layers of one network.
        layer: number of this layer, so that layers of one network drop different values.
    """

    def __init__(self, holder: SeedHolder, layer: int) -> None:
        super().__init__()
        self.holder, self.layer = holder, layer

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → the same shape and dtype."""
        assert self.holder.seed is not None
        _, channels, height, width = x.shape
        kept = keep_mask(self.holder.seed, self.layer, channels, height, width)
        return x * (2 * kept).to(x.dtype)


def use_seeded_dropout(network: nn.Module) -> SeedHolder:
    """Replace, in place, every dropout layer by one that reads its seeds from the holder returned."""
    holder = SeedHolder()
    layers = [
        (parent, name)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Dropout)
    ]
    for number, (parent, name) in enumerate(layers):
        setattr(parent, name, SeededDropout(holder, number))
    return holder


def has_dropout(network: nn.Module) -> bool:
    return any(isinstance(layer, nn.Dropout) for layer in network.modules())


def keep_mask(seed: Tensor, layer: int, channels: int, height: int, width: int) -> Tensor:
    """Which values a layer keeps.

    Args:
        seed: int32 [N], any value.
        layer: number of the layer.
        channels: of the layer's values.
        height: of the layer's values.
        width: of the layer's values; height · width is below 2^31.

    Returns:
        int32 [N, channels, height, width] of zeros and ones.
    """
    is_negative = (seed < 0).to(torch.int32)
    number = seed + is_negative * _SIGN + is_negative  # without the sign, and at no step beyond int32
    image_keys = _permute(_words(number), (is_negative + 2 * layer, is_negative + 1))
    channel = torch.arange(channels, dtype=torch.int32, device=seed.device)
    channel_keys = _permute(_words(channel), (image_keys[0].unsqueeze(1), image_keys[1].unsqueeze(1)))
    pixel = torch.arange(height * width, dtype=torch.int32, device=seed.device)
    bits, _ = _permute(_words(pixel), (channel_keys[0].unsqueeze(2), channel_keys[1].unsqueeze(2)))
    return (bits < KEPT_BELOW).to(torch.int32).view(seed.shape[0], channels, height, width)


def _words(number: Tensor) -> Pair:
    """A non-negative number below p² as two residues."""
    return number % PRIME, number // PRIME


def _permute(state: Pair, keys: Pair) -> Pair:
    """One round a constant, the two keys taking turns. Halves may exceed p between rounds; a result does not."""
    left, right = state
    for number, constant in enumerate(_CONSTANTS):
        base = (left + keys[number % 2] + constant) % PRIME
        left, right = right + base * base % PRIME * base % PRIME, left
    return left % PRIME, right % PRIME
