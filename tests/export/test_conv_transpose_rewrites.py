"""Faster forms of a transposed convolution compute what it computes."""

import pytest
import torch
from torch import nn

from export.conv_transpose_rewrites import (
    PhasedConvTranspose,
    WinogradConvTranspose,
    speed_up_by_shape,
)
from tests.tolerances import FLOATS
from training.networks.infer_match_translate import Architecture, build

TOLERANCE = FLOATS["rewrite"]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "padding"), [((4, 4), (1, 1)), ((2, 2), (0, 0)), ((4, 2), (1, 0)), ((2, 4), (0, 1))]
)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 3), (5, 4)])
def test_phased_form_is_the_transposed_convolution(
    height: int, width: int, kernel: tuple[int, int], padding: tuple[int, int], bias: bool
) -> None:
    torch.manual_seed(0)
    up = nn.ConvTranspose2d(5, 3, kernel, 2, padding, bias=bias).requires_grad_(False)
    x = torch.randn(2, 5, height, width)
    assert up(x).shape == (2, 3, 2 * height, 2 * width)
    assert (PhasedConvTranspose(up)(x) - up(x)).abs().max() <= TOLERANCE


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("height", "width"), [(2, 1), (4, 7), (10, 16)])
def test_winograds_form_is_the_transposed_convolution(height: int, width: int, bias: bool) -> None:
    torch.manual_seed(0)
    up = nn.ConvTranspose2d(5, 3, 4, 2, 1, bias=bias).requires_grad_(False)
    x = torch.randn(2, 5, height, width)
    assert (WinogradConvTranspose(up)(x) - up(x)).abs().max() <= TOLERANCE


@pytest.mark.parametrize("size", [(64, 96), (256, 256), (24, 40)])
@torch.no_grad()
def test_choosing_by_the_size_of_a_call_keeps_the_function(size: tuple[int, int]) -> None:
    """Of inpainting's Feature2Image, whose convolutions are called with features of one size."""
    torch.manual_seed(0)
    architecture = Architecture(infer_ngf=4, n_blocks=1, feature_widths=(4, 6, 8), translate_ngf=8, n_levels=2)
    network = build(architecture)["feature2image"].eval()
    features = torch.rand(1, 8, *size)
    expected = network(features)
    speed_up_by_shape(network, (1, 8, *size), (1, 8, *size))
    changed = [m for m in network.modules() if isinstance(m, PhasedConvTranspose | WinogradConvTranspose)]
    assert len(changed) == 2  # all but the one to the image
    assert (network(features) - expected).abs().max() <= TOLERANCE
