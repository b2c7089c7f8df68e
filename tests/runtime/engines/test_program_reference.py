"""The reference that programs are measured against, itself measured against ONNX Runtime."""

import numpy as np
from hypothesis import given, settings

from runtime.engines.onnx_engine import OnnxEngine
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.program import read_program
from tests.runtime import tiny_programs
from tests.runtime.program_reference import run_program
from tests.runtime.random_programs import random_programs


def run_both(path, inputs):
    """Outputs of the file's program in the reference, and of its graph in ONNX Runtime."""
    spec = read_spec(path)
    program, weights = read_program(path, spec)
    content = path.read_bytes()
    expected = run_program(program, {name: weight.read(content) for name, weight in weights.items()}, inputs)
    values = program.values({name: array.shape for name, array in inputs.items()}, spec, weights)
    assert {name: (str(array.dtype), array.shape) for name, array in expected.items()} == {
        tensor.name: values[tensor.name] for tensor in spec.outputs
    }
    return expected, OnnxEngine(path, spec, "cpu", threads=1).run(inputs)


def test_from_labels_to_bytes(tmp_path):
    rng = np.random.default_rng(3)
    inputs = {
        "label_map": rng.integers(0, 6, (2, *tiny_programs.SIZE), np.uint8),  # two ids are no class
        "inst_map": rng.integers(0, 5, (2, *tiny_programs.SIZE), np.int32),
        "styles": rng.uniform(-1, 1, (2, 5, tiny_programs.FEAT_NUM)).astype(np.float32),
    }
    expected, received = run_both(tiny_programs.engine(tmp_path / "e.onnx"), inputs)
    difference = np.abs(expected["image"].astype(int) - received["image"])
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.01
    assert np.ptp(expected["image"]) > 100


@settings(max_examples=150, deadline=None)
@given(random_programs())
def test_random_layers(tmp_path_factory, case):
    program, weights, spec, image = case
    path = tmp_path_factory.getbasetemp() / "random.onnx"
    tiny_programs.engine(path, program, spec, weights)
    expected, received = run_both(path, {"image": image})
    scale = max(np.abs(expected["features"]).max(), 1)
    np.testing.assert_allclose(received["features"] / scale, expected["features"] / scale, atol=1e-3)
