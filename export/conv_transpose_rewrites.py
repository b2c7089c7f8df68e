"""Faster forms in ONNX Runtime's CPU kernels of transposed convolutions with kernel 4 and stride 2."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.network_rewrites import inference_copy

# Of a transposed convolution with kernel 4, stride 2, padding 1: output pixel 2i + a is the sum over two input pixels,
# from i − 1 + a on, each times one of these rows of the kernel. With kernel 2, padding 0 it is input pixel i, row a.
_TAPS: dict[tuple[int, int], tuple[tuple[int, ...], ...]] = {(4, 1): ((3, 1), (2, 0)), (2, 0): ((0,), (1,))}


# Pixels of the input: on smaller maps rows are too short for the kernel for convolutions; on larger ones the half more
# weights that Winograd's form has are few.
_SLOWER_AT = range(5, 64)
_WINOGRAD_FROM = 4096
_FEW_CHANNELS = 4


class PhasedConvTranspose(nn.Module):
    """A transposed convolution of stride 2 as four ordinary ones, one for each place in a block of 2×2 output pixels.

    As many multiplications, but ONNX Runtime's transposed convolution adds up its products in a second pass over 16
    values a pixel, which its convolution does not need.

    Args:
        up: kernel 4 and padding 1, or kernel 2 and padding 0, along each axis; stride 2, one group.
    """

    def __init__(self, up: nn.ConvTranspose2d) -> None:
        super().__init__()
        kernel, padding = up.kernel_size, up.padding
        rows, columns = (_TAPS[kernel[axis], int(padding[axis])] for axis in range(2))
        kernels = up.weight.detach().transpose(0, 1)
        self.weights = nn.ParameterList(
            nn.Parameter(kernels[:, :, row][:, :, :, column].contiguous(), requires_grad=False)
            for row in map(list, rows)
            for column in map(list, columns)
        )
        self.bias = up.bias
        self.padding = int(padding[0]), int(padding[1])

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, output channels, 2H, 2W]."""
        rows = [torch.stack([self._phase(x, a, b) for b in range(2)], dim=-1).flatten(-2) for a in range(2)]
        return torch.stack(rows, dim=3).flatten(2, 3)

    def _phase(self, x: Tensor, a: int, b: int) -> Tensor:
        """Output pixels (2i + a, 2j + b)."""
        vertical, horizontal = self.padding
        if vertical or horizontal:
            x = F.pad(x, (horizontal * (1 - b), horizontal * b, vertical * (1 - a), vertical * a))
        return F.conv2d(x, self.weights[2 * a + b], self.bias)


class WinogradConvTranspose(nn.Module):
    """A transposed convolution with three quarters of the multiplications: Winograd's minimal filtering along columns.

    Output row 2i + a is a filter of two taps, g and h, over input rows. Two such outputs from input rows d, e, f are
    (d − e)·g + e·(g + h) and e·(g + h) + (f − e)·h: three products in place of four. Here a product is a convolution
    along a row, with the horizontal phases of `PhasedConvTranspose`.

    Args:
        up: kernel 4, stride 2, padding 1, one group; the input's height must be even.
    """

    def __init__(self, up: nn.ConvTranspose2d) -> None:
        super().__init__()
        kernels = up.weight.detach().transpose(0, 1)
        self.bias = up.bias
        self.weights = nn.ParameterList()
        for columns in _TAPS[4, 1]:
            k = [kernels[:, :, row : row + 1, list(columns)] for row in range(4)]
            for weight in (k[3] + k[1], k[3], k[1], k[2] + k[0], -k[2], k[0]):
                self.weights.append(nn.Parameter(weight.contiguous(), requires_grad=False))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, output channels, 2H, 2W]."""
        padded = F.pad(x, (0, 0, 1, 1))
        before, even, odd, after = padded[:, :, :-2:2], padded[:, :, 1:-1:2], padded[:, :, 2::2], padded[:, :, 3::2]
        inputs = (even, before - even, odd - even, odd, after - odd)
        phases = [self._rows(inputs, b) for b in range(2)]
        rows = [torch.stack(pair, dim=-1).flatten(-2) for pair in zip(*phases, strict=True)]
        return torch.stack(rows, dim=3).flatten(2, 3)

    def _rows(self, inputs: tuple[Tensor, ...], b: int) -> list[Tensor]:
        """Output columns 2j + b of the rows 4t, 4t + 1, 4t + 2, 4t + 3, each [N, output channels, H / 2, W]."""
        even, rise, step, odd, fall = (F.pad(rows, (1 - b, b, 0, 0)) for rows in inputs)
        g, w = F.conv2d, self.weights[6 * b : 6 * b + 6]
        upper, lower = g(even, w[0], self.bias), g(odd, w[3], self.bias)
        return [upper + g(rise, w[1]), lower + g(step, w[4]), upper + g(step, w[2]), lower + g(fall, w[5])]


def speed_up_by_shape(network: nn.Module, usual: tuple[int, ...], least: tuple[int, ...]) -> None:
    """Replace, in place, every transposed convolution of a network by the form that is fastest on its map.

    All have kernel 4 and stride 2. Those to an image stay: three channels leave most of a vector register idle, however
    they are computed.

    Args:
        network: takes one tensor.
        usual: shape of the tensor that the forms are chosen for.
        least: of the smallest that it takes; heights that are even there are even in every multiple.
    """
    usual_sizes, least_sizes = (_input_sizes(network, shape) for shape in (usual, least))
    for path, layers in list(network.named_modules()):
        for name, up in list(layers.named_children()):
            if isinstance(up, nn.ConvTranspose2d) and up.out_channels > _FEW_CHANNELS:
                where = f"{path}.{name}" if path else name
                height, width = usual_sizes[where]
                has_even_height = least_sizes[where][0] % 2 == 0
                setattr(layers, name, _faster(up, height * width, has_even_height))


def _input_sizes(network: nn.Module, shape: tuple[int, ...]) -> dict[str, tuple[int, int]]:
    """(H, W) of what each transposed convolution of a network gets, by its name."""
    shapes = inference_copy(network).to("meta")
    sizes: dict[str, tuple[int, int]] = {}

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda module, inputs: sizes.update({name: (inputs[0].shape[2], inputs[0].shape[3])})

    for name, module in shapes.named_modules():
        if isinstance(module, nn.ConvTranspose2d):
            module.register_forward_pre_hook(record(name))
    with torch.no_grad():
        shapes(torch.empty(shape, device="meta"))
    return sizes


def _faster(up: nn.ConvTranspose2d, pixels: int, has_even_height: bool) -> nn.Module:
    """The form of a transposed convolution, kernel 4 and stride 2, that is fastest on an input map of `pixels`."""
    if pixels >= _WINOGRAD_FROM and has_even_height:
        return WinogradConvTranspose(up)
    return up if pixels in _SLOWER_AT else PhasedConvTranspose(up)
