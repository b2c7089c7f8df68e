"""Programs run by native kernels and by the reference in numpy, for all tests of native kernels."""

import numpy as np
import pytest

from runtime.engines.native_engine import NativeEngine
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.program import Program
from runtime.engines.program_layers import FromBytes, ToFloats
from runtime.native.library import instruction_sets, missing_reason
from tests.runtime import tiny_programs
from tests.runtime.program_reference import run_program

needs_kernels = pytest.mark.skipif(missing_reason() is not None, reason=str(missing_reason()))
SETS = [] if missing_reason() else instruction_sets()
ONE, NONE, AROUND = (1, 1), (0, 0, 0, 0), (1, 1, 1, 1)


def save_images(path, layers, weights, image, features):
    """An engine file from `image` to the floats `features`; (program, path)."""
    program = Program(
        (FromBytes(("image",), "floats", 2 / 255, -1.0), *layers, ToFloats((layers[-1].output,), "features"))
    )
    spec = tiny_programs.floats_spec(image.shape[3], features)
    tiny_programs.engine(path, program, spec, weights)
    return program, path


def open_native(path, threads=2, kernels=None, algorithm="auto"):
    return NativeEngine(path, read_spec(path), threads, kernels, algorithm)


def worst(received, expected):
    """The largest difference, as a part of the largest value."""
    assert received.shape == expected.shape
    return np.abs(received - expected).max() / max(np.abs(expected).max(), 1)


def reference(program, weights, inputs):
    return run_program(program, weights, inputs)["features"]
