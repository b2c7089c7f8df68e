"""A small program of every kind of layer between labels and bytes, its weights, and engine files that carry it."""

import numpy as np
import onnx
from onnx import numpy_helper

from runtime.engines.program import PROGRAM_KEY, Program
from runtime.engines.program_layers import (
    Activation,
    Add,
    Affine,
    AveragePool,
    BatchNorm,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    InstanceNorm,
    LabelFeatures,
    MaxPool,
    ToBytes,
    Upsample,
)
from tests.runtime import tiny_engines

SIZE = (8, 16)
LABEL_NC, FEAT_NUM = tiny_engines.LABELS.label_nc, tiny_engines.BANK.feat_num
SPEC = tiny_engines.synthesizer_spec(styles=True, size=SIZE, batch="N")
SHAPES = {"label_map": (2, *SIZE), "inst_map": (2, *SIZE), "styles": (2, 5, FEAT_NUM)}

_RNG = np.random.default_rng(0)
WEIGHTS = {
    name: _RNG.uniform(-0.5, 0.5, dims).astype(np.float32)
    for name, dims in {
        "first": (4, 5, 3, 5),
        "second": (4, LABEL_NC + 1 + FEAT_NUM - 5, 3, 5),
        "bias": (4,),
        "scale": (4,),
        "up": (8, 4, 3, 3),
        "wide": (12, 4, 3, 3),
    }.items()
}
_ONE, _NONE, _AROUND = (1, 1), (0, 0, 0, 0), (1, 1, 1, 1)

PROGRAM = Program(
    (
        LabelFeatures(("label_map", "inst_map", "styles"), "features", LABEL_NC, has_edges=True, feat_num=FEAT_NUM),
        Conv(("features",), "conv", ("first", "second"), "bias", (2, 1), _ONE, (1, 2, 1, 2), "reflect"),
        InstanceNorm(("conv",), "norm", "scale", None, 1e-5),
        Activation(("norm",), "leaky", "leaky_relu", 0.2),
        BatchNorm(("leaky",), "batch", None, "bias", 1e-5),
        Activation(("batch",), "relu", "relu"),
        Add(("relu", "leaky"), "sum"),
        Affine(("sum",), "affine", "scale", "bias"),
        AveragePool(("affine",), "mean", (3, 3), (2, 2), _AROUND),
        MaxPool(("affine",), "most", (2, 3), (2, 2), (0, 1, 0, 1)),
        Upsample(("mean",), "linear", 2, "linear"),
        Upsample(("most",), "nearest", 2, "nearest"),
        Add(("linear", "nearest"), "pooled"),
        Concat(("pooled", "affine"), "both"),
        ConvTranspose(("both",), "up", "up", "bias", (2, 1), _AROUND, (1, 0)),
        Conv(("up",), "dilated", ("wide",), None, _ONE, (2, 1), (2, 1, 2, 1), "zero"),
        DepthToSpace(("dilated",), "large", 2),
        AveragePool(("large",), "small", (2, 2), (2, 2), _NONE),
        Activation(("small",), "tanh", "tanh"),
        ToBytes(("tanh",), "image", 127.5, 127.5),
    )
)


def engine(path, program=None):
    """A tiny synthesizer whose file holds `WEIGHTS` and a program as well; the graph uses neither."""
    tiny_engines.synthesizer(path, styles=True, size=SIZE, batch="N")
    model = onnx.load(path)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in WEIGHTS.items())
    model.metadata_props.add(key=PROGRAM_KEY, value=PROGRAM.to_json() if program is None else program)
    path.write_bytes(model.SerializeToString())
    return path
