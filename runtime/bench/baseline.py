"""The plain float export of a generator, as its users' scripts drive it, behind the face of the engine it is compared
with: bytes in, bytes out. For comparisons only.

The network's input is float32 [1, C, H, W], built here on the host: the channels [one-hot classes][edges][style
features], or an image in [−1, 1], with an inpainter's hole as float32 [1, 1, H, W] beside it. Its output is float32
[1, Cout, H, W] in [−1, 1].
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.backend import Engine, Loop
from runtime.engines.spec import EngineSpec, TensorSpec
from runtime.errors import DeviceError, EngineFormatError

KIND = "baseline"
Arrays = Mapping[str, NDArray[Any]]


def byte_spec(spec: EngineSpec) -> EngineSpec:
    """A baseline's specification as that of the engine it is compared with; any other as it is.

    Raises:
        EngineFormatError: its channels are not explained by its classes and features.
    """
    if spec.kind != KIND:
        return spec
    image, output = spec.tensor("input"), spec.tensor("output")
    axes = (image.shape[0], *image.shape[2:])
    if spec.labels:
        return _synthesizer(spec, axes)
    if spec.input("hole"):
        tensors = (TensorSpec("image", "uint8", (*axes, 3)), TensorSpec("hole_mask", "uint8", axes))
        return replace(spec, kind="inpainter", inputs=tensors, outputs=(TensorSpec("completed", "uint8", (*axes, 3)),))
    return replace(
        spec,
        kind="translator",
        inputs=(TensorSpec("image", "uint8", (*axes, image.shape[1])),),
        outputs=(TensorSpec("translation", "uint8", (*axes, output.shape[1])),),
    )


def _synthesizer(spec: EngineSpec, axes: tuple[int | str, ...]) -> EngineSpec:
    inputs = [TensorSpec("label_map", "uint8", axes)]
    if _edge_nc(spec) or _feat_num(spec):
        inputs.append(TensorSpec("inst_map", "int32", axes))
    if _feat_num(spec):
        inputs.append(TensorSpec("styles", "float32", (axes[0], "K", _feat_num(spec))))
    outputs = (TensorSpec("image", "uint8", (*axes, 3)),)
    return replace(spec, kind="synthesizer", inputs=tuple(inputs), outputs=outputs)


def _feat_num(spec: EngineSpec) -> int:
    return spec.styles.feat_num if spec.styles else 0


def _edge_nc(spec: EngineSpec) -> int:
    """Channels of the edge map: what the classes and features leave, none or one."""
    assert spec.labels
    channels = spec.tensor("input").shape[1]
    extra = channels - spec.labels.label_nc - _feat_num(spec) if isinstance(channels, int) else -1
    if extra not in (0, 1):
        raise EngineFormatError(
            f"a baseline's input has {channels} channels, expected {spec.labels.label_nc} classes, up to one edge "
            f"channel and {_feat_num(spec)} features; export it again"
        )
    return extra


def as_byte_engine(engine: Engine) -> Engine:
    """A baseline's engine behind the face of the one it is compared with; any other as it is."""
    return BaselineEngine(engine) if engine.spec.kind == KIND else engine


class BaselineEngine:
    """See `runtime.engines.backend.Engine`; `spec` is that of `byte_spec`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.spec = byte_spec(engine.spec)
        self.device, self.backend, self.skipped = engine.device, engine.backend, engine.skipped

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """See `runtime.engines.backend.Engine.run`."""
        encoded = {"input": self._encoded(inputs)}
        hole = inputs.get("hole_mask")
        if hole is not None:
            encoded["hole"] = (hole[:, None] > 0).astype(np.float32)
        image = np.stack([truncated(floats) for floats in self._engine.run(encoded)["output"]])
        if hole is not None:
            image = np.where(hole[..., None] > 0, image, inputs["image"])
        return {self.spec.outputs[0].name: image}

    def loop(self, inputs: Arrays, carried: Mapping[str, str]) -> Loop:
        """A baseline has no step of a search."""
        raise DeviceError(f"a baseline has no loop (asked for {', '.join(carried)}); compare engines of images")

    def close(self) -> None:
        """See `runtime.engines.backend.Engine.close`."""
        self._engine.close()

    def _encoded(self, inputs: Arrays) -> NDArray[np.float32]:
        """The network's input, float32 [N, C, H, W]."""
        if "label_map" not in inputs:
            return np.ascontiguousarray(np.moveaxis(inputs["image"], -1, 1).astype(np.float32) / 127.5 - 1)
        label_map, spec = inputs["label_map"], self._engine.spec
        assert spec.labels
        label_nc, edge_nc = spec.labels.label_nc, _edge_nc(spec)
        channels = label_nc + edge_nc + _feat_num(spec)
        encoded = np.zeros((len(label_map), channels, *label_map.shape[1:]), np.float32)
        for index, planes in enumerate(encoded):
            pixels = label_map[index].size
            planes.reshape(channels, pixels)[label_map[index].ravel(), np.arange(pixels)] = 1
            if edge_nc:
                planes[label_nc] = edge_map(inputs["inst_map"][index])
            if "styles" in inputs:
                planes[label_nc + edge_nc :] = np.moveaxis(inputs["styles"][index][inputs["inst_map"][index]], -1, 0)
        return encoded


def edge_map(inst_map: NDArray[np.int32]) -> NDArray[np.bool_]:
    """True where an instance id [H, W] differs from one of its four neighbours', on both sides of a boundary."""
    edges = np.zeros(inst_map.shape, np.bool_)
    across = inst_map[:, 1:] != inst_map[:, :-1]
    down = inst_map[1:] != inst_map[:-1]
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    return edges


def truncated(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Floats [C, H, W] in [−1, 1] → uint8 [H, W, C], truncating as the reference code does."""
    return np.clip(127.5 * np.moveaxis(image, 0, -1) + 127.5, 0, 255).astype(np.uint8)
