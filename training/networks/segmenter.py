"""A small segmenter, photo → label ids, so that FCN-scores can be had without outside networks."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.networks.layers import ResidualBlock, conv_norm_relu, halve
from training.networks.normalization import NORMS

IMAGE_NC = 3
# Bounds of what a file may ask for: far above any use, low enough that nobody's file fills the memory.
_LIMITS = {"label_nc": (2, 256), "width": (1, 256), "n_downsample": (1, 6), "n_blocks": (0, 64)}


@dataclass(frozen=True)
class Architecture:
    """Everything that shapes the network.

    Attributes:
        label_nc: classes.
        width: channels at half resolution; each halving doubles them.
        n_downsample: how often the image is halved.
        n_blocks: residual blocks at the lowest resolution.
        norm: "batch", "instance" or "none".
    """

    label_nc: int = 35
    width: int = 24
    n_downsample: int = 4
    n_blocks: int = 2
    norm: str = "batch"

    def __post_init__(self) -> None:
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"architecture: {name} is {value!r}, expected an integer from {least} to {most}")
        if self.norm not in NORMS:
            raise ValueError(f"architecture: norm is {self.norm!r}, expected one of {', '.join(NORMS)}")

    @property
    def smallest_side(self) -> int:
        """Least height and width: the innermost blocks reflect one pixel. Any size above fits."""
        return int(2 ** (self.n_downsample + 1))


class Segmenter(nn.Module):
    """Encoder, residual blocks, and a decoder that adds the encoder's maps of each resolution."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        widths = [a.width * 2**level for level in range(a.n_downsample)]
        front = nn.Sequential(*conv_norm_relu(IMAGE_NC, a.width, 3, stride=2, padding=1, norm=a.norm))
        self.down = nn.ModuleList([front, *(nn.Sequential(*halve(nc, a.norm)) for nc in widths[:-1])])
        self.blocks = nn.Sequential(*(ResidualBlock(widths[-1], a.norm) for _ in range(a.n_blocks)))
        self.up = nn.ModuleList(
            nn.Sequential(*conv_norm_relu(2 * nc, nc, 3, padding=1, norm=a.norm)) for nc in reversed(widths[:-1])
        )
        self.head = nn.Conv2d(a.width, a.label_nc, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3, H, W] in [−1, 1] → scores (logits) [N, label_nc, H, W]."""
        size = x.shape[2:]
        maps: list[Tensor] = []
        for layer in self.down:
            x = layer(x)
            maps.append(x)
        maps.pop()
        x = self.blocks(x)
        for layer in self.up:
            finer = maps.pop()
            x = layer(_resized(x, finer.shape[2:])) + finer
        return _resized(self.head(x), size)


def _resized(x: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def build(architecture: Architecture) -> dict[str, nn.Module]:
    """The networks a segmenter's checkpoint holds: "segmenter"."""
    return {"segmenter": Segmenter(architecture)}
