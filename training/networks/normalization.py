"""Normalisation layers, and whose statistics they use at inference.

Networks train with BatchNorm (statistics of the batch), InstanceNorm (of each image) or none. pix2pix evaluates
BatchNorm "using the statistics of the test batch" (section 3, at batch size 1 of the one image), other users with
the running statistics of training: three functions from one checkpoint, so the mode is always named.
"""

import torch
from torch import Tensor, nn

NORMS = ("batch", "instance", "none")
MODES = ("per-image", "running-stats", "batch-stats")


def norm_layer(kind: str, nc: int) -> nn.Module:
    """The layer for `nc` channels: BatchNorm with scale and bias, InstanceNorm without, or nothing."""
    if kind == "none":
        return nn.Identity()
    return nn.BatchNorm2d(nc) if kind == "batch" else nn.InstanceNorm2d(nc)


class BatchStatistics(nn.Module):
    """BatchNorm with the statistics of the batch at hand, over N, H and W, in evaluation too. Shares `norm`'s weights.

    Written out, because an exporter has no inference form of it.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((0, 2, 3), keepdim=True)
        centred = x - mean
        variance = centred.square().mean((0, 2, 3), keepdim=True)
        scale = self.weight.view(1, -1, 1, 1) * torch.rsqrt(variance + self.eps)
        return centred * scale + self.bias.view(1, -1, 1, 1)


def use_statistics(network: nn.Module, mode: str) -> None:
    """Replace, in place, every BatchNorm by a layer of the same weights that uses the statistics of `mode`.

    Args:
        network: InstanceNorm layers stay what they are.
        mode: "per-image": each image's own, so that a batch equals single calls; "running-stats": those of training;
            "batch-stats": those of the batch at hand.
    """
    for layers in list(network.modules()):
        for name, layer in list(layers.named_children()):
            if isinstance(layer, nn.BatchNorm2d) and mode != "running-stats":
                setattr(layers, name, _per_image(layer) if mode == "per-image" else BatchStatistics(layer))


def has_batch_norm(network: nn.Module) -> bool:
    return any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


def _per_image(norm: nn.BatchNorm2d) -> nn.InstanceNorm2d:
    layer = nn.InstanceNorm2d(norm.num_features, eps=norm.eps, affine=True)
    layer.weight, layer.bias = norm.weight, norm.bias
    return layer
