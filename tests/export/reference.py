"""The checkpoint's answer, computed as plainly as possible: numpy encodes the input as the definitions say."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.onnx_from_checkpoint import Exported
from runtime.engines.onnx_engine import OnnxEngine
from training.checkpoint import Checkpoint

Arrays = dict[str, NDArray[Any]]


def random_inputs(checkpoint: Checkpoint, count: int, height: int, width: int, seed: int = 0) -> Arrays:
    """Inputs of a synthesizer or translator, with every label id and 5 instances in no order."""
    a = checkpoint.architecture
    rng = np.random.default_rng(seed)
    if checkpoint.family == "pix2pix":
        return {"image": rng.integers(0, 256, (count, height, width, a.input_nc), np.uint8)}
    arrays: Arrays = {"label_map": rng.integers(0, max(a.label_nc, 1), (count, height // 4, width // 4), np.uint8)}
    arrays["label_map"] = arrays["label_map"].repeat(4, 1).repeat(4, 2)
    if not a.label_nc:
        arrays = {"image": rng.integers(0, 256, (count, height, width, a.image_nc), np.uint8)}
    if a.use_edges or a.feat_num:
        arrays["inst_map"] = rng.integers(0, 5, (count, height // 8, width // 8), np.int32).repeat(8, 1).repeat(8, 2)
    if a.feat_num:
        arrays["styles"] = rng.uniform(-1, 1, (count, 1024, a.feat_num)).astype(np.float32)
    return arrays


def encoded(checkpoint: Checkpoint, arrays: Arrays) -> torch.Tensor:
    """[one-hot or RGB][edges][features] float32 [N, C, H, W]."""
    a = checkpoint.architecture
    if checkpoint.family == "pix2pix":
        return torch.from_numpy((arrays["image"].transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32))
    if a.label_nc:
        channels = [(arrays["label_map"] == class_id).astype(np.float32) for class_id in range(a.label_nc)]
    else:
        channels = [(arrays["image"][..., c] / 255 - 0.5) / 0.5 for c in range(a.image_nc)]
    if a.use_edges:
        channels.append(_edges(arrays["inst_map"]))
    for feature in range(a.feat_num):
        pairs = zip(arrays["styles"], arrays["inst_map"], strict=True)
        channels.append(np.stack([styles[ids, feature] for styles, ids in pairs]))
    return torch.from_numpy(np.stack(channels, 1).astype(np.float32))


def _edges(inst_map: NDArray[np.int32]) -> NDArray[np.float32]:
    padded = np.pad(inst_map, ((0, 0), (1, 1), (1, 1)), mode="edge")
    neighbours = (padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    return np.any([neighbour != inst_map for neighbour in neighbours], axis=0).astype(np.float32)


def reference_bytes(checkpoint: Checkpoint, arrays: Arrays) -> NDArray[np.uint8]:
    """uint8 [N, H, W, 3] of the generator in torch; (y + 1) / 2 · 255, truncated."""
    with torch.inference_mode():
        image = checkpoint.build()["generator"](encoded(checkpoint, arrays)).numpy()
    return np.clip(127.5 * image + np.float32(127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def run(engine: Exported, arrays: Arrays) -> NDArray[Any]:
    """The only output of an engine."""
    (output,) = OnnxEngine(engine.path, engine.spec, "cpu", 1).run(arrays).values()
    return output


def psnr(expected: NDArray[np.uint8], received: NDArray[np.uint8]) -> float:
    square = np.mean((expected.astype(np.float64) - received) ** 2)
    return float(10 * np.log10(255**2 / max(square, 1e-12)))
