"""Seeded dropout: the graph's bits are those of an independent computation, and they look like coin tosses."""

import math
from functools import cache

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from export.inference_modules import Graph
from export.seeded_dropout import SeededDropout, SeedHolder, has_dropout, keep_mask, use_seeded_dropout
from export.torch_to_onnx import torch_to_onnx
from runtime.engines.spec import TensorSpec
from tests.export.conftest import Tiny
from tests.export.reference import random_inputs, run
from tests.tiny_models import tiny_checkpoint

P = 46337
CONSTANTS = [math.isqrt(prime * P * P) % P for prime in (2, 3, 5, 7, 11, 13)]
SEEDS = (0, 1, -1, 2, P, -P, 2**31 - 1, -(2**31), 123456789)


def permute(number: int, first: int, second: int) -> tuple[int, int]:
    left, right = number % P, number // P
    for index, constant in enumerate(CONSTANTS):
        key = second if index % 2 else first
        left, right = (right + pow(left + key + constant, 3, P)) % P, left
    return left, right


@cache
def channel_keys(seed: int, layer: int, channel: int) -> tuple[int, int]:
    is_negative = int(seed < 0)
    return permute(channel, *permute(seed + 2**31 * is_negative, 2 * layer + is_negative, 1 + is_negative))


def reference_bit(seed: int, layer: int, channel: int, pixel: int) -> bool:
    """The definition once more, in Python's unbounded integers."""
    return permute(pixel, *channel_keys(seed, layer, channel))[0] < (P + 1) // 2


def reference_mask(seed: int, layer: int, channels: int, height: int, width: int) -> NDArray[np.bool_]:
    bits = [[reference_bit(seed, layer, c, pixel) for pixel in range(height * width)] for c in range(channels)]
    return np.array(bits).reshape(channels, height, width)


class Noise(nn.Module):
    def __init__(self, layer: int) -> None:
        super().__init__()
        self.holder = SeedHolder()
        self.dropout = SeededDropout(self.holder, layer)

    def forward(self, image: torch.Tensor, seed: torch.Tensor) -> torch.Tensor:
        self.holder.seed = seed
        return self.dropout(image)


@pytest.mark.parametrize("size", [(6, 7), None])
def test_graph_equals_the_definition_bit_for_bit(size: tuple[int, int] | None) -> None:
    tensors = (TensorSpec("image", "float32", ("N", 5, "H", "W")), TensorSpec("seed", "int32", ("N",)))
    output = (TensorSpec("noisy", "float32", ("N", 5, "H", "W")),)
    graph = Graph("noise", "", Noise(3).eval(), tensors, output, 1, 2, 0, lambda *_: {}, lambda _: {})
    model = torch_to_onnx(graph, size)
    # What TensorRT lacks, and a quotient in floating point that would be exact for small seeds only.
    assert {node.op_type for node in model.graph.node}.isdisjoint({"BitShift", "BitwiseXor", "BitwiseAnd", "Floor"})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for seeds in [[seed] for seed in SEEDS] if size else [list(SEEDS)]:
        image = np.ones((len(seeds), 5, 6, 7), np.float32)
        noisy = session.run(None, {"image": image, "seed": np.array(seeds, np.int32)})[0]
        expected = np.stack([reference_mask(seed, 3, 5, 6, 7) for seed in seeds])
        np.testing.assert_array_equal(noisy, 2.0 * expected)
        mask = keep_mask(torch.tensor(seeds, dtype=torch.int32), 3, 5, 6, 7)
        np.testing.assert_array_equal(mask.numpy(), expected)


def test_large_maps_stay_within_int32() -> None:
    mask = keep_mask(torch.tensor([-5], dtype=torch.int32), 0, 1, 500, 700).flatten()
    pixels = range(349_900, 350_000)  # many times p
    assert mask[349_900:].tolist() == [int(reference_bit(-5, 0, 0, pixel)) for pixel in pixels]


