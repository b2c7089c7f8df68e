"""The forms of patch-swap that the benchmark compares, each as a function of nothing."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Run = Callable[[], NDArray[Any]]


@dataclass(frozen=True)
class Problem:
    """Features as after a ReLU, [1, channels, height, width], with a square hole in the middle."""

    height: int
    width: int
    channels: int
    hole: int
    seed: int = 0

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features and hole, float32."""
        shape = (1, self.channels, self.height, self.width)
        features = np.maximum(np.random.default_rng(self.seed).standard_normal(shape, np.float32), 0)
        hole = np.zeros((1, 1, self.height, self.width), np.float32)
        top, left = (self.height - self.hole) // 2, (self.width - self.hole) // 2
        hole[..., top : top + self.hole, left : left + self.hole] = 1
        return features, hole

    @property
    def scores_mb(self) -> float:
        """Size of the N×M matrix of all scores, MB of float32."""
        queries, keys = self._patches()
        return queries * keys * 4 / 1e6

    @property
    def gram_gflop(self) -> float:
        """Multiplications and additions of the products of all query pixels and all known pixels, in 1e9."""
        return 2 * self.channels * (self.hole + 4) ** 2 * (self.height * self.width - self.hole**2) / 1e9

    def _patches(self) -> tuple[int, int]:
        queries = (self.hole + 2) ** 2
        return queries, (self.height - 2) * (self.width - 2) - queries

    def small(self) -> "Problem":
        """One that runs every line in no time: what the first call of anything costs is not measured."""
        return Problem(16, 16, self.channels, 4)

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def convolution(problem: Problem, threads: int) -> Run:
    """What users write."""
    features, hole = map(torch.from_numpy, problem.arrays())
    return lambda: swap_by_convolution(features, hole).numpy()


def swap_by_convolution(features: Tensor, hole: Tensor) -> Tensor:
    """Known patches as filters of conv2d, one-hot winners, conv_transpose2d, overlaps divided; for one image.

    The queries' bounding box is cut out first, which most such code does not.
    """
    touched = F.max_pool2d(hole, 3, 1, 1)[0, 0] > 0
    rows, columns = touched.any(1).nonzero(), touched.any(0).nonzero()
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    is_key = ~touched
    is_key[[0, -1]] = is_key[:, [0, -1]] = False
    patches = F.unfold(features, 3, padding=1)[0, :, is_key.flatten()].T.reshape(-1, features.shape[1], 3, 3)
    norms = patches.flatten(1).norm(dim=1).clamp_min(1e-8)
    window = F.pad(features, (1, 1, 1, 1))[..., top : bottom + 2, left : right + 2]
    scores = F.conv2d(window, patches / norms[:, None, None, None])
    winners = torch.zeros_like(scores).scatter_(1, scores.argmax(1, keepdim=True), 1.0)
    pasted = F.conv_transpose2d(winners, patches)
    overlaps = F.conv_transpose2d(torch.ones_like(winners[:, :1]), torch.ones_like(patches[:1, :1]))
    output = features.clone()
    part = output[..., top - 1 : bottom + 1, left - 1 : right + 1]
    inside = hole[..., top - 1 : bottom + 1, left - 1 : right + 1] > 0
    part.copy_(torch.where(inside, pasted / overlaps, part))
    return output


def operator(problem: Problem, threads: int) -> Run:
    """Our torch operator."""
    from cuda_ext.ops import patch_swap

    features, hole = map(torch.from_numpy, problem.arrays())
    return lambda: patch_swap(features, hole).numpy()


def onnx(problem: Problem, threads: int) -> Run:
    """Our ONNX functions in ONNX Runtime."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it sends usage to its vendor; read when it is loaded
    import onnxruntime
    from onnx import TensorProto, helper

    from cuda_ext import onnx_functions

    features, hole = problem.arrays()
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape)
        for n, a in (("features", features), ("hole", hole))
    ]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, features.shape)]
    graph = helper.make_graph(
        onnx_functions.patch_swap_nodes("features", "hole", "output"), "patch_swap", inputs, outputs
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", onnx_functions.OPSET)], ir_version=10)
    onnx_functions.add_functions(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin while they wait take a core from the other forms, whose turn comes next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def run() -> NDArray[Any]:
        (output,) = session.run(["output"], {"features": features, "hole": hole})
        return np.asarray(output)

    return run


def product(problem: Problem, threads: int) -> Run:
    """The Gram product alone, as one matrix product of the same size in pieces: the roofline of the operator."""
    query_pixels = (problem.hole + 4) ** 2
    known = problem.height * problem.width - problem.hole**2
    features, _ = map(torch.from_numpy, problem.arrays())
    pixels = features[0].flatten(1)
    queries = pixels[:, :query_pixels].T
    blocks = [pixels[:, start : min(start + 512, known)] for start in range(0, known, 512)]
    result = torch.empty(query_pixels * 512)

    def run() -> NDArray[Any]:
        for block in blocks:
            torch.mm(queries, block, out=result[: query_pixels * block.shape[1]].view(query_pixels, -1))
        return result.numpy()

    return run


FORMS: dict[str, Callable[[Problem, int], Run]] = {
    "convolution": convolution,
    "operator": operator,
    "onnx": onnx,
    "product": product,
}
