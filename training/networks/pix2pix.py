"""The generators of pix2pix: U-Net, encoder–decoder, and the ResNet that checkpoints of others may have."""

from dataclasses import dataclass

from torch import Tensor, nn

from training.networks.layers import UPSAMPLINGS, ResidualBlock, double, front, halve, to_image
from training.networks.normalization import NORMS
from training.networks.unet import UNet

GENERATORS = ("unet", "resnet")
# Bounds of what a file may ask for: far above any network in use, low enough that nobody's file fills the memory.
_LIMITS = {"input_nc": (1, 64), "output_nc": (1, 64), "ngf": (1, 512), "n_downsample": (1, 10), "n_blocks": (0, 64)}
_CHOICES = {"generator": GENERATORS, "norm": NORMS, "upsampling": UPSAMPLINGS}


@dataclass(frozen=True)
class Architecture:
    """Everything that shapes the generator. Defaults are the paper's U-Net for 256×256.

    Attributes:
        generator: "unet" or "resnet".
        input_nc, output_nc: channels of the input and the output image.
        ngf: width of the first layer.
        n_downsample: how often the image is halved: 8 for the U-Net at 256×256, 2 for the ResNet.
        n_blocks: residual blocks of the ResNet.
        use_skips: U-Net; False gives the encoder–decoder.
        norm: "batch", "instance" or "none".
        dropout_blocks: blocks that drop half of their values in training. U-Net: decoder blocks counted from the
            innermost, the paper's are the first three. ResNet: residual blocks.
        upsampling: of the ResNet: "transposed" convolutions or "bilinear" resizing before a convolution.
    """

    generator: str = "unet"
    input_nc: int = 3
    output_nc: int = 3
    ngf: int = 64
    n_downsample: int = 8
    n_blocks: int = 9
    use_skips: bool = True
    norm: str = "batch"
    dropout_blocks: tuple[int, ...] = (0, 1, 2)
    upsampling: str = "transposed"

    def __post_init__(self) -> None:
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"architecture: {name} is {value!r}, expected an integer from {least} to {most}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"architecture: {name} is {getattr(self, name)!r}, expected {' or '.join(choices)}")
        if not isinstance(self.use_skips, bool):
            raise ValueError(f"architecture: use_skips is {self.use_skips!r}, expected true or false")
        object.__setattr__(self, "dropout_blocks", tuple(self.dropout_blocks))  # JSON has lists only
        blocks = self.n_blocks if self.generator == "resnet" else self.n_downsample - 1
        if any(isinstance(b, bool) or not isinstance(b, int) or not 0 <= b < blocks for b in self.dropout_blocks):
            raise ValueError(f"architecture: dropout_blocks is {self.dropout_blocks}, expected numbers below {blocks}")

    @property
    def size_multiple(self) -> int:
        """Image height and width must be multiples of this."""
        return int(2**self.n_downsample)

    @property
    def smallest_side(self) -> int:
        """Least height and width: the ResNet's innermost blocks reflect one pixel, its ends three."""
        return self.size_multiple if self.generator == "unet" else max(2 * self.size_multiple, 4)


class ResNet(nn.Module):
    """Front, stride-2 convolutions, residual blocks, upsampling, 7×7 convolution to the image."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        layers, nc = front(a.input_nc, a.ngf, a.norm), a.ngf
        for _ in range(a.n_downsample):
            layers += halve(nc, a.norm)
            nc *= 2
        layers += [ResidualBlock(nc, a.norm, block in a.dropout_blocks) for block in range(a.n_blocks)]
        for _ in range(a.n_downsample):
            layers += double(nc, a.norm, a.upsampling)
            nc //= 2
        self.layers = nn.Sequential(*layers, *to_image(nc, a.output_nc))

    def forward(self, x: Tensor) -> Tensor:
        """[N, input_nc, H, W] → [N, output_nc, H, W], both in [−1, 1]."""
        return self.layers(x)


def build(architecture: Architecture) -> dict[str, nn.Module]:
    """The networks a pix2pix checkpoint holds: "generator"."""
    a = architecture
    if a.generator == "resnet":
        return {"generator": ResNet(a)}
    unet = UNet(a.input_nc, a.output_nc, a.ngf, a.n_downsample, a.norm, a.use_skips, a.dropout_blocks)
    return {"generator": unet}