def test_masks_look_like_coin_tosses() -> None:
    """Deviations in standard deviations of fair, independent tosses: 64 seeds, 64 channels, 16 × 16 pixels."""
    seeds = torch.arange(-32, 32, dtype=torch.int32)
    signs = keep_mask(seeds, 0, 64, 16, 16).numpy() * 2.0 - 1
    other = keep_mask(seeds, 1, 64, 16, 16).numpy() * 2.0 - 1
    products = {
        "kept": signs,
        "layers": signs * other,
        "seeds": signs[1:] * signs[:-1],
        "channels": signs[:, 1:] * signs[:, :-1],
        "rows": signs[:, :, 1:] * signs[:, :, :-1],
        "columns": signs[..., 1:] * signs[..., :-1],
        "squares": signs[..., 1:, 1:] * signs[..., 1:, :-1] * signs[..., :-1, 1:] * signs[..., :-1, :-1],
    }
    for what, product in products.items():
        assert abs(product.sum()) < 4 * math.sqrt(product.size), what
    for axis in range(2):  # any two seeds, any two channels
        rows = np.moveaxis(signs, axis, 0).reshape(64, -1)
        correlations = (rows @ rows.T / math.sqrt(rows.shape[1]))[np.triu_indices(64, 1)]
        assert np.abs(correlations).max() < 5.5
        assert 0.85 < correlations.var() < 1.15
    counts = (signs > 0).sum((2, 3))  # of 256 pixels each: variance 64
    chi_square = ((counts - 128) ** 2 / 64).mean()
    assert abs(chi_square - 1) < 5 * math.sqrt(2 / counts.size)


def test_layers_are_numbered_and_share_a_holder() -> None:
    network = nn.Sequential(nn.Dropout(), nn.Sequential(nn.ReLU(), nn.Dropout()))
    assert has_dropout(network)
    holder = use_seeded_dropout(network)
    assert not has_dropout(network)
    assert (network[0].layer, network[1][1].layer) == (0, 1)
    assert network[0].holder is network[1][1].holder is holder


@pytest.mark.parametrize(
    ("variant", "precision"), [pytest.param("unet", "fp32", marks=pytest.mark.nightly), ("resnet", "fp16")]
)
def test_same_seed_same_bytes_and_a_batch_equals_singles(variant: str, precision: str, tiny_engines: Tiny) -> None:
    engine = tiny_engines(variant, precision, dynamic=True, stochastic=True)[0]
    inputs = random_inputs(tiny_checkpoint(variant), 3, 32, 48)
    inputs["image"][:] = inputs["image"][:1]
    inputs["seed"] = np.array([7, -7, 7], np.int32)
    batch = run(engine, inputs)
    assert np.array_equal(batch, run(engine, inputs))
    singles = [run(engine, {name: value[n : n + 1] for name, value in inputs.items()}) for n in range(3)]
    assert np.array_equal(batch, np.concatenate(singles))
    assert np.array_equal(batch[0], batch[2])
    assert np.mean(batch[0] != batch[1]) > 0.3


def test_noise_is_the_dropout_of_training(tiny_engines: Tiny) -> None:
    """torch's own dropout with our mask in its place, in a U-Net in which it acts as in training."""
    checkpoint = tiny_checkpoint("unet")
    network = checkpoint.build()["generator"]
    inputs = random_inputs(checkpoint, 1, 32, 48)
    inputs["seed"] = np.array([99], np.int32)
    drops = [layer for layer in network.modules() if isinstance(layer, nn.Dropout)]
    for number, layer in enumerate(drops):

        def hook(_: nn.Module, values: tuple[torch.Tensor], output: torch.Tensor, number: int = number) -> torch.Tensor:
            mask = reference_mask(99, number, *output.shape[1:])
            return torch.where(torch.from_numpy(mask), values[0] / 0.5, 0)

        layer.register_forward_hook(hook)
    pixels = torch.from_numpy(inputs["image"].transpose(0, 3, 1, 2) / np.float32(127.5) - 1)
    expected = np.clip(127.5 * network(pixels).numpy() + 127.5, 0, 255).transpose(0, 2, 3, 1)
    received = run(tiny_engines("unet", stochastic=True)[0], inputs)
    assert len(drops) == 2
    assert np.abs(received - expected).max() < 1.1  # truncated
