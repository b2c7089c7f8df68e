"""Image2Feature and Feature2Image, the trained networks of contextual inpainting (sections 3.2 and 3.4 of the paper).

The paper names the layers, not their widths: kernels are 4×4 where the size changes, as in pix2pix, widths double with
every halving up to 8 times the first.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.networks.feature_network import IMAGE_NC, STRIDE, VGG19_WIDTHS, FeatureNetwork, checked_widths

HOLE_NC = 1
_HALVINGS = 3  # stride-2 convolutions of Image2Feature
_KERNEL, _STRIDE, _PADDING = 4, 2, 1
_SLOPE = 0.2
_WIDEST = 8  # times the width of the finest level
_PATCH = 3  # pixels a side that patch-swap compares
# Bounds of what a file may ask for: far above any use, low enough that nobody's file fills the memory.
_LIMITS = {
    "infer_ngf": (1, 256),
    "n_blocks": (0, 64),
    "dilation": (1, 16),
    "translate_ngf": (1, 256),
    "n_levels": (2, 9),
}


@dataclass(frozen=True)
class Architecture:
    """Everything that shapes the networks; the counts of layers are the paper's.

    Attributes:
        infer_ngf: Image2Feature's width at half resolution; its blocks are four times as wide.
        n_blocks: its residual blocks.
        dilation: of the first convolution of each block.
        feature_widths: of the `FeatureNetwork`; VGG19's by default.
        translate_ngf: Feature2Image's width at the image's half resolution; twice that at the features'.
        n_levels: its convolutions, all but the first of stride 2.
    """

    infer_ngf: int = 64
    n_blocks: int = 9
    dilation: int = 2
    feature_widths: tuple[int, int, int] = VGG19_WIDTHS
    translate_ngf: int = 64
    n_levels: int = 7

    def __post_init__(self) -> None:
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"architecture: {name} is {value!r}, expected an integer from {least} to {most}")
        object.__setattr__(self, "feature_widths", checked_widths(self.feature_widths, "feature_widths"))

    @property
    def size_multiple(self) -> int:
        """Image height and width must be multiples of this, at the lowest scale."""
        return int(max(2**_HALVINGS, STRIDE * 2 ** (self.n_levels - 1)))

    @property
    def smallest_side(self) -> int:
        """Least height and width at the lowest scale: the features must hold a patch."""
        multiple = self.size_multiple
        return -(-STRIDE * _PATCH // multiple) * multiple


class DilatedBlock(nn.Module):
    """x + conv3(relu(conv3(x))), the first convolution dilated, each normalised; zero padding."""

    def __init__(self, nc: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(nc, nc, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(nc),
            nn.ReLU(),
            nn.Conv2d(nc, nc, 3, padding=1, bias=False),
            nn.BatchNorm2d(nc),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Image2Feature(nn.Module):
    """Infer: a coarse image for the hole, whose features F₁ are then matched.

    Three stride-2 convolutions, dilated residual blocks, three stride-2 transposed convolutions; BatchNorm and ReLU
    after each but the last, which ends in tanh. Unlike the paper's it starts from a smooth filling of the hole and adds
    what that lacks, so that a small network has no colours to carry, and it sees the hole as a fourth channel.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        widths = [architecture.infer_ngf * 2**level for level in range(_HALVINGS)]
        inputs = [IMAGE_NC + HOLE_NC, *widths]
        self.down = nn.Sequential(*(_halve(inputs[level], nc) for level, nc in enumerate(widths)))
        blocks = (DilatedBlock(widths[-1], architecture.dilation) for _ in range(architecture.n_blocks))
        self.blocks = nn.Sequential(*blocks)
        up = (_double(nc, nc // 2) for nc in reversed(widths[1:]))
        self.up = nn.Sequential(*up, *_to_image(widths[0]))

    def forward(self, masked: Tensor) -> Tensor:
        """The image in [−1, 1], its hole filled, and the hole (1 = missing), [N, 4, H, W] → [N, 3, H, W] in ± 2."""
        return masked[:, :IMAGE_NC] + self.up(self.blocks(self.down(masked)))


class Feature2Image(nn.Module):
    """Translate: a U-Net from features to the image of four times their size.

    `n_levels` convolutions, the first at the features' resolution, the others of stride 2; `n_levels` + 1 transposed
    convolutions, the last two without skips. BatchNorm after each but the last, which ends in tanh.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        widths = [a.translate_ngf * min(2 ** (level + 1), _WIDEST) for level in range(a.n_levels)]
        front = _activated(nn.Conv2d(a.feature_widths[2], widths[0], 3, padding=1, bias=False), widths[0], _SLOPE)
        down = (_halve(widths[level - 1], widths[level], _SLOPE) for level in range(1, a.n_levels))
        self.down = nn.ModuleList([front, *down])
        nc, up = widths[-1], []
        for finer in reversed(widths[:-1]):
            up.append(_double(nc, finer))
            nc = 2 * finer
        self.up = nn.ModuleList(up)
        self.head = nn.Sequential(_double(nc, a.translate_ngf), *_to_image(a.translate_ngf))

    def forward(self, features: Tensor) -> Tensor:
        """[N, feature_widths[2], h, w] → [N, 3, 4·h, 4·w] in [−1, 1]."""
        skips: list[Tensor] = []
        x = features
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        skips.pop()
        for layer in self.up:
            x = torch.cat([layer(x), skips.pop()], 1)
        return self.head(x)


def _activated(convolution: nn.Module, nc: int, slope: float = 0.0) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(nc), nn.LeakyReLU(slope) if slope else nn.ReLU())


def _halve(input_nc: int, output_nc: int, slope: float = 0.0) -> nn.Sequential:
    return _activated(nn.Conv2d(input_nc, output_nc, _KERNEL, _STRIDE, _PADDING, bias=False), output_nc, slope)


def _double(input_nc: int, output_nc: int) -> nn.Sequential:
    return _activated(nn.ConvTranspose2d(input_nc, output_nc, _KERNEL, _STRIDE, _PADDING, bias=False), output_nc)


def _to_image(nc: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(nc, IMAGE_NC, _KERNEL, _STRIDE, _PADDING), nn.Tanh()]


def build(architecture: Architecture) -> dict[str, nn.Module]:
    """The networks that a checkpoint holds."""
    return {
        "image2feature": Image2Feature(architecture),
        "features": FeatureNetwork(architecture.feature_widths),
        "feature2image": Feature2Image(architecture),
    }
