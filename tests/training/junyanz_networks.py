"""Networks laid out as junyanz' pytorch-CycleGAN-and-pix2pix lays them out, in plain torch: what its files come from.

Written from the layout of its state dicts; nothing here is shared with the networks they are imported into.
"""

from functools import partial

import torch
from torch import Tensor, nn

NORMS = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d, "none": lambda nc: nn.Identity()}


class Level(nn.Module):
    """One level of the U-Net with everything further in; the outermost adds no skip."""

    def __init__(
        self, outer: int, inner: int, inside: "Level | None", norm: str, drop: bool, input_nc: int = 0
    ) -> None:
        super().__init__()
        self.is_outermost = input_nc > 0
        bias = norm == "instance"
        down = nn.Conv2d(input_nc or outer, inner, 4, 2, 1, bias=bias)
        up_nc = inner * (2 if inside else 1)
        if inside is not None and self.is_outermost:
            layers = [down, inside, nn.ReLU(), nn.ConvTranspose2d(up_nc, outer, 4, 2, 1), nn.Tanh()]
        else:
            up = nn.ConvTranspose2d(up_nc, outer, 4, 2, 1, bias=bias)
            layers = [nn.LeakyReLU(0.2), down]
            layers += [NORMS[norm](inner), inside] if inside else []
            layers += [nn.ReLU(), up, NORMS[norm](outer)] + [nn.Dropout(0.5)] * drop
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.is_outermost else torch.cat([x, self.model(x)], 1)


class UNet(nn.Module):
    def __init__(self, input_nc: int, output_nc: int, depth: int, ngf: int, norm: str, drop: bool = True) -> None:
        super().__init__()
        level = Level(8 * ngf, 8 * ngf, None, norm, False)
        for _ in range(depth - 5):
            level = Level(8 * ngf, 8 * ngf, level, norm, drop)
        for width in (4, 2, 1):
            level = Level(width * ngf, 2 * width * ngf, level, norm, False)
        self.model = Level(output_nc, ngf, level, norm, False, input_nc)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Block(nn.Module):
    def __init__(self, nc: int, norm: str, drop: bool) -> None:
        super().__init__()
        conv = partial(nn.Conv2d, nc, nc, 3, bias=norm == "instance")
        first = [nn.ReflectionPad2d(1), conv(), NORMS[norm](nc), nn.ReLU()] + [nn.Dropout(0.5)] * drop
        self.conv_block = nn.Sequential(*first, nn.ReflectionPad2d(1), conv(), NORMS[norm](nc))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class ResNet(nn.Module):
    def __init__(
        self, input_nc: int, output_nc: int, ngf: int, n_blocks: int, norm: str, drop: bool, bilinear: bool = False
    ) -> None:
        super().__init__()
        bias = norm == "instance"
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(input_nc, ngf, 7, bias=bias), NORMS[norm](ngf), nn.ReLU()]
        for nc in (ngf, 2 * ngf):
            layers += [nn.Conv2d(nc, 2 * nc, 3, 2, 1, bias=bias), NORMS[norm](2 * nc), nn.ReLU()]
        layers += [Block(4 * ngf, norm, drop) for _ in range(n_blocks)]
        for nc in (4 * ngf, 2 * ngf):
            up = [nn.ConvTranspose2d(nc, nc // 2, 3, 2, 1, output_padding=1, bias=bias)]
            if bilinear:  # its convolution always has a bias
                up = [nn.Upsample(scale_factor=2, mode="bilinear"), nn.ReflectionPad2d(1), nn.Conv2d(nc, nc // 2, 3)]
            layers += [*up, NORMS[norm](nc // 2), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, output_nc, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class PatchDiscriminator(nn.Module):
    def __init__(self, input_nc: int, ndf: int, n_layers: int, norm: str) -> None:
        super().__init__()
        layers = [nn.Conv2d(input_nc, ndf, 4, 2, 1), nn.LeakyReLU(0.2)]
        nc = ndf
        for index in range(1, n_layers + 1):
            previous, nc = nc, ndf * min(2**index, 8)
            conv = nn.Conv2d(previous, nc, 4, 2 if index < n_layers else 1, 1, bias=norm == "instance")
            layers += [conv, NORMS[norm](nc), nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(*layers, nn.Conv2d(nc, 1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class PixelDiscriminator(nn.Module):
    def __init__(self, input_nc: int, ndf: int, norm: str) -> None:
        super().__init__()
        bias = norm == "instance"
        hidden = [nn.Conv2d(ndf, 2 * ndf, 1, bias=bias), NORMS[norm](2 * ndf), nn.LeakyReLU(0.2)]
        self.net = nn.Sequential(
            nn.Conv2d(input_nc, ndf, 1), nn.LeakyReLU(0.2), *hidden, nn.Conv2d(2 * ndf, 1, 1, bias=bias)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network in evaluation mode with weights, biases and statistics that all show."""
    torch.manual_seed(seed)
    for name, value in network.state_dict().items():
        if value.ndim > 1:
            value.normal_(0, 0.15)
        elif name.endswith("bias"):
            value.normal_(0, 0.3)
        elif value.is_floating_point():
            value.uniform_(0.5, 1.5)
    return network.eval().requires_grad_(False)
