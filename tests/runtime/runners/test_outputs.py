"""What an engine gives is looked at before anyone gets it: a graph may leave its sizes open and then give others."""

import numpy as np
import pytest
from onnx import helper

from runtime import Inpainter, Translator
from runtime.engines.rendering import require_output
from runtime.errors import EngineFormatError
from tests.runtime import tiny_engines, tiny_inpainters, tiny_translators

IMAGE = np.zeros((16, 32, 3), np.uint8)
HOLE = np.pad(np.ones((4, 4), bool), ((4, 8), (4, 24)))
RUNNERS = {
    "translator": (Translator, tiny_translators.spec(), (IMAGE,)),
    "inpainter": (Inpainter, tiny_inpainters.spec(size=None, batch="N"), (IMAGE, HOLE)),
}


@pytest.mark.parametrize("name", RUNNERS)
def test_an_image_of_another_size_is_refused(tmp_path, name):
    runner, spec, arrays = RUNNERS[name]
    output = spec.outputs[0].name
    nodes = [helper.make_node("Concat", ["image", "image"], [output], axis=1)]
    opened = runner(tiny_engines.save(tmp_path / "e.onnx", spec, nodes))
    with pytest.raises(
        EngineFormatError, match=rf"output {output} is uint8 \[1, 32, 32, 3\], expected .* tampered with"
    ):
        opened.run(*arrays)


@pytest.mark.parametrize(("dtype", "shape"), [("uint8", (1, 3)), ("uint8", (3,)), ("float32", (2, 3)), (None, (2,))])
def test_shape_and_dtype_must_both_fit(dtype, shape):
    value = np.zeros((2, 3), np.uint8)
    require_output("e.onnx", "image", value, "uint8", (2, 3))
    require_output("e.onnx", "image", value, None, (2, 3))
    with pytest.raises(EngineFormatError, match=r"output image is uint8 \[2, 3\]"):
        require_output("e.onnx", "image", value, dtype, shape)
