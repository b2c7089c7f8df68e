"""Strided and transposed convolutions as phases, and convolutions to few channels, against numpy in float64."""

import numpy as np
import pytest

from runtime.engines.program_layers import Activation, Concat, Conv, ConvTranspose, InstanceNorm
from tests.runtime.native.programs import (
    AROUND,
    NONE,
    ONE,
    SETS,
    needs_kernels,
    open_native,
    reference,
    save_images,
    worst,
)

pytestmark = needs_kernels

RNG = np.random.default_rng(15)
ENDS = {"n": InstanceNorm(("x",), "n", None, None, 1e-5)}  # its statistics are taken by the convolution


def kernel(*dims):
    return RNG.normal(0, (dims[0] * dims[2] * dims[3] * dims[1]) ** -0.25, dims).astype(np.float32)


def conv(inputs, output, weights, **changes):
    fields = {"bias": None, "stride": ONE, "dilation": ONE, "pads": AROUND, "pad_mode": "zero", **changes}
    return Conv(inputs, output, weights, **fields)


def check(tmp_path, layers, weights, features, algorithms, size=(2, 13, 22, 3)):
    """Both ways of the kernels agree with the reference, the same for any number of threads."""
    image = np.random.default_rng(3).integers(0, 256, size, np.uint8)
    program, path = save_images(tmp_path / "phases.onnx", layers, weights, image, features)
    expected = reference(program, weights, {"image": image})
    for kernels in SETS:
        for algorithm in algorithms:
            results = [open_native(path, n, kernels, algorithm).run({"image": image})["features"] for n in (1, 2, 5)]
            assert worst(results[0], expected) < 1e-4, (kernels, algorithm)
            assert all(np.array_equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("mode", ["zero", "reflect"])
@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (2, 1)])
@pytest.mark.parametrize("size", [(2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (3, 4)])
def test_strided(tmp_path, size, stride, mode):
    """Kernels of up to three taps a phase; those that have more run as patches."""
    pads = (min(size[0] - 1, 1), min(size[1] - 1, 2), 1, 1)
    weights = {"w_a": kernel(37, 3, 3, 3), "w": kernel(35, 37, *size)}
    layers = [
        conv(("floats",), "a", ("w_a",)),
        Activation(("a",), "r", "leaky_relu", 0.2),
        conv(("r",), "x", ("w",), stride=stride, pads=pads, pad_mode=mode),
        ENDS["n"],
    ]
    check(tmp_path, layers, weights, 35, ("auto", "direct", "winograd"))


@pytest.mark.parametrize("extra", [(0, 0), (1, 1)])
@pytest.mark.parametrize("stride", [(2, 2), (1, 2)])
@pytest.mark.parametrize(
    ("size", "pads"),
    [
        ((3, 3), AROUND),
        ((3, 3), NONE),
        ((4, 4), AROUND),
        ((5, 5), (2, 2, 2, 2)),
        ((6, 5), (2, 1, 2, 1)),
        ((2, 2), NONE),
        ((3, 4), (0, 1, 1, 0)),
    ],
)
def test_transposed(tmp_path, size, pads, stride, extra):
    """Phases of the output, some without weights on one side or in the middle, read a concatenation."""
    weights = {"w_a": kernel(33, 3, 3, 3), "w": kernel(36, 34, *size)}
    extra = tuple(min(e, s - 1) for e, s in zip(extra, stride, strict=True))
    layers = [
        conv(("floats",), "a", ("w_a",)),
        Concat(("a", "floats"), "j"),
        ConvTranspose(("j",), "x", "w", None, stride, pads, extra),
        ENDS["n"],
    ]
    check(tmp_path, layers, weights, 34, ("auto", "direct", "winograd"))


@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 5])
def test_few_outputs(tmp_path, outputs):
    """The lanes are input channels: of two operands here, neither a whole number of vectors."""
    weights = {"w_a": kernel(21, 3, 3, 3), "w": kernel(outputs, 24, 7, 5), "b": kernel(outputs, 1, 1, 1)[:, 0, 0, 0]}
    layers = [
        conv(("floats",), "a", ("w_a",)),
        Concat(("a", "floats"), "j"),
        conv(("j",), "x", ("w",), bias="b", pads=(3, 2, 3, 2), pad_mode="reflect"),
        ENDS["n"],
    ]
    check(tmp_path, layers, weights, outputs, ("auto",), size=(2, 13, 70, 3))


@pytest.mark.parametrize("outputs", [1, 3])
def test_few_outputs_of_a_transposed_one(tmp_path, outputs):
    weights = {"w_a": kernel(21, 3, 3, 3), "w": kernel(21, outputs, 4, 4)}
    layers = [
        conv(("floats",), "a", ("w_a",)),
        Activation(("a",), "r", "relu"),
        ConvTranspose(("r",), "x", "w", None, (2, 2), AROUND, (0, 0)),
    ]
    check(tmp_path, layers, weights, outputs, ("auto", "direct", "winograd"))
