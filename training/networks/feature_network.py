"""The feature network of inpainting: VGG19 up to relu3_1, or a narrow one of the same layers that is trained here."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.networks.vgg import MEAN, STD

IMAGE_NC = 3
STRIDE = 4  # pixels of the image per pixel of the features, each way
VGG19_WIDTHS = (64, 128, 256)
_WIDEST = 1024  # far above any use, low enough that nobody's file fills the memory


def checked_widths(widths: Sequence[int], name: str = "widths") -> tuple[int, int, int]:
    """Three channel counts as a tuple; JSON has lists only.

    Raises:
        ValueError: they are something else.
    """
    given = tuple(widths) if isinstance(widths, Sequence) and not isinstance(widths, str) else ()
    fits = [isinstance(w, int) and not isinstance(w, bool) and 1 <= w <= _WIDEST for w in given]
    if len(given) != 3 or not all(fits):
        raise ValueError(f"architecture: {name} is {widths!r}, expected three integers from 1 to {_WIDEST}")
    return given[0], given[1], given[2]


@dataclass(frozen=True)
class Architecture:
    """Everything that shapes the network.

    Attributes:
        widths: channels at full, half and quarter resolution; VGG19's by default.
    """

    widths: tuple[int, int, int] = VGG19_WIDTHS

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", checked_widths(self.widths))

    @property
    def size_multiple(self) -> int:
        """Image height and width must be multiples of this."""
        return STRIDE

    @property
    def smallest_side(self) -> int:
        """Least height and width."""
        return STRIDE


class FeatureNetwork(nn.Module):
    """Image → features at a quarter of its resolution.

    The names of the weights are torchvision's (`features.0.weight`, …).

    Args:
        widths: channels at full, half and quarter resolution.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, widths: Sequence[int] = VGG19_WIDTHS) -> None:
        super().__init__()
        w0, w1, w2 = checked_widths(widths)
        layers: list[nn.Module] = [*_conv_relu(IMAGE_NC, w0), *_conv_relu(w0, w0), nn.MaxPool2d(2)]
        layers += [*_conv_relu(w0, w1), *_conv_relu(w1, w1), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers, *_conv_relu(w1, w2))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, H, W] in [−1, 1] → [N, widths[2], H/4, W/4], none below 0."""
        return self.features(((image + 1) / 2 - self.mean) / self.std)


def _conv_relu(input_nc: int, output_nc: int) -> list[nn.Module]:
    return [nn.Conv2d(input_nc, output_nc, 3, padding=1), nn.ReLU()]


def build(architecture: Architecture) -> dict[str, nn.Module]:
    """The networks that a checkpoint holds: "features"."""
    return {"features": FeatureNetwork(architecture.widths)}
