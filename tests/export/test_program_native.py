"""Exported engines in the native kernels give what their checkpoints give, and the gate watches both."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from export.errors import ParityError
from export.gate import make_examples, run_gate
from export.inference_modules import Request
from export.onnx_from_checkpoint import export_onnx, graphs_of
from export.validate import validate
from runtime.engines.engine import open_engine
from runtime.engines.program import PROGRAM_KEY
from tests.export.conftest import SIZE, Once, Tiny
from tests.export.reference import Arrays, random_inputs, reference_bytes, run
from tests.export.test_golden import NAMES, golden_engines, golden_inputs
from tests.export.test_pix2pix import in_mode
from tests.export.test_program import CASES
from tests.paths import needs_golden
from tests.tiny_models import save_tiny_checkpoint, tiny_checkpoint
from tests.tolerances import FLOATS, GREY_LEVELS

library = pytest.importorskip("runtime.native.library")
pytestmark = pytest.mark.skipif(library.missing_reason() is not None, reason="native kernels are not built here")


def run_native(path: Path, inputs: Arrays) -> Arrays:
    """Outputs by name."""
    engine = open_engine(path, "cpu", backend="native", threads=2)
    outputs = engine.run(inputs)
    engine.close()
    return outputs


# Backwards, so that a process beside this one, which begins at the other end, makes half of the engines.
@pytest.mark.parametrize("dynamic", [True, pytest.param(False, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(("variant", "mode"), CASES[::-1])
def test_native_engine_equals_checkpoint(variant: str, mode: str | None, dynamic: bool, tiny_engines: Tiny) -> None:
    checkpoint = in_mode(variant, mode)
    engine = tiny_engines(variant, dynamic=dynamic, normalization=mode)[0]
    assert engine.backends == ("onnxruntime", "native")
    for count, height, width in [(1, 16, 16), (2, 16, 32), (3, 48, 16)] if dynamic else [(1, *SIZE)]:
        inputs = random_inputs(checkpoint, count, height, width)
        (received,) = run_native(engine.path, inputs).values()
        expected = reference_bytes(checkpoint, inputs)
        assert received.shape == expected.shape
        assert np.abs(received.astype(int) - expected).max() <= GREY_LEVELS["fp32"]


def test_native_style_encoder(tiny_engines: Tiny) -> None:
    encoder = tiny_engines("features")[1]
    image = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    received = run_native(encoder.path, {"image": image})["feat_map"]
    assert np.abs(received - run(encoder, {"image": image})).max() <= FLOATS["engine"]


@needs_golden
@pytest.mark.parametrize("name", NAMES)
def test_native_engine_gives_what_the_original_network_gave(name: str, made_once: Once) -> None:
    engines, expected = golden_engines(name, made_once)
    received = run_native(engines[0].path, golden_inputs(engines[0], expected))["image"][0]
    assert np.abs(received.astype(int) - expected["output_uint8"]).max() <= GREY_LEVELS["fp32"]
    for encoder in engines[1:]:
        inputs = {"image": expected["real_image"][None]}
        difference = run_native(encoder.path, inputs)["feat_map"] - run(encoder, inputs)
        assert np.abs(difference).max() <= FLOATS["engine"]


def test_a_program_of_another_function_fails_the_gate(tmp_path: Path) -> None:
    """The graph is right and ONNX Runtime says so; the program swaps two weights of one shape."""
    checkpoint = save_tiny_checkpoint("resnet", tmp_path / "c.safetensors")
    (engine,) = export_onnx(checkpoint, tmp_path / "e.onnx", size=SIZE)
    model = onnx.load(engine.path)
    (entry,) = [entry for entry in model.metadata_props if entry.key == PROGRAM_KEY]
    names = sorted({tensor.name for tensor in model.graph.initializer if tuple(tensor.dims) == (8, 8, 3, 3)})
    assert len(names) == 4
    entry.value = entry.value.replace(names[0], "?").replace(names[1], names[0]).replace("?", names[1])
    engine.path.write_bytes(model.SerializeToString())
    (graph,) = graphs_of(tiny_checkpoint("resnet"), Request(SIZE))
    with pytest.raises(ParityError, match="in native, .*differs from the checkpoint"):
        run_gate(engine.path, make_examples(graph, SIZE), "fp32")
    (row,) = validate(checkpoint, [engine.path])
    assert row.failure.startswith("in native, ")
