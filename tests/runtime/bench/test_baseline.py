"""The comparison engine must see what the byte engine sees: checked against the tiny graphs' codes."""

import numpy as np
import pytest

from runtime import Inpainter, Synthesizer, Translator
from runtime.bench.baseline import edge_map
from runtime.bench.runners import bench_spec, open_runner
from runtime.errors import EngineFormatError, InputError
from tests.runtime import tiny_engines, tiny_inpainters, tiny_translators

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
    baseline = open_runner(tiny_engines.baseline(tmp_path / "b.onnx", edge=edge, styles=styles, size=size))
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
    baseline = open_runner(tiny_engines.baseline(tmp_path / "b.onnx", edge=True))
    with pytest.raises(InputError, match="inst_map is missing"):
        baseline.run(LABELS)
    with pytest.raises(InputError, match="unknown="):
        baseline.run(LABELS + 200, IDS)


def test_channels_that_nothing_explains(tmp_path):
    with pytest.raises(EngineFormatError, match="6 channels"):
        open_runner(tiny_engines.baseline(tmp_path / "b.onnx", edge=True, extra=1))


@pytest.mark.parametrize(("input_nc", "output_nc"), [(3, 3), (1, 3), (5, 2)])
@pytest.mark.parametrize("size", [SIZE, None])
def test_images_reach_the_floats_and_come_back(tmp_path, input_nc, output_nc, size):
    """Every byte there is, padded and cropped, in a batch and alone."""
    path = tiny_translators.baseline(tmp_path / "b.onnx", input_nc=input_nc, output_nc=output_nc, size=size)
    baseline = open_runner(path)
    assert (baseline.input_nc, baseline.output_nc) == (input_nc, output_nc)
    images = (np.arange(2 * 11 * 29 * input_nc).reshape(2, 11, 29, input_nc) % 256).astype(np.uint8)
    batch = baseline.run(images)
    np.testing.assert_array_equal(batch, images[..., np.arange(output_nc) % input_nc])
    np.testing.assert_array_equal(batch[1], baseline.run(images[1]))


def test_bytes_are_clipped_and_truncated(tmp_path):
    """0.5 + 0.4 of a grey level above the byte is cut off, values beyond white stay white."""
    image = np.arange(256, dtype=np.uint8).reshape(8, 32, 1).repeat(3, axis=2)
    for add, wanted in ((0.4, image), (100.0, np.minimum(image.astype(int) + 100, 255))):
        baseline = open_runner(tiny_translators.baseline(tmp_path / "b.onnx", add=add))
        np.testing.assert_array_equal(baseline.run(image), wanted)


def test_the_same_checks_as_the_translator(tmp_path):
    baseline = open_runner(tiny_translators.baseline(tmp_path / "b.onnx"))
    with pytest.raises(InputError, match="larger than this engine's 16×32"):
        baseline.run(np.zeros((17, 32, 3), np.uint8))
    with pytest.raises(InputError, match="draws nothing"):
        baseline.run(np.zeros((16, 32, 3), np.uint8), seed=1)


def test_each_baseline_has_its_runner(tmp_path):
    runners = {
        tiny_translators.baseline(tmp_path / "t.onnx"): Translator,
        tiny_engines.baseline(tmp_path / "s.onnx"): Synthesizer,
        tiny_inpainters.baseline(tmp_path / "i.onnx"): Inpainter,
    }
    for path, runner in runners.items():
        assert type(open_runner(path)) is runner
        with pytest.raises(EngineFormatError, match="is a 'baseline' engine"):
            runner(path)


def test_engines_without_a_runner_cannot_be_measured(tmp_path):
    path = tiny_engines.style_encoder(tmp_path / "f.onnx", kind="features", output="features")
    with pytest.raises(EngineFormatError, match="which `python -m training evaluate` runs"):
        bench_spec(path)
