"""A hand-made sketch engine whose search is known in closed form.

z has three components, one a colour channel. With c the weighted mean of what is known, in [−1, 1]:
contextual_loss = |z − c|², perceptual_loss = z₀, and every pixel of the image is z. `Expected` says the same in numpy.
"""

from dataclasses import replace

import numpy as np
from onnx import TensorProto, helper

from runtime.engines.spec import TensorSpec
from tests.runtime import tiny_engines

SIDE = 16
SCALARS = ("learning_rate", "momentum", "perceptual_weight", "z_limit")


def spec(*, side=SIDE, batch="N"):
    height, width = side, 2 * side
    latent = (batch, 3)
    return replace(
        tiny_engines.synthesizer_spec(size=None),
        kind="sketch",
        family="contextual_gan",
        inputs=(
            TensorSpec("observed", "uint8", (1, height, width, 3)),
            TensorSpec("known_mask", "uint8", (1, height, width)),
            TensorSpec("z", "float32", latent),
            TensorSpec("velocity", "float32", latent),
            *(TensorSpec(name, "float32", (1,)) for name in SCALARS),
        ),
        outputs=(
            TensorSpec("next_z", "float32", latent),
            TensorSpec("next_velocity", "float32", latent),
            TensorSpec("contextual_loss", "float32", (batch,)),
            TensorSpec("perceptual_loss", "float32", (batch,)),
            TensorSpec("image", "uint8", (batch, height, width, 3)),
        ),
        labels=None,
        normalization="running-stats",
    )


def completer(path, *, side=SIDE, batch="N", changed=None):
    """Write an engine; `changed` makes another specification of the right one."""
    node, i64 = helper.make_node, lambda *values: np.array(values, np.int64)
    constants = [
        ("half", np.float32(127.5)),
        ("one", np.float32(1)),
        ("two", np.float32(2)),
        ("low", np.float32(0)),
        ("high", np.float32(255)),
        ("channels", i64(3)),
        ("space", i64(1, 2)),
        ("last", i64(1)),
        ("first", i64(0)),
        ("as_pixels", i64(-1, 1, 1, 3)),
        ("tile", i64(1, side, 2 * side, 1)),
        ("pull", np.array([[1, 0, 0]], np.float32)),
    ]
    nodes = [
        node("Cast", ["observed"], ["y"], to=TensorProto.FLOAT),
        node("Cast", ["known_mask"], ["m"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["m", "channels"], ["m1"]),
        node("Mul", ["y", "m1"], ["my"]),
        node("ReduceSum", ["my", "space"], ["sum"], keepdims=0),
        node("ReduceSum", ["m1", "space"], ["mass"], keepdims=0),
        node("Div", ["sum", "mass"], ["mean"]),
        node("Div", ["mean", "half"], ["mean2"]),
        node("Sub", ["mean2", "one"], ["c"]),
        node("Sub", ["z", "c"], ["d"]),
        node("Mul", ["d", "d"], ["dd"]),
        node("ReduceSum", ["dd", "last"], ["contextual_loss"], keepdims=0),
        node("Gather", ["z", "first"], ["z0"], axis=1),
        node("Squeeze", ["z0", "last"], ["perceptual_loss"]),
        node("Mul", ["d", "two"], ["g1"]),
        node("Mul", ["pull", "perceptual_weight"], ["g2"]),
        node("Add", ["g1", "g2"], ["g"]),
        node("Mul", ["velocity", "momentum"], ["mv"]),
        node("Mul", ["g", "learning_rate"], ["lg"]),
        node("Sub", ["mv", "lg"], ["next_velocity"]),
        node("Add", ["z", "next_velocity"], ["free"]),
        node("Neg", ["z_limit"], ["least"]),
        node("Max", ["free", "least"], ["above"]),
        node("Min", ["above", "z_limit"], ["next_z"]),
        node("Mul", ["z", "half"], ["z127"]),
        node("Add", ["z127", "half"], ["level"]),
        node("Clip", ["level", "low", "high"], ["clipped"]),
        node("Reshape", ["clipped", "as_pixels"], ["pixel"]),
        node("Tile", ["pixel", "tile"], ["pixels"]),
        node("Cast", ["pixels"], ["image"], to=TensorProto.UINT8),
    ]
    wanted = spec(side=side, batch=batch)
    path = tiny_engines.save(path, wanted, nodes, constants)
    if changed:
        tiny_engines.save(path, wanted, nodes, constants, {"pix2rt.spec": changed(wanted).to_json()})
    return path


def centre(observed, mask):
    """c of a joint image [H, 2H, 3] and weights [H, 2H]."""
    mean = (observed * mask[..., None].astype(np.float64)).sum((0, 1)) / mask.sum(dtype=np.float64)
    return mean / 127.5 - 1


def descent(z, c, steps, *, learning_rate, momentum=0.9, perceptual_weight=0.01, z_limit=1.0):
    """z after every step, [steps + 1, 3]."""
    path, velocity = [z], np.zeros_like(z)
    for _ in range(steps):
        gradient = 2 * (z - c) + perceptual_weight * np.array([1, 0, 0])
        velocity = momentum * velocity - learning_rate * gradient
        z = np.clip(z + velocity, -z_limit, z_limit)
        path.append(z)
    return np.stack(path)
