"""Sizes are looked at before contents: a view may claim more pixels than the machine has memory."""

import time

import numpy as np
import pytest

from runtime import Inpainter, StyleEncoder, Synthesizer, Translator
from runtime.errors import InputError
from tests.runtime import tiny_engines, tiny_inpainters, tiny_translators

SIDE = 200_000
HUGE = np.broadcast_to(np.uint8(1), (SIDE, SIDE))
HUGE_IMAGE = np.broadcast_to(np.uint8(1), (SIDE, SIDE, 3))


def calls(tmp_path, size):
    """Runners of a fixed or of any size, each called with 40 gigapixels."""
    synthesizer = Synthesizer(tiny_engines.synthesizer(tmp_path / "s.onnx", size=size, batch="N"))
    translator = Translator(tiny_translators.translator(tmp_path / "t.onnx", size=size))
    encoder = StyleEncoder(tiny_engines.style_encoder(tmp_path / "e.onnx", size=size))
    inpainter = Inpainter(tiny_inpainters.inpainter(tmp_path / "i.onnx", size=size, batch="N"))
    return {
        "synthesizer": lambda: synthesizer.run(HUGE, pad=True),
        "translator": lambda: translator.run(HUGE_IMAGE),
        "wrong dtype": lambda: translator.run(np.broadcast_to(np.float32(1), HUGE_IMAGE.shape)),
        "encoder": lambda: encoder.run(HUGE_IMAGE, HUGE, pad=True),
        "inpainter": lambda: inpainter.run(HUGE_IMAGE, HUGE),
        "style": lambda: inpainter.run(np.zeros((32, 48, 3), np.uint8), HUGE),
    }


@pytest.mark.parametrize("size", [(32, 48), None])
def test_forty_gigapixels_are_refused_at_once(tmp_path, size):
    for name, call in calls(tmp_path, size).items():
        start = time.perf_counter()
        with pytest.raises(InputError, match=r"200000|float32"):
            call()
        assert time.perf_counter() - start < 1, name
