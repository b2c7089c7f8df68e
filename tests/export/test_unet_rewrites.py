"""The U-Net's rewrites, and folding BatchNorm, compute what the layers they replace compute."""

import pytest
import torch
from torch import nn

from export.network_rewrites import fold_batch_norms, inference_copy, to_half
from export.unet_rewrites import (
    PhasedConvTranspose,
    WinogradConvTranspose,
    speed_up_by_shape,
    speed_up_transposed_convs,
    trim_innermost,
)
from tests.tiny_models import tiny_checkpoint
from tests.tolerances import FLOATS
from training.checkpoint import Checkpoint
from training.networks.infer_match_translate import Architecture, build
from training.networks.normalization import BatchStatistics
from training.networks.unet import UNet

TOLERANCE = FLOATS["rewrite"]


def unet_of(checkpoint: Checkpoint) -> UNet:
    network = checkpoint.build()["generator"]
    assert isinstance(network, UNet)
    return network


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


@pytest.mark.parametrize("variant", ["unet", "unet_plain", "encoder_decoder"])
@pytest.mark.parametrize(
    ("size", "kernel"), [((16, 16), (2, 2)), ((16, 48), (2, 4)), ((32, 16), (4, 2)), ((32, 32), (4, 4))]
)
def test_only_weights_that_meet_padding_are_trimmed(
    variant: str, size: tuple[int, int], kernel: tuple[int, int]
) -> None:
    network = unet_of(tiny_checkpoint(variant))
    trimmed = inference_copy(network)
    assert isinstance(trimmed, UNet)
    trim_innermost(trimmed, size)
    assert trimmed.down[-1][1].kernel_size == trimmed.up[0][1].kernel_size == kernel
    x = torch.rand(2, network.down[0][0].in_channels, *size) * 2 - 1
    assert (trimmed(x) - network(x)).abs().max() <= TOLERANCE
    speed_up_transposed_convs(trimmed, size)
    assert (trimmed(x) - network(x)).abs().max() <= TOLERANCE


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("height", "width"), [(2, 1), (4, 7), (10, 16)])
def test_winograds_form_is_the_transposed_convolution(height: int, width: int, bias: bool) -> None:
    torch.manual_seed(0)
    up = nn.ConvTranspose2d(5, 3, 4, 2, 1, bias=bias).requires_grad_(False)
    x = torch.randn(2, 5, height, width)
    assert (WinogradConvTranspose(up)(x) - up(x)).abs().max() <= TOLERANCE


def test_every_map_gets_its_form() -> None:
    plain, phased, winograd = nn.ConvTranspose2d, PhasedConvTranspose, WinogradConvTranspose
    network = unet_of(tiny_checkpoint("unet"))
    for size, forms in {
        (32, 32): (phased, plain, phased),  # from maps of 2 × 2, 4 × 4, 8 × 8
        (64, 128): (plain, phased, winograd),  # 4 × 8, 8 × 16, 16 × 32
        (272, 256): (phased, winograd, winograd),  # 17 × 16: an odd height
        None: (phased, plain, phased),
    }.items():
        rewritten = inference_copy(network)
        assert isinstance(rewritten, UNet)
        speed_up_transposed_convs(rewritten, size)
        assert tuple(type(layers[1]) for layers in rewritten.up) == forms
        assert type(rewritten.head[1]) is plain
        x = torch.rand(1, 3, *(size or (48, 80))) * 2 - 1
        assert (rewritten(x) - network(x)).abs().max() <= TOLERANCE


@pytest.mark.parametrize("variant", ["unet", "resnet"])
def test_running_statistics_fold_into_the_convolutions(variant: str) -> None:
    checkpoint = tiny_checkpoint(variant)
    checkpoint.normalization = "running-stats"
    network = checkpoint.build()["generator"]
    folded = inference_copy(network)
    fold_batch_norms(folded)
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    x = torch.rand(2, 3, 32, 16) * 2 - 1
    assert (folded(x) - network(x)).abs().max() <= TOLERANCE


@pytest.mark.parametrize(
    "norm", [nn.InstanceNorm2d(2, affine=True), nn.BatchNorm2d(2).eval(), BatchStatistics(nn.BatchNorm2d(2))]
)
def test_half_keeps_every_normalisation_in_float32(norm: nn.Module) -> None:
    norm.requires_grad_(False)
    norm.weight.copy_(torch.tensor([1.0001, -3]))  # type: ignore[operator]  # float16 would round the first
    network = nn.Sequential(nn.Conv2d(2, 2, 1), norm).requires_grad_(False)
    to_half(network)
    x = 300 * torch.randn(2, 2, 16, 16).half()  # its squares overflow float16
    assert {weight.dtype for weight in norm.parameters()} == {torch.float32}
    assert network[0].weight.dtype == network(x).dtype == torch.float16
    assert torch.equal(network[1](x), norm(x.float()).half())


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
