"""The U-Net generator of pix2pix (section 3.2.1, appendix 6.1) and the plain encoder–decoder it is compared with."""

import torch
from torch import Tensor, nn

from training.networks.layers import uses_bias
from training.networks.normalization import norm_layer

_KERNEL, _STRIDE, _PADDING = 4, 2, 1


class UNet(nn.Module):
    """Halves the image `depth` times and doubles it back; layer i is concatenated to layer n − i.

    Every level is a 4×4 convolution of stride 2; the width doubles up to 8·ngf. The outermost and innermost
    convolutions are not normalised.

    Args:
        input_nc, output_nc: channels of the images.
        ngf: width of the first level.
        depth: levels; sides must be multiples of 2^depth.
        norm: kind of normalisation.
        use_skips: False gives the encoder–decoder.
        dropout_blocks: decoder blocks, counted from the innermost, that drop half of their values: the paper's only
            noise z.
    """

    def __init__(
        self,
        input_nc: int,
        output_nc: int,
        ngf: int,
        depth: int,
        norm: str,
        use_skips: bool,
        dropout_blocks: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.use_skips = use_skips
        widths = [ngf * min(2**level, 8) for level in range(depth)]
        self.down = nn.ModuleList(
            _down(widths[level - 1] if level else input_nc, widths[level], level, level == depth - 1, norm)
            for level in range(depth)
        )
        self.up = nn.ModuleList()
        for block, level in enumerate(reversed(range(depth))):
            nc = widths[level] * (2 if use_skips and block else 1)
            if level:
                self.up.append(_up(nc, widths[level - 1], norm, block in dropout_blocks))
        self.head = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(nc, output_nc, _KERNEL, _STRIDE, _PADDING), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """[N, input_nc, H, W] → [N, output_nc, H, W], both in [−1, 1]."""
        skips: list[Tensor] = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        skips.pop()
        for layer in self.up:
            x = layer(x)
            skip = skips.pop()
            if self.use_skips:
                x = torch.cat([skip, x], 1)
        return self.head(x)


def _down(input_nc: int, output_nc: int, level: int, is_innermost: bool, norm: str) -> nn.Sequential:
    layers: list[nn.Module] = [] if level == 0 else [nn.LeakyReLU(0.2)]
    layers.append(nn.Conv2d(input_nc, output_nc, _KERNEL, _STRIDE, _PADDING, bias=uses_bias(norm)))
    if level and not is_innermost:
        layers.append(norm_layer(norm, output_nc))
    return nn.Sequential(*layers)


def _up(input_nc: int, output_nc: int, norm: str, use_dropout: bool) -> nn.Sequential:
    up = nn.ConvTranspose2d(input_nc, output_nc, _KERNEL, _STRIDE, _PADDING, bias=uses_bias(norm))
    return nn.Sequential(nn.ReLU(), up, norm_layer(norm, output_nc), *([nn.Dropout(0.5)] if use_dropout else []))
