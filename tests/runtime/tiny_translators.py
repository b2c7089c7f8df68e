"""Hand-made translators and their baselines, whose output encodes their input exactly.

translation[n, y, x, k] = (image[n, y, x, k mod C] + corner[n] + seed[n]) mod 256, where the corner is the last pixel of
the last row of each image (with "batch-stats" of the whole call): so that padding, mates and seeds show in every pixel.
Baseline: output = input in [−1, 1], without a corner. `expected` says the same in numpy.
"""

from dataclasses import replace

import numpy as np
from onnx import TensorProto, helper

from runtime.engines.spec import TensorSpec
from tests.runtime import tiny_engines

SIZE = tiny_engines.SIZE


def spec(
    *, input_nc=3, output_nc=3, seed=False, size=None, batch="N", multiple=8, smallest=16, normalization="per-image"
):
    """`size` None and `batch` "N" make those axes dynamic."""
    axes = (batch, *(size or ("H", "W")))
    inputs = [TensorSpec("image", "uint8", (*axes, input_nc))]
    if seed:
        inputs.append(TensorSpec("seed", "int32", (batch,)))
    return replace(
        tiny_engines.synthesizer_spec(size=size, multiple=multiple, smallest=smallest),
        kind="translator",
        family="pix2pix",
        inputs=tuple(inputs),
        outputs=(TensorSpec("translation", "uint8", (*axes, output_nc)),),
        labels=None,
        normalization=normalization,
    )


def translator(path, **options):
    """Write a translator; options are those of `spec`."""
    wanted = spec(**options)
    return tiny_engines.save(path, wanted, *graph(wanted))


def graph(wanted):
    node, int64 = helper.make_node, np.int64
    input_nc, output_nc = wanted.inputs[0].shape[3], wanted.outputs[0].shape[3]
    constants = [
        ("channels", np.arange(output_nc, dtype=int64) % input_nc),
        ("last", np.array([-1, -1, -1], int64)),
        ("end", np.array([2**31 - 1] * 3, int64)),
        ("spatial", np.array([1, 2, 3], int64)),
        ("all", np.array([0, 1, 2, 3], int64)),
        ("per_image", np.array([-1, 1, 1, 1], int64)),
        ("byte", np.int32(256)),
    ]
    nodes = [
        node("Cast", ["image"], ["pixels"], to=TensorProto.INT32),
        node("Gather", ["pixels", "channels"], ["chosen"], axis=3),
        node("Slice", ["pixels", "last", "end", "spatial"], ["corner"]),
    ]
    shift = "corner"
    if wanted.normalization == "batch-stats":
        nodes.append(node("ReduceSum", ["corner", "all"], ["mates"], keepdims=1))
        shift = "mates"
    if wanted.input("seed"):
        nodes += [node("Reshape", ["seed", "per_image"], ["seeds"]), node("Add", [shift, "seeds"], ["shift"])]
        shift = "shift"
    nodes += [
        node("Add", ["chosen", shift], ["sum"]),
        node("Mod", ["sum", "byte"], ["code"]),
        node("Cast", ["code"], ["translation"], to=TensorProto.UINT8),
    ]
    return nodes, constants


def expected(image, output_nc=3, *, size=None, seed=0, multiple=8, smallest=16):
    """What an engine of `spec` must give for one uint8 [H, W, C]."""
    height, width, input_nc = image.shape
    target = size or tuple(-(-max(side, smallest) // multiple) * multiple for side in (height, width))
    corner = image[reflected(target[0] - 1, height), reflected(target[1] - 1, width)]
    shift = int(corner[-1]) + seed
    return ((image[..., np.arange(output_nc) % input_nc].astype(int) + shift) % 256).astype(np.uint8)


def reflected(position, side):
    """Which of 0 … side − 1 shows at `position`: there and back, the ends once."""
    if side == 1:
        return 0
    there_and_back = [*range(side), *range(side - 2, 0, -1)]
    return there_and_back[position % len(there_and_back)]


def baseline(path, *, input_nc=3, output_nc=3, size=SIZE, add=0.0):
    """`add` grey levels on top."""
    axes = size or ("H", "W")
    wanted = replace(
        spec(size=size, batch=1),
        kind="baseline",
        inputs=(TensorSpec("input", "float32", (1, input_nc, *axes)),),
        outputs=(TensorSpec("output", "float32", (1, output_nc, *axes)),),
    )
    weight = np.zeros((output_nc, input_nc, 1, 1), np.float32)
    weight[np.arange(output_nc), np.arange(output_nc) % input_nc] = 1
    # Half a level above the byte: truncation must give it back.
    bias = np.full(output_nc, (add + 0.5) / 127.5, np.float32)
    constants = [("weight", weight), ("bias", bias)]
    return tiny_engines.save(
        path, wanted, [helper.make_node("Conv", ["input", "weight", "bias"], ["output"])], constants
    )
