"""Rewrites compute what the layers they replace compute."""

from typing import cast

import pytest
import torch
from torch import nn

from export.network_rewrites import (
    Float32Norm,
    ShuffledConv,
    SplitConv,
    drop_cancelled_biases,
    fold_batch_norms,
    inference_copy,
    split_uneven_convs,
    to_half,
    trim_innermost,
)
from tests.tiny_models import tiny_checkpoint
from tests.tolerances import FLOATS
from training.networks.normalization import BatchStatistics
from training.networks.unet import UNet

TOLERANCE = FLOATS["rewrite"]


def close(expected: torch.Tensor, received: torch.Tensor) -> bool:
    return expected.shape == received.shape and bool((expected - received).abs().max() <= TOLERANCE)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel", "height", "width"), [(7, 16, 24), (3, 2, 2), (1, 2, 6), (2, 4, 2), (7, 2, 30)])
def test_shuffled_conv_is_the_convolution(kernel: int, height: int, width: int, bias: bool) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 3, kernel, bias=bias).requires_grad_(False)
    x = torch.randn(2, 5, height + kernel - 1, width + kernel - 1)
    assert close(conv(x), ShuffledConv(conv)(x))


@pytest.mark.parametrize("input_nc", [17, 20, 31, 33, 36, 50])
@pytest.mark.parametrize(("kernel", "stride", "bias"), [(7, 1, True), (3, 2, False)])
def test_split_conv_is_the_convolution(input_nc: int, kernel: int, stride: int, bias: bool) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(input_nc, 8, kernel, stride, bias=bias).requires_grad_(False)
    nn.init.normal_(conv.weight, 0, 0.02)
    x = torch.randn(2, input_nc, 13, 11)
    assert close(conv(x), SplitConv(conv)(x))


@pytest.mark.parametrize(
    ("input_nc", "padding", "splits"), [(36, 0, True), (32, 0, False), (11, 0, False), (36, 1, False)]
)
def test_only_uneven_convolutions_without_padding_are_split(input_nc: int, padding: int, splits: bool) -> None:
    layers = nn.Sequential(nn.Conv2d(input_nc, 4, 3, padding=padding))
    split_uneven_convs(layers)
    assert isinstance(layers[0], SplitConv) == splits


def test_biases_before_instance_norm_cancel_and_others_stay() -> None:
    network = tiny_checkpoint("local").build()["generator"]
    rewritten = inference_copy(network)
    drop_cancelled_biases(rewritten)
    x = torch.randn(2, 7, 16, 24)
    dropped = network.state_dict().keys() - rewritten.state_dict().keys()
    assert len(dropped) == len([n for n in network.state_dict() if n.endswith("bias")]) - 1
    assert "head.1.bias" in rewritten.state_dict()
    assert close(network(x), rewritten(x))


def test_the_copy_shares_weights_but_not_layers() -> None:
    network = tiny_checkpoint("global").build()["generator"]
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    copied = inference_copy(network)
    pointers = {weight.data_ptr() for weight in network.parameters()}
    assert {weight.data_ptr() for weight in copied.parameters()} == pointers
    drop_cancelled_biases(copied)
    to_half(copied)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_half_keeps_statistics_in_float32() -> None:
    norm = nn.InstanceNorm2d(2)
    x = torch.full((1, 2, 64, 64), 300.0).half()  # its squares overflow float16
    x[..., ::2] = -300
    normalised = Float32Norm(norm)(x)
    assert normalised.dtype == torch.float16
    assert normalised.abs().max() == 1
    network = nn.Sequential(nn.Conv2d(2, 2, 1), norm)
    to_half(network)
    assert network[0].weight.dtype == torch.float16
    assert isinstance(network[1], Float32Norm)


@pytest.mark.parametrize("variant", ["unet", "unet_plain", "encoder_decoder"])
@pytest.mark.parametrize(
    ("size", "kernel"), [((16, 16), (2, 2)), ((16, 48), (2, 4)), ((32, 16), (4, 2)), ((32, 32), (4, 4))]
)
def test_only_weights_that_meet_padding_are_trimmed(
    variant: str, size: tuple[int, int], kernel: tuple[int, int]
) -> None:
    network = cast("UNet", tiny_checkpoint(variant).build()["generator"])
    trimmed = cast("UNet", inference_copy(network))
    trim_innermost(trimmed, size)
    assert trimmed.down[-1][1].kernel_size == trimmed.up[0][1].kernel_size == kernel
    x = torch.rand(2, network.down[0][0].in_channels, *size) * 2 - 1
    assert (trimmed(x) - network(x)).abs().max() <= TOLERANCE


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
