"""The comparison engine must see what the byte engine sees: checked against the tiny graphs' codes."""

import numpy as np
import pytest

from runtime import Synthesizer
from runtime.baseline import BaselineSynthesizer, edge_map
from runtime.errors import EngineFormatError, InputError
from tests.runtime import tiny_engines

SIZE = tiny_engines.SIZE
LABELS = np.random.default_rng(0).integers(0, 4, SIZE, dtype=np.uint8)
IDS = LABELS.astype(np.int32) * 1000 + 5


def edges_by_hand(ids):
    padded = np.pad(ids, 1, mode="edge")
    centre = padded[1:-1, 1:-1]
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.any([centre != neighbour for neighbour in neighbours], axis=0)


@pytest.mark.parametrize("edge", [False, True])
@pytest.mark.parametrize("styles", [False, True])
@pytest.mark.parametrize("size", [SIZE, None])
def test_channels_and_bytes(tmp_path, edge, styles, size):
    baseline = BaselineSynthesizer(tiny_engines.baseline(tmp_path / "b.onnx", edge=edge, styles=styles, size=size))
    inst_map = IDS if edge or styles else None
    image = baseline.run(LABELS, inst_map, seed=3)
    np.testing.assert_array_equal(image[..., 0], LABELS)
    np.testing.assert_array_equal(image[..., 1], 100 * edges_by_hand(IDS) * edge)
    if styles:
        byte_engine = Synthesizer(tiny_engines.synthesizer(tmp_path / "s.onnx", styles=True))
        np.testing.assert_array_equal(image[..., 2], byte_engine.run(LABELS, IDS, seed=3)[..., 2])
        assert image[..., 2].any()
    batch = baseline.run(np.stack([LABELS, LABELS]), None if inst_map is None else np.stack([IDS, IDS]), seed=3)
    np.testing.assert_array_equal(batch, np.stack([image, image]))


def test_edges_of_the_smallest_maps():
    for shape in ((1, 1), (1, 5), (5, 1), (2, 2)):
        ids = np.arange(np.prod(shape), dtype=np.int32).reshape(shape) // 2
        np.testing.assert_array_equal(edge_map(ids), edges_by_hand(ids))


def test_the_same_checks_as_the_byte_engine(tmp_path):
    baseline = BaselineSynthesizer(tiny_engines.baseline(tmp_path / "b.onnx", edge=True))
    with pytest.raises(InputError, match="inst_map is missing"):
        baseline.run(LABELS)
    with pytest.raises(InputError, match="unknown="):
        baseline.run(LABELS + 200, IDS)


def test_channels_that_nothing_explains(tmp_path):
    baseline = BaselineSynthesizer(tiny_engines.baseline(tmp_path / "b.onnx", edge=True, extra=1))
    with pytest.raises(EngineFormatError, match="6 channels"):
        baseline.run(LABELS, IDS)
