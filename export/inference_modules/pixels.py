"""Images at the two ends of a graph, example images for the gate, and what every family says of a network."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.networks.layers import to_unit_range

FEW_CHANNELS = 4  # of an image; four times as many still fit one vector register
_COLOURS = 1024


def unit_range(image: Tensor) -> Tensor:
    """`to_unit_range` with the cast first: TensorRT moves no bytes around."""
    return to_unit_range(image.to(torch.float32))


def to_bytes(image: Tensor) -> Tensor:
    """float32 [N, C, H, W] in [−1, 1] → uint8 [N, H, W, C], truncated as the reference code does."""
    return byte_levels(image).permute(0, 2, 3, 1).to(torch.uint8)


def byte_levels(image: Tensor) -> Tensor:
    """Values in [−1, 1] → 0 to 255, not yet whole."""
    return (127.5 * image + 127.5).clamp(0, 255)


def blocky_image(count: int, height: int, width: int, channels: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """uint8 [N, H, W, C]: blocks of random colours under a little noise."""
    colours = rng.integers(0, 256, (_COLOURS, channels), np.uint8)
    noise = rng.integers(0, 16, (count, height, width, channels), np.uint8)
    image: NDArray[np.uint8] = np.bitwise_xor(colours[blocks(count, height, width, rng, _COLOURS)], noise)
    return image


def blocks(count: int, height: int, width: int, rng: np.random.Generator, values: int) -> NDArray[np.int32]:
    """int32 [N, H, W] of random values in blocks of 2 to 16 pixels a side.

    Several blocks on every map: InstanceNorm of a uniform map divides rounding noise by almost nothing.
    """
    side = int(rng.integers(2, max(min(height, width, 64) // 4, 2) + 1))
    coarse = rng.integers(0, values, (count, -(-height // side), -(-width // side)), np.int32)
    return np.ascontiguousarray(coarse.repeat(side, 1).repeat(side, 2)[:, :height, :width])


def parameters(network: nn.Module) -> int:
    """How many numbers the network learned."""
    return sum(parameter.numel() for parameter in network.parameters())
