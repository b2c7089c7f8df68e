"""Other ways to compute the same function, faster. Each takes and returns modules and shares their weights."""

import copy
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.networks.normalization import BatchStatistics
from training.networks.unet import UNet

BLOCK = 16  # float32 values in a vector register of 512 bits
_NORMS = (nn.InstanceNorm2d, nn.BatchNorm2d, BatchStatistics)


def inference_copy(network: nn.Module) -> nn.Module:
    """A copy whose layers may be replaced; the weights are the original's own tensors."""
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, shared)


def drop_cancelled_biases(network: nn.Module) -> None:
    """Remove, in place, the bias of each convolution that an InstanceNorm follows: subtracting the mean cancels it."""
    for layers in network.modules():
        if not isinstance(layers, nn.Sequential):
            continue
        for layer, following in zip(layers, list(layers)[1:], strict=False):
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and isinstance(following, nn.InstanceNorm2d):
                layer.bias = None


class ShuffledConv(nn.Module):
    """A k×k convolution with few output channels, as a (k+1)×(k+1) one of stride 2 that computes 2×2 pixels at once.

    Four times the channels fill the vector registers that 3 channels leave idle. Output pixel (2i+a, 2j+b) is channel
    4c+2a+b at (i, j), with the kernel shifted by (a, b).

    Args:
        conv: stride 1, no padding, one group; the output's sides must be even.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        height, width = conv.kernel_size
        shape = (conv.out_channels, 2, 2, conv.in_channels, height + 1, width + 1)
        weight = conv.weight.new_zeros(shape)
        for a in range(2):
            for b in range(2):
                weight[:, a, b, :, a : a + height, b : b + width] = conv.weight.detach()
        self.weight = nn.Parameter(weight.flatten(0, 2), requires_grad=False)
        self.bias: nn.Parameter | None = None
        if conv.bias is not None:
            self.bias = nn.Parameter(conv.bias.detach().repeat_interleave(4), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H+k−1, W+k−1] → [N, output channels, H, W]."""
        return F.pixel_shuffle(F.conv2d(x, self.weight, self.bias, stride=2), 2)


class SplitConv(nn.Module):
    """A convolution as the sum of two: the input channels up to a multiple of 16, and the rest.

    ONNX Runtime computes in blocks of 16 input channels: the label convolution's 36 would cost as much as 48, while a
    group of fewer than 16 takes another kernel that wastes none.

    Args:
        conv: one group; no padding of its own.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.stride = conv.stride
        self.split = conv.in_channels // BLOCK * BLOCK
        blocks, rest = conv.weight.detach().tensor_split([self.split], dim=1)
        self.blocks = nn.Parameter(blocks.contiguous(), requires_grad=False)
        self.rest = nn.Parameter(rest.contiguous(), requires_grad=False)
        self.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        """As the convolution's."""
        blocks = F.conv2d(x[:, : self.split], self.blocks, self.bias, self.stride)
        return blocks + F.conv2d(x[:, self.split :], self.rest, None, self.stride)


class ScaledFeatures(nn.Module):
    """A `FeatureNetwork` whose normalisation is one product and one sum.

    Args:
        network: keeps its layers.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        mean, std = (cast(Tensor, getattr(network, name)).to(torch.float64) for name in ("mean", "std"))
        self.features = cast("nn.Sequential", network.features)
        self.register_buffer("scale", (0.5 / std).to(torch.float32))
        self.register_buffer("shift", ((0.5 - mean) / std).to(torch.float32))

    def forward(self, image: Tensor) -> Tensor:
        """As the network's."""
        features: Tensor = self.features(image * self.scale + self.shift)
        return features


def split_uneven_convs(network: nn.Module) -> None:
    """Replace, in place, every convolution whose input channels exceed a multiple of 16 by `SplitConv`."""
    for layers in network.modules():
        for name, layer in list(layers.named_children()):
            if (
                isinstance(layer, nn.Conv2d)
                and layer.in_channels > BLOCK
                and layer.in_channels % BLOCK
                and not any(layer.padding)
            ):
                setattr(layers, name, SplitConv(layer))


def fold_batch_norms(network: nn.Module) -> None:
    """Multiply, in place, each BatchNorm that uses running statistics into the convolution before it."""
    for layers in network.modules():
        if not isinstance(layers, nn.Sequential):
            continue
        for index in range(1, len(layers)):
            conv, norm = layers[index - 1], layers[index]
            if isinstance(norm, nn.BatchNorm2d) and isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
                _fold(conv, norm)
                layers[index] = nn.Identity()


def _fold(conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
    bias = -norm.running_mean if conv.bias is None else conv.bias.detach() - norm.running_mean
    axis = (1, -1, 1, 1) if isinstance(conv, nn.ConvTranspose2d) else (-1, 1, 1, 1)
    conv.weight = nn.Parameter(conv.weight.detach() * scale.view(axis), requires_grad=False)
    conv.bias = nn.Parameter(norm.bias.detach() + bias * scale, requires_grad=False)


def trim_innermost(unet: UNet, size: tuple[int, int]) -> None:
    """Drop, in place, the weights that images of `size` never meet.

    Where the innermost map is one pixel high, two of a kernel's four rows lie in the padding; likewise with columns.

    Args:
        unet: the network, still of plain convolutions.
        size: (H, W) of its images.
    """
    kept = [slice(1, 3) if side >> len(unet.down) == 1 else slice(0, 4) for side in size]
    padding = tuple(0 if side == slice(1, 3) else 1 for side in kept)
    down, up = cast("nn.Sequential", unet.down[-1]), cast("nn.Sequential", unet.up[0])
    conv, transposed = cast("nn.Conv2d", down[1]), cast("nn.ConvTranspose2d", up[1])
    for layers, layer, kind in ((down, conv, nn.Conv2d), (up, transposed, nn.ConvTranspose2d)):
        weight = layer.weight.detach()[:, :, kept[0], kept[1]].contiguous()
        with torch.device("meta"):
            trimmed = kind(layer.in_channels, layer.out_channels, weight.shape[2:], 2, padding)  # type: ignore[arg-type]
        trimmed.weight, trimmed.bias = nn.Parameter(weight, requires_grad=False), layer.bias
        layers[1] = trimmed


class Float32Norm(nn.Module):
    """A normalisation in float32, weights and statistics, whatever the dtype around it; variances overflow float16."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        normalised: Tensor = self.norm(x.to(torch.float32))
        return normalised.to(x.dtype)


def to_half(network: nn.Module) -> None:
    """Make a network, in place, compute in float16 but normalise in float32.

    The weights become new tensors, so an original that shares them keeps its own.
    """
    for module in list(network.modules()):
        if isinstance(module, _NORMS):
            continue
        for name, child in list(module.named_children()):
            if isinstance(child, _NORMS):
                setattr(module, name, Float32Norm(child))
        for name, weight in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(weight.half(), requires_grad=False))


class HalfInput(nn.Module):
    """A layer of float16 weights that takes any floating type."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(x.to(torch.float16))
        return result


class Float32Tanh(nn.Module):
    """tanh in float32 of any floating type."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x.to(torch.float32))


def to_half_inside(network: nn.Module) -> None:
    """`to_half`, in place, for a network between float32 maps: its first convolution casts, its tanh is in float32."""
    sequences = [layers for layers in network.modules() if isinstance(layers, nn.Sequential)]
    front = next(layers for layers in sequences if isinstance(layers[0], nn.Conv2d))
    front[0] = HalfInput(front[0])
    for layers in sequences:
        if isinstance(layers[-1], nn.Tanh):
            layers[-1] = Float32Tanh()
    to_half(network)
