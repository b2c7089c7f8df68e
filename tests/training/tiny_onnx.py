"""Networks of others as ONNX files, built by hand so that their answer is known."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, UINT8, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64


def save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, Any]) -> Path:
    """A checked model of `nodes`; inputs and outputs are (name, type, shape)."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(*entry) for entry in inputs],
        [helper.make_tensor_value_info(*entry) for entry in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def red_is_the_class(path: Path) -> Path:
    """uint8 [N, H, W, 3] → ids uint8 [N, H, W]: the red value."""
    nodes = [helper.make_node("Gather", ["image", "red"], ["label_map"], axis=3)]
    return save(
        path,
        nodes,
        [("image", UINT8, ["N", "H", "W", 3])],
        [("label_map", UINT8, ["N", "H", "W"])],
        {"red": np.array(0, np.int64)},
    )


def nearest_red(path: Path, classes: int, step: float, size: int | str = "H", reduce: int = 1) -> Path:
    """float [1, 3, H, W], bytes / 255 → scores [1, classes, H / reduce, W / reduce], highest at class red · 255 / step.

    The score of class c is −(red − c · step / 255)², less what all classes share.
    """
    centres = (np.arange(classes) * step / 255).astype(np.float32)
    weight = np.zeros((classes, 3, reduce, reduce), np.float32)
    weight[:, 0] = (2 * centres / reduce**2)[:, None, None]
    node = helper.make_node(
        "Conv", ["input", "weight", "bias"], ["scores"], kernel_shape=[reduce] * 2, strides=[reduce] * 2
    )
    width = size if isinstance(size, int) else "W"
    return save(
        path,
        [node],
        [("input", FLOAT, [1, 3, size, width])],
        [("scores", FLOAT, [1, classes, None, None])],
        {"weight": weight, "bias": -(centres**2)},
    )


def features(path: Path, vectors: bool = False) -> Path:
    """float [1, 3, H, W] → the image itself as features, and its mean over the pixels as maps or vectors."""
    mean = helper.make_node("ReduceMean", ["input", "axes"], ["mean"], keepdims=0 if vectors else 1)
    same = helper.make_node("Identity", ["input"], ["same"])
    return save(
        path,
        [same, mean],
        [("input", FLOAT, [1, 3, "H", "W"])],
        [("same", FLOAT, [1, 3, "H", "W"]), ("mean", FLOAT, [1, 3] if vectors else [1, 3, 1, 1])],
        {"axes": np.array([2, 3], np.int64)},
    )
