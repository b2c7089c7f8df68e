"""The Contextual GAN's networks: a plain GAN over joint images [sketch | photo] (section 3.3 of the paper).

The joint image is twice as wide as high. `n_levels` stride-2 steps lead from 4×8 to it: four at the paper's 64×128.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

IMAGE_NC = 3
START = (4, 8)  # height and width at the lowest resolution
_KERNEL, _STRIDE, _PADDING = 5, 2, 2
_SLOPE = 0.2
_WIDEST = 8  # times the width of the finest level
D_NORMS = ("batch", "none")
# Bounds of what a file may ask for: far above any use, low enough that nobody's file fills the memory.
_LIMITS = {"z_nc": (1, 1024), "ngf": (1, 256), "ndf": (1, 256), "n_levels": (2, 7)}


@dataclass(frozen=True)
class Architecture:
    """Everything that shapes the networks; defaults are the paper's.

    Attributes:
        z_nc: length of the latent vector z.
        ngf: channels of the generator's finest hidden level.
        ndf: channels of the discriminator's first level.
        n_levels: stride-2 steps of both; the photo's side is 4·2^n_levels pixels.
        d_norm: normalisation of the discriminator, from its second level on: "batch" or "none".
    """

    z_nc: int = 100
    ngf: int = 64
    ndf: int = 64
    n_levels: int = 4
    d_norm: str = "batch"

    def __post_init__(self) -> None:
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"architecture: {name} is {value!r}, expected an integer from {least} to {most}")
        if self.d_norm not in D_NORMS:
            raise ValueError(f"architecture: d_norm is {self.d_norm!r}, expected one of {', '.join(D_NORMS)}")

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the joint image."""
        return START[0] * 2**self.n_levels, START[1] * 2**self.n_levels


class JointGenerator(nn.Module):
    """z → linear → 4×8 maps → 5×5 stride-2 transposed convolutions → joint image.

    BatchNorm and LeakyReLU follow every layer but the last, which ends in tanh.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        widths = [a.ngf * min(2**level, _WIDEST) for level in reversed(range(a.n_levels))]
        self.project = nn.Linear(a.z_nc, START[0] * START[1] * widths[0], bias=False)
        self.front = nn.Sequential(nn.BatchNorm2d(widths[0]), nn.LeakyReLU(_SLOPE))
        self.up = nn.Sequential(
            *(_up(widths[level], widths[level + 1]) for level in range(a.n_levels - 1)),
            nn.ConvTranspose2d(widths[-1], IMAGE_NC, _KERNEL, _STRIDE, _PADDING, output_padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        """[N, z_nc] → joint images [N, 3, H, W] in [−1, 1]."""
        maps = self.project(z).unflatten(1, (-1, *START))
        return self.up(self.front(maps))


class _JointReader(nn.Module):
    """5×5 stride-2 convolutions, then one fully connected layer to `values` numbers."""

    def __init__(self, architecture: Architecture, values: int) -> None:
        super().__init__()
        a = architecture
        widths = [a.ndf * min(2**level, _WIDEST) for level in range(a.n_levels)]
        layers: list[nn.Module] = []
        for level, nc in enumerate(widths):
            is_normalised = level > 0 and a.d_norm == "batch"
            input_nc = widths[level - 1] if level else IMAGE_NC
            layers.append(nn.Conv2d(input_nc, nc, _KERNEL, _STRIDE, _PADDING, bias=not is_normalised))
            layers += [nn.BatchNorm2d(nc)] if is_normalised else []
            layers.append(nn.LeakyReLU(_SLOPE))
        self.down = nn.Sequential(*layers)
        self.head = nn.Linear(START[0] * START[1] * widths[-1], values)

    def forward(self, joint_image: Tensor) -> Tensor:
        return self.head(self.down(joint_image).flatten(1))


class JointDiscriminator(_JointReader):
    """Joint image → score."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture, 1)

    def forward(self, joint_image: Tensor) -> Tensor:
        """[N, 3, H, W] in [−1, 1] → logits [N]; D of the paper is their sigmoid."""
        return super().forward(joint_image).squeeze(1)


class JointEncoder(_JointReader):
    """Joint image → z, the generator's way back. Not in the paper; training alone knows it."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture, architecture.z_nc)

    def forward(self, joint_image: Tensor) -> Tensor:
        """[N, 3, H, W] in [−1, 1] → [N, z_nc] in [−1, 1]."""
        return torch.tanh(super().forward(joint_image))


def _up(input_nc: int, output_nc: int) -> nn.Sequential:
    up = nn.ConvTranspose2d(input_nc, output_nc, _KERNEL, _STRIDE, _PADDING, output_padding=1, bias=False)
    return nn.Sequential(up, nn.BatchNorm2d(output_nc), nn.LeakyReLU(_SLOPE))


def build(architecture: Architecture) -> dict[str, nn.Module]:
    """The networks that a checkpoint holds; completion needs both."""
    return {"generator": JointGenerator(architecture), "discriminator": JointDiscriminator(architecture)}
