"""Every layer, every instruction set of this machine, every algorithm, against numpy in float64."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.engines.program_layers import Activation, Concat, Conv, ConvTranspose, InstanceNorm
from tests.runtime import tiny_programs
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
from tests.runtime.random_programs import random_programs

pytestmark = needs_kernels


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random_programs(), st.sampled_from(["auto", "direct", "winograd"]), st.integers(1, 8))
def test_random_layers(tmp_path, case, algorithm, threads):
    program, weights, spec, image = case
    path = tmp_path / "random.onnx"
    path.unlink(missing_ok=True)  # an open engine of the last example may have it mapped
    tiny_programs.engine(path, program, spec, weights)
    expected = reference(program, weights, {"image": image})
    for kernels in SETS:
        received = open_native(path, threads, kernels, algorithm).run({"image": image})["features"]
        # A normalisation of a constant value divides rounding errors by the root of epsilon: hence not 1e-4.
        assert worst(received, expected) < 1e-3, kernels


def conv(inputs, output, weights, **changes):
    fields = {"bias": None, "stride": ONE, "dilation": ONE, "pads": AROUND, "pad_mode": "zero", **changes}
    return Conv(inputs, output, weights, **fields)


RNG = np.random.default_rng(5)


def kernel(*dims):
    return RNG.normal(0, (dims[0] * dims[1] * dims[2]) ** -0.5, dims).astype(np.float32)


# Wider than a random program's: several panels, pieces and chunks, more weights than pixels and the reverse.
WIDE = {
    "many channels, few pixels": [
        conv(("floats",), "a", ("w_a",), pad_mode="reflect"),
        conv(("a",), "b", ("w_b",)),
        conv(("b",), "c", ("w_c",), stride=(2, 2), pad_mode="reflect"),
    ],
    "dilated": [
        conv(("floats",), "a", ("w_a",)),
        conv(("a",), "b", ("w_b",), dilation=(3, 5), pads=(3, 5, 3, 5), pad_mode="reflect"),
        conv(("b",), "c", ("w_c",), dilation=(2, 2), pads=(2, 2, 2, 2)),
    ],
    "transposed": [
        conv(("floats",), "a", ("w_a",)),
        ConvTranspose(("a",), "b", "w_t", None, (2, 2), AROUND, (0, 0)),
        ConvTranspose(("b",), "c", "w_s", None, (3, 2), NONE, (1, 0)),
    ],
    "concatenated": [
        conv(("floats",), "a", ("w_a",)),
        InstanceNorm(("a",), "n", None, None, 1e-5),
        Activation(("n",), "r", "leaky_relu", 0.2),
        Concat(("floats", "r", "floats"), "j"),
        conv(("j",), "c", ("w_j1", "w_j2"), pad_mode="reflect"),
    ],
}
WEIGHTS = {
    "w_a": kernel(300, 3, 3, 3),
    "w_b": kernel(70, 300, 3, 3),
    "w_c": kernel(41, 70, 3, 3),
    "w_t": kernel(300, 70, 4, 4),
    "w_s": kernel(70, 19, 3, 3),
    "w_j1": kernel(35, 5, 3, 3),
    "w_j2": kernel(35, 301, 3, 3),
}


@pytest.mark.parametrize("algorithm", ["auto", "direct", "winograd"])
@pytest.mark.parametrize("name", WIDE)
def test_wide_layers(tmp_path, name, algorithm):
    image = np.random.default_rng(7).integers(0, 256, (2, 11, 14, 3), np.uint8)
    layers = WIDE[name]
    used = {weight: WEIGHTS[weight] for layer in layers for weight in layer.initializers}
    features = used[layers[-1].initializers[0]].shape[1 if isinstance(layers[-1], ConvTranspose) else 0]
    program, path = save_images(tmp_path / "wide.onnx", layers, used, image, features)
    expected = reference(program, used, {"image": image})
    for kernels in SETS:
        results = [
            open_native(path, threads, kernels, algorithm).run({"image": image})["features"] for threads in (1, 2, 3, 8)
        ]
        assert worst(results[0], expected) < 1e-4, kernels
        assert all(np.array_equal(results[0], other) for other in results[1:]), "depends on the number of threads"
        engine = open_native(path, 2, kernels, algorithm)
        for one in range(2):
            single = engine.run({"image": image[one : one + 1]})["features"]
            assert worst(single[0], results[0][one]) < 1e-6, "a batch is not its images"


@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
def test_a_large_map(tmp_path, algorithm):
    """More tiles and units than threads, with statistics over all of them."""
    image = np.random.default_rng(8).integers(0, 256, (1, 131, 190, 3), np.uint8)
    layers = [
        conv(("floats",), "a", ("w_p",)),
        InstanceNorm(("a",), "n", None, None, 1e-5),
        Activation(("n",), "r", "relu"),
        conv(("r",), "c", ("w_q",), pad_mode="reflect"),
        InstanceNorm(("c",), "m", None, None, 1e-5),
    ]
    weights = {"w_p": kernel(24, 3, 3, 3), "w_q": kernel(33, 24, 3, 3)}
    program, path = save_images(tmp_path / "large.onnx", layers, weights, image, 33)
    expected = reference(program, weights, {"image": image})
    for kernels in SETS:
        results = [open_native(path, n, kernels, algorithm).run({"image": image})["features"] for n in (1, 2, 5)]
        assert worst(results[0], expected) < 1e-4, kernels
        assert all(np.array_equal(results[0], other) for other in results[1:])


def test_a_mean_far_from_zero_costs_no_digits(tmp_path):
    """Variance 1e-4 of the squared mean: a float32 sum of squares would lose four digits of it."""
    image = np.random.default_rng(9).integers(0, 256, (1, 64, 64, 3), np.uint8)
    layers = [conv(("floats",), "a", ("w_p",), bias="far"), InstanceNorm(("a",), "n", None, None, 1e-5)]
    weights = {"w_p": kernel(16, 3, 3, 3), "far": np.full(16, 100, np.float32)}
    program, path = save_images(tmp_path / "far.onnx", layers, weights, image, 16)
    expected = reference(program, weights, {"image": image})
    for kernels in SETS:
        for algorithm in ("direct", "winograd"):
            received = open_native(path, 2, kernels, algorithm).run({"image": image})["features"]
            assert worst(received, expected) < 2e-4, (kernels, algorithm)
