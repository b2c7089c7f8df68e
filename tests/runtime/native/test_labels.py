"""Label maps: convolutions that look weights up, against the one-hot form in numpy."""

import numpy as np
import pytest

from runtime.engines.program import Program
from runtime.engines.program_layers import Add, AveragePool, Conv, InstanceNorm, LabelFeatures, ToBytes, Upsample
from tests.runtime import tiny_programs
from tests.runtime.native.programs import NONE, ONE, SETS, needs_kernels, open_native
from tests.runtime.program_reference import run_program

pytestmark = needs_kernels
RNG = np.random.default_rng(2)
LABEL_NC, FEAT_NUM = tiny_programs.LABEL_NC, tiny_programs.FEAT_NUM
CHANNELS = LABEL_NC + 1 + FEAT_NUM


def maps(kind, size=tiny_programs.SIZE, n=2):
    if kind == "random":
        labels, ids = RNG.integers(0, LABEL_NC + 2, (n, *size)), RNG.integers(0, 5, (n, *size))
    else:
        labels = np.zeros((n, *size), int)
        labels[:, : size[0] // 2, size[1] // 3 :] = 2
        ids = labels.copy()
    styles = RNG.uniform(-1, 1, (n, 5, FEAT_NUM)).astype(np.float32)
    return {"label_map": labels.astype(np.uint8), "inst_map": ids.astype(np.int32), "styles": styles}


FEATURES = LabelFeatures(("label_map", "inst_map", "styles"), "features", LABEL_NC, has_edges=True, feat_num=FEAT_NUM)


def conv(source, output, weight, kernel, **changes):
    pads = (kernel // 2,) * 4
    fields = {"bias": "bias", "stride": ONE, "dilation": ONE, "pads": pads, "pad_mode": "reflect", **changes}
    return Conv((source,), output, (weight,), **fields)


def pool(output):
    return AveragePool(("features",), output, (3, 3), (2, 2), (1, 1, 1, 1))


PROGRAMS = {
    "reflected": [conv("features", "c", "seven", 7)],
    "zero-padded": [conv("features", "c", "seven", 7, pad_mode="zero")],
    "strided and dilated": [
        conv("features", "d", "three", 3, stride=(2, 2), dilation=(2, 2), pads=(2, 2, 2, 2)),
        Upsample(("d",), "c", 2, "nearest"),
    ],
    "pooled": [pool("p"), conv("p", "d", "three", 3), Upsample(("d",), "c", 2, "linear")],
    "pooled, zero-padded": [
        pool("p"),
        conv("p", "d", "seven", 7, pad_mode="zero"),
        Upsample(("d",), "c", 2, "nearest"),
    ],
    "pooled twice": [
        pool("p"),
        AveragePool(("p",), "q", (2, 2), (2, 2), NONE),
        conv("q", "d", "three", 3),
        Upsample(("d",), "e", 2, "nearest"),
        Upsample(("e",), "c", 2, "nearest"),
    ],
    "used twice": [
        conv("features", "a", "seven", 7),
        conv("features", "b", "three", 3),
        Add(("a", "b"), "c"),
    ],
}
WEIGHTS = {
    "seven": RNG.normal(0, 0.2, (20, CHANNELS, 7, 7)).astype(np.float32),
    "three": RNG.normal(0, 0.2, (20, CHANNELS, 3, 3)).astype(np.float32),
    "last": RNG.normal(0, 0.2, (3, 20, 1, 1)).astype(np.float32),
    "bias": RNG.normal(0, 1, 20).astype(np.float32),
}


@pytest.mark.parametrize("kind", ["random", "areas"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_labels(tmp_path, name, kind):
    layers = (
        FEATURES,
        *PROGRAMS[name],
        InstanceNorm(("c",), "n", None, None, 1e-5),
        conv("n", "rgb", "last", 1, bias=None),
        ToBytes(("rgb",), "image", 60, 127),
    )
    program = Program(layers)
    weights = {name: WEIGHTS[name] for name in program.initializers}
    path = tiny_programs.engine(tmp_path / "labels.onnx", program, weights=weights)
    inputs = maps(kind)
    expected = run_program(program, weights, inputs)["image"].astype(int)
    assert np.ptp(expected) > 50
    for kernels in SETS:
        results = [open_native(path, threads, kernels).run(inputs)["image"] for threads in (1, 2, 7)]
        difference = np.abs(results[0] - expected)
        assert difference.max() <= 1, kernels
        assert np.mean(difference > 0) < 0.01, kernels
        assert all(np.array_equal(results[0], other) for other in results[1:])


def test_every_kind_of_layer_from_labels_to_bytes(tmp_path):
    path = tiny_programs.engine(tmp_path / "all.onnx")
    inputs = maps("random")
    expected = run_program(tiny_programs.PROGRAM, tiny_programs.WEIGHTS, inputs)["image"].astype(int)
    for kernels in SETS:
        difference = np.abs(open_native(path, 2, kernels).run(inputs)["image"] - expected)
        assert difference.max() <= 1
        assert np.mean(difference > 0) < 0.01
