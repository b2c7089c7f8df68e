"""PatchGAN discriminators (pix2pix section 3.2.2) at several scales (pix2pixHD section 3.2)."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from runtime.errors import CheckpointError

MAX_WIDTH = 512
KERNEL = 4


class PatchGAN(nn.Module):
    """Classifies overlapping patches as real or fake; returns the output of every layer, the last being the scores.

    Args:
        input_nc: channels of the condition and the image together.
        ndf: width of the first layer; doubles each layer up to 512.
        n_layers: stride-2 layers; 3 give a receptive field of 70 pixels.
        padding: of every convolution; 2 in NVIDIA's networks, 1 in pix2pix.
    """

    def __init__(self, input_nc: int, ndf: int = 64, n_layers: int = 3, padding: int = 2) -> None:
        super().__init__()
        layers = [nn.Sequential(nn.Conv2d(input_nc, ndf, KERNEL, 2, padding), nn.LeakyReLU(0.2))]
        nc = ndf
        for stride in [2] * (n_layers - 1) + [1]:
            previous, nc = nc, min(2 * nc, MAX_WIDTH)
            conv = nn.Conv2d(previous, nc, KERNEL, stride, padding)
            layers.append(nn.Sequential(conv, nn.InstanceNorm2d(nc), nn.LeakyReLU(0.2)))
        layers.append(nn.Sequential(nn.Conv2d(nc, 1, KERNEL, 1, padding)))
        self.layers = nn.ModuleList(layers)

    def forward(self, pair: Tensor) -> list[Tensor]:
        """[N, input_nc, H, W] → features of each layer, then scores [N, 1, h, w] (logits)."""
        outputs = []
        for layer in self.layers:
            pair = layer(pair)
            outputs.append(pair)
        return outputs


class MultiScaleDiscriminator(nn.Module):
    """D1, D2, … of one structure on the pair at scales 1, ½, ¼, …"""

    def __init__(self, input_nc: int, ndf: int = 64, n_layers: int = 3, num_scales: int = 2) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchGAN(input_nc, ndf, n_layers) for _ in range(num_scales))

    def forward(self, pair: Tensor) -> list[list[Tensor]]:
        """[N, input_nc, H, W] → `PatchGAN` outputs per scale, full resolution first."""
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
