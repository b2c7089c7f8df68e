"""Hand-made inpainters whose output encodes what they saw, so that host code is checked exactly.

completed = image where hole_mask is 0; elsewhere channel k is (mean of the known pixels of channel k, rounded down),
or where the engine has a style, style_image at the same place. `expected` says the same in numpy.
"""

from dataclasses import replace

import numpy as np
from onnx import TensorProto, helper

from runtime.engines.spec import TensorSpec
from tests.runtime import tiny_engines

SIZE = (32, 48)


def spec(*, size=SIZE, batch=1, style=False, multiple=16, smallest=16, channels=3):
    """`size` None and `batch` "N" make those axes dynamic."""
    axes = (batch, *(size or ("H", "W")))
    inputs = [TensorSpec("image", "uint8", (*axes, channels)), TensorSpec("hole_mask", "uint8", axes)]
    if style:
        inputs.append(TensorSpec("style_image", "uint8", (*axes, channels)))
    return replace(
        tiny_engines.synthesizer_spec(size=size, multiple=multiple, smallest=smallest),
        kind="inpainter",
        family="inpainting",
        inputs=tuple(inputs),
        outputs=(TensorSpec("completed", "uint8", (*axes, channels)),),
        labels=None,
        normalization="running-stats",
        cost=replace(tiny_engines._COST, size=size or SIZE),
    )


def inpainter(path, **options):
    """Write an inpainter; options are those of `spec`."""
    wanted = spec(**options)
    return tiny_engines.save(path, wanted, *graph(wanted))


def graph(wanted):
    node, int64 = helper.make_node, np.int64
    constants = [("last", np.array([-1], int64)), ("spatial", np.array([1, 2], int64))]
    constants += [("one", np.float32(1)), ("nothing", np.float32(0))]
    nodes = [
        node("Cast", ["hole_mask"], ["is_missing"], to=TensorProto.BOOL),
        node("Not", ["is_missing"], ["is_known"]),
        node("Unsqueeze", ["is_known", "last"], ["known"]),
        node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        node("Cast", ["known"], ["weight"], to=TensorProto.FLOAT),
        node("Mul", ["pixels", "weight"], ["seen"]),
        node("ReduceSum", ["seen", "spatial"], ["total"], keepdims=1),
        node("ReduceSum", ["weight", "spatial"], ["counted"], keepdims=1),
        node("Max", ["counted", "one"], ["count"]),
        node("Div", ["total", "count"], ["mean"]),
        node("Floor", ["mean"], ["level"]),
    ]
    fill = "level"
    if wanted.input("style_image"):
        nodes.append(node("Cast", ["style_image"], ["style"], to=TensorProto.FLOAT))
        fill = "style"
    nodes += [
        node("Where", ["known", "pixels", fill], ["filled"]),
        node("Cast", ["filled"], ["completed"], to=TensorProto.UINT8),
    ]
    return nodes, constants


def expected(image, hole_mask):
    """What an engine of `spec` makes of uint8 [h, w, 3] and [h, w] at its own size."""
    known = hole_mask == 0
    level = image[known].astype(np.float64).sum(axis=0) // max(known.sum(), 1)
    return np.where(known[..., None], image, level.astype(np.uint8))


def baseline(path, *, size=SIZE):
    """output = input, but 0 where the hole is."""
    axes = size or ("H", "W")
    wanted = replace(
        spec(size=size),
        kind="baseline",
        inputs=(TensorSpec("input", "float32", (1, 3, *axes)), TensorSpec("hole", "float32", (1, 1, *axes))),
        outputs=(TensorSpec("output", "float32", (1, 3, *axes)),),
    )
    constants = [("one", np.float32(1))]
    nodes = [
        helper.make_node("Sub", ["one", "hole"], ["known"]),
        helper.make_node("Mul", ["input", "known"], ["output"]),
    ]
    return tiny_engines.save(path, wanted, nodes, constants)
