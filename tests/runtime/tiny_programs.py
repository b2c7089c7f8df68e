"""Small programs, from labels to bytes and of holes, of every kind of layer, and engine files that carry them."""

from dataclasses import replace

import numpy as np

from runtime.engines.program import PROGRAM_KEY, Program
from runtime.engines.program_holes import (
    Blend,
    HoleMask,
    PasteBytes,
    PatchMatch,
    PatchPaste,
    Select,
    SmoothFill,
    Subtract,
    ToMatch,
)
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
    FromBytes,
    InstanceNorm,
    LabelFeatures,
    MaxPool,
    ToBytes,
    ToFloats,
    Upsample,
)
from runtime.engines.spec import SPEC_KEY, TensorSpec
from tests.runtime import tiny_engines
from tests.runtime.program_graphs import Graph

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
        "wider": (8, 4, 3, 3),
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
        ConvTranspose(("both",), "up", "wider", "bias", (2, 1), _AROUND, (1, 0)),
        Conv(("up",), "dilated", ("wide",), None, _ONE, (2, 1), (2, 1, 2, 1), "zero"),
        DepthToSpace(("dilated",), "large", 2),
        AveragePool(("large",), "small", (2, 2), (2, 2), _NONE),
        Activation(("small",), "tanh", "tanh"),
        ToBytes(("tanh",), "image", 127.5, 127.5),
    )
)

# Holes are filled smoothly, then by patches of what a convolution makes of that, a quarter of the size.
HOLES = Program(
    (
        HoleMask(("hole_mask",), "hole"),
        FromBytes(("photo",), "known", 1 / 127.5, -1.0),
        SmoothFill(("known", "hole"), "filled", 2, 3, 1e-3),
        Concat(("filled", "hole"), "seen"),
        Conv(("seen",), "features", ("wide_holes",), "bias", (4, 4), _ONE, _NONE, "zero"),
        Activation(("features",), "relu", "relu"),
        MaxPool(("hole",), "small", (4, 4), (4, 4), _NONE),
        PatchMatch(("relu", "small"), "match inside"),
        PatchPaste(("relu", "small", "match inside"), "swapped"),
        ToMatch(("match inside",), "match"),
        ToFloats(("swapped",), "features out"),
        Upsample(("swapped",), "large", 4, "linear"),
        Conv(("large",), "made", ("to_image",), None, _ONE, _ONE, _NONE, "zero"),
        Subtract(("filled", "made"), "missing"),
        AveragePool(("missing",), "mean", (8, 8), (8, 8), _NONE),
        Upsample(("mean",), "light", 8, "linear"),
        Add(("made", "light"), "lit"),
        AveragePool(("hole",), "cells", (8, 8), (8, 8), _NONE),
        Upsample(("cells",), "depth", 8, "linear"),
        Blend(("depth", "filled", "lit"), "blended", 2),
        Select(("hole", "blended", "known"), "pasted"),
        PasteBytes(("pasted", "photo", "hole_mask"), "completed", 127.5, 127.5),
    )
)
HOLE_WEIGHTS = {
    "wide_holes": _RNG.uniform(-0.5, 0.5, (4, 4, 4, 4)).astype(np.float32),
    "to_image": _RNG.uniform(-0.5, 0.5, (3, 4, 1, 1)).astype(np.float32),
    "bias": WEIGHTS["bias"],
}
HOLE_SPEC = replace(
    SPEC,
    kind="inpainter",
    family="inpainting",
    inputs=(TensorSpec("photo", "uint8", ("N", "H", "W", 3)), TensorSpec("hole_mask", "uint8", ("N", "H", "W"))),
    outputs=(
        TensorSpec("completed", "uint8", ("N", "H", "W", 3)),
        TensorSpec("match", "int32", ("N", "h", "w")),
        TensorSpec("features out", "float32", ("N", 4, "h", "w")),
    ),
    size=None,
    size_multiple=8,
    smallest_side=16,
    labels=None,
    styles=None,
)


def holes(n=2, height=32, width=40):
    """Photos and masks for `HOLES`: in the first a hole in the middle, in the second two at the border."""
    rng = np.random.default_rng(0)
    photo, mask = rng.integers(0, 256, (n, height, width, 3), np.uint8), np.zeros((n, height, width), np.uint8)
    mask[0, 9:16, 10:25] = 255
    mask[1:, :6, 20:30] = mask[1:, 17:, -3:] = 1
    return {"photo": photo, "hole_mask": mask}


def holes_engine(path, document=None):
    """An engine file of `HOLES`."""
    return engine(path, HOLES, HOLE_SPEC, HOLE_WEIGHTS, document)


def engine(path, program=PROGRAM, spec=SPEC, weights=WEIGHTS, document=None):
    """An engine file whose graph and program say the same; a `document` takes the place of the latter."""
    graph = Graph(program, weights)
    metadata = {SPEC_KEY: spec.to_json(), PROGRAM_KEY: program.to_json() if document is None else document}
    return tiny_engines.save(path, spec, graph.nodes, graph.constants, metadata)


def floats_spec(channels, features):
    """Of an engine from images of any size to floats, with the channels of each."""
    return replace(
        SPEC,
        kind="features",
        inputs=(TensorSpec("image", "uint8", ("N", "H", "W", channels)),),
        outputs=(TensorSpec("features", "float32", ("N", features, "h", "w")),),
        size=None,
        size_multiple=1,
        smallest_side=1,
        labels=None,
        styles=None,
    )
