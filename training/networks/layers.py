"""Building blocks that the generators share: normalised convolutions, resampling, residual blocks, initial weights."""

import torch
from torch import Tensor, nn

from training.networks.normalization import norm_layer

UPSAMPLINGS = ("transposed", "smooth", "bilinear")


def conv_norm_relu(
    input_nc: int, output_nc: int, kernel: int, stride: int = 1, padding: int = 0, norm: str = "instance"
) -> list[nn.Module]:
    conv = nn.Conv2d(input_nc, output_nc, kernel, stride, padding, bias=uses_bias(norm))
    return [conv, norm_layer(norm, output_nc), nn.ReLU()]


def uses_bias(norm: str) -> bool:
    """Whether a convolution before a normalisation of this kind has a bias; BatchNorm brings its own."""
    return norm != "batch"


def front(input_nc: int, ngf: int, norm: str = "instance") -> list[nn.Module]:
    """7×7 convolution at full resolution, reflection padding."""
    return [nn.ReflectionPad2d(3), *conv_norm_relu(input_nc, ngf, 7, norm=norm)]


def halve(nc: int, norm: str = "instance") -> list[nn.Module]:
    """Stride-2 convolution: half the size, twice the channels."""
    return conv_norm_relu(nc, 2 * nc, 3, stride=2, padding=1, norm=norm)


def double(nc: int, norm: str = "instance", upsampling: str = "transposed") -> list[nn.Module]:
    """Twice the size, half the channels.

    Args:
        nc: channels before.
        norm: kind of normalisation.
        upsampling: "transposed", the papers' 3×3 transposed convolution of stride 2, whose taps cover some pixels four
            times as often as others; "smooth", one of 4×4 taps, which covers all alike and begins as bilinear
            enlargement, so that no grid is there to unlearn; "bilinear", a resize and a convolution.
    """
    if upsampling == "bilinear":
        resize = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        return [resize, nn.ReflectionPad2d(1), *conv_norm_relu(nc, nc // 2, 3, norm=norm)]
    if upsampling == "smooth":
        return [SmoothUpsampling(nc, nc // 2, uses_bias(norm)), norm_layer(norm, nc // 2), nn.ReLU()]
    up = nn.ConvTranspose2d(nc, nc // 2, 3, stride=2, padding=1, output_padding=1, bias=uses_bias(norm))
    return [up, norm_layer(norm, nc // 2), nn.ReLU()]


class SmoothUpsampling(nn.ConvTranspose2d):
    """Twice the size by a transposed convolution of 4×4 taps and stride 2.

    Each of the four phases of its output has four taps, as a sub-pixel convolution has (Odena et al. 2016,
    "Deconvolution and Checkerboard Artifacts"; Aitken et al. 2017, "Checkerboard artifact free sub-pixel convolution").
    """

    def __init__(self, input_nc: int, output_nc: int, bias: bool) -> None:
        super().__init__(input_nc, output_nc, 4, stride=2, padding=1, bias=bias)

    def initialise(self) -> None:
        """Bilinear enlargement of random mixtures of the channels."""
        mixture = torch.empty(self.in_channels, self.out_channels, 1, 1).normal_(0.0, 0.04)
        line = torch.tensor([0.25, 0.75, 0.75, 0.25])
        self.weight.data = mixture * torch.outer(line, line)


def to_image(nc: int, output_nc: int) -> nn.Sequential:
    """7×7 convolution to values in [−1, 1]."""
    return nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(nc, output_nc, 7), nn.Tanh())


class ResidualBlock(nn.Module):
    """x + conv3(relu(conv3(x))), reflection padding, each convolution normalised.

    Args:
        nc: channels.
        norm: kind of normalisation.
        use_dropout: whether half of the values between the convolutions are dropped.
    """

    def __init__(self, nc: int, norm: str = "instance", use_dropout: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            *conv_norm_relu(nc, nc, 3, norm=norm),
            *([nn.Dropout(0.5)] if use_dropout else []),
            nn.ReflectionPad2d(1),
            nn.Conv2d(nc, nc, 3, bias=uses_bias(norm)),
            norm_layer(norm, nc),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def initialise(module: nn.Module) -> None:
    """The reference code's initial weights: convolutions N(0, 0.02), BatchNorm's scales N(1, 0.02), biases zero."""
    for layer in module.modules():
        if isinstance(layer, SmoothUpsampling):
            layer.initialise()
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def to_unit_range(image: Tensor) -> Tensor:
    """uint8 pixels [N, H, W, C] → float32 [N, C, H, W] in [−1, 1]."""
    return image.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0


def to_pixels(image: Tensor) -> Tensor:
    """[N, C, H, W] in [−1, 1] → uint8 [N, H, W, C], truncated as the reference code does."""
    return (127.5 * image.float() + 127.5).clamp(0, 255).byte().permute(0, 2, 3, 1)
