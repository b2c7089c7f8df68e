"""PatchGAN discriminators (pix2pix section 3.2.2) at several scales (pix2pixHD section 3.2)."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.errors import CheckpointError
from training.networks.layers import uses_bias
from training.networks.normalization import norm_layer
from training.networks.seen_channels import call_with

MAX_WIDTH = 512
KERNEL = 4
PATCH_LAYERS = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}  # receptive field in pixels → stride-2 layers


class PatchGAN(nn.Module):
    """Classifies overlapping patches as real or fake; returns the output of every layer, the last being the scores.

    Args:
        input_nc: channels of the condition and the image together.
        ndf: width of the first layer; doubles each layer up to 512.
        n_layers: stride-2 layers; 3 give a receptive field of 70 pixels.
        padding: of every convolution; 2 in NVIDIA's networks, 1 in pix2pix.
        norm: kind of normalisation of all layers but the first and the last.
    """

    def __init__(
        self, input_nc: int, ndf: int = 64, n_layers: int = 3, padding: int = 2, norm: str = "instance"
    ) -> None:
        super().__init__()
        layers = [nn.Sequential(nn.Conv2d(input_nc, ndf, KERNEL, 2, padding), nn.LeakyReLU(0.2))]
        nc = ndf
        for stride in [2] * (n_layers - 1) + [1]:
            previous, nc = nc, min(2 * nc, MAX_WIDTH)
            conv = nn.Conv2d(previous, nc, KERNEL, stride, padding, bias=uses_bias(norm))
            layers.append(nn.Sequential(conv, norm_layer(norm, nc), nn.LeakyReLU(0.2)))
        layers.append(nn.Sequential(nn.Conv2d(nc, 1, KERNEL, 1, padding)))
        self.layers = nn.ModuleList(layers)

    def forward(self, pair: Tensor) -> list[Tensor]:
        """[N, input_nc, H, W] → features of each layer, then scores [N, 1, h, w] (logits)."""
        outputs = []
        for layer in self.layers:
            pair = layer(pair)
            outputs.append(pair)
        return outputs


class PixelGAN(nn.Module):
    """Classifies every pixel by itself: 1×1 convolutions. Interface of `PatchGAN`."""

    def __init__(self, input_nc: int, ndf: int = 64, norm: str = "instance") -> None:
        super().__init__()
        hidden = nn.Conv2d(ndf, 2 * ndf, 1, bias=uses_bias(norm))
        self.layers = nn.ModuleList(
            (
                nn.Sequential(nn.Conv2d(input_nc, ndf, 1), nn.LeakyReLU(0.2)),
                nn.Sequential(hidden, norm_layer(norm, 2 * ndf), nn.LeakyReLU(0.2)),
                nn.Sequential(nn.Conv2d(2 * ndf, 1, 1, bias=uses_bias(norm))),
            )
        )

    forward = PatchGAN.forward


def patch_discriminator(input_nc: int, ndf: int, patch_size: int, norm: str) -> PatchGAN | PixelGAN:
    """The discriminator of pix2pix whose scores see `patch_size` pixels a side (section 3.2.2, appendix 6.1.2).

    Args:
        input_nc: channels of what it sees: the input and the image, or the image alone.
        ndf: width of the first layer.
        patch_size: a key of `PATCH_LAYERS`.
        norm: kind of normalisation.
    """
    n_layers = PATCH_LAYERS[patch_size]
    return PatchGAN(input_nc, ndf, n_layers, 1, norm) if n_layers else PixelGAN(input_nc, ndf, norm)


class FeaturePatchGAN(nn.Module):
    """PatchGAN on the pair (image, feature map) of inpainting (D₂, section 3.4).

    Two stride-2 convolutions bring the image to the features' resolution, which is a quarter of its own; there the two
    are joined. Enlarging the features instead would cost sixteen times the multiply-adds in the first layer. Scores see
    70 pixels a side, as the common PatchGAN's do.

    Args:
        image_nc: channels of the image.
        features_nc: channels of the features.
        ndf: width of the first layer.
        norm: kind of normalisation of all layers but the first and the last.
    """

    def __init__(self, image_nc: int, features_nc: int, ndf: int = 64, norm: str = "batch") -> None:
        super().__init__()
        front = PatchGAN(image_nc, ndf, 2, 1, norm).layers[:2]
        widths = (2 * ndf + features_nc, min(4 * ndf, MAX_WIDTH), min(8 * ndf, MAX_WIDTH))
        joint: list[nn.Module] = []
        for stride, previous, nc in zip((2, 1), widths, widths[1:], strict=False):
            conv = nn.Conv2d(previous, nc, KERNEL, stride, 1, bias=uses_bias(norm))
            joint += [conv, norm_layer(norm, nc), nn.LeakyReLU(0.2)]
        self.front = nn.Sequential(*front)
        self.joint = nn.Sequential(*joint, nn.Conv2d(widths[-1], 1, KERNEL, 1, 1))

    def forward(self, image: Tensor, features: Tensor) -> Tensor:
        """[N, image_nc, H, W], [N, features_nc, H/4, W/4] → scores [N, 1, h, w] (logits)."""
        return self.joint(torch.cat([self.front(image), features], 1))


class MultiScaleDiscriminator(nn.Module):
    """D1, D2, … of one structure on the pair at scales 1, ½, ¼, …"""

    def __init__(self, input_nc: int, ndf: int = 64, n_layers: int = 3, num_scales: int = 2) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchGAN(input_nc, ndf, n_layers) for _ in range(num_scales))

    @property
    def first_weights(self) -> list[str]:
        """Names of the weights that see the input."""
        return [f"scales.{index}.layers.0.0.weight" for index in range(len(self.scales))]

    def forward(self, pair: Tensor, channels: Tensor | None = None) -> list[list[Tensor]]:
        """[N, input_nc, H, W] → `PatchGAN` outputs per scale, full resolution first.

        Where `channels` (int64) names some of them, the pair holds only these, and the others are zero.
        """
        if channels is not None:
            return call_with(self, self.first_weights, channels, pair)
        outputs = []
        for index, scale in enumerate(self.scales):
            if index:
                pair = F.avg_pool2d(pair, 3, stride=2, padding=1, count_include_pad=False)
            outputs.append(scale(pair))
        return outputs


def discriminator_settings(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Arguments of the `MultiScaleDiscriminator` that has this state dict: input_nc, ndf, n_layers, num_scales.

    Raises:
        CheckpointError: it is the state dict of something else.
    """
    convolutions = [name.split(".") for name in state if name.startswith("scales.") and name.endswith(".0.weight")]
    scales = {parts[1] for parts in convolutions}
    layers = {parts[3] for parts in convolutions if parts[1] == "0" and len(parts) == 6}
    front = state.get("scales.0.layers.0.0.weight")
    if front is None or front.ndim != 4 or len(layers) < 3:
        raise CheckpointError(
            f"no multi-scale discriminator: expected 'scales.0.layers.0.0.weight' and two more layers, received "
            f"{', '.join(list(state)[:3]) or 'nothing'}"
        )
    return {"input_nc": front.shape[1], "ndf": front.shape[0], "n_layers": len(layers) - 2, "num_scales": len(scales)}
