"""The plain float export of a generator, driven as its users' scripts drive it. For comparisons only.

The network's input is float32 [1, C, H, W], built here on the host: the channels [one-hot classes][edges][style
features], or an image in [−1, 1], with an inpainter's hole as float32 [1, 1, H, W] beside it. Its output is float32
[1, Cout, H, W] in [−1, 1].
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.rendering import require_output
from runtime.engines.spec import EngineSpec
from runtime.errors import EngineFormatError
from runtime.runners.inpainter import Inpainter
from runtime.runners.synthesizer import Scene, Synthesizer
from runtime.runners.translator import Translator


class BaselineSynthesizer(Synthesizer):
    """`Synthesizer` for a plain float engine: same arguments, same checks, same styles, same result."""

    _kind = "baseline"

    def __init__(self, path: str | os.PathLike[str], device: str = "auto", threads: int | None = None) -> None:
        super().__init__(path, device, threads)
        _require_class_table(self._path, self.spec, wanted=True)

    def _input_nc(self) -> int:
        axis = self.spec.inputs[0].shape[1]
        extra = axis - self.labels.label_nc - self._feat_num() if isinstance(axis, int) else -1
        if extra not in (0, 1):
            raise EngineFormatError(
                f"engine {self._path}: its input has {axis} channels, expected {self.labels.label_nc} classes, up to "
                f"one edge channel and {self._feat_num()} features; export it again"
            )
        return int(axis)

    def _has_edges(self) -> bool:
        return self._input_nc() > self.labels.label_nc + self._feat_num()

    def _feat_num(self) -> int:
        return self.spec.styles.feat_num if self.spec.styles else 0

    @property
    def uses_instances(self) -> bool:
        """Whether `run` wants an inst_map."""
        return self._has_edges() or self._feat_num() > 0

    def _render(self, scenes: Sequence[Scene], batch: int) -> NDArray[np.uint8]:
        encoded = np.zeros((batch, self._input_nc(), *scenes[0].label_map.shape), np.float32)
        for channels, scene in zip(encoded, scenes, strict=False):
            self._encode(scene, channels)
        output = self._engine.run({"input": encoded})["output"]
        require_output(self._path, "output", output, None, (batch, 3, *encoded.shape[2:]))
        return np.stack([to_bytes(image) for image in output[: len(scenes)]])

    def _encode(self, scene: Scene, channels: NDArray[np.float32]) -> None:
        """Fill the zeroed channels [C, H, W]."""
        pixels = scene.label_map.size
        channels.reshape(len(channels), pixels)[scene.label_map.ravel(), np.arange(pixels)] = 1
        if scene.inst_map is None:
            return
        if self._has_edges():
            channels[self.labels.label_nc] = edge_map(scene.inst_map)
        if scene.styles is not None:
            channels[-self._feat_num() :] = np.moveaxis(scene.styles[scene.inst_map], -1, 0)


class BaselineTranslator(Translator):
    """`Translator` for a plain float engine: same arguments, same checks, same result."""

    _kind = "baseline"

    def __init__(self, path: str | os.PathLike[str], device: str = "auto", threads: int | None = None) -> None:
        super().__init__(path, device, threads)
        _require_class_table(self._path, self.spec, wanted=False)
        if self.spec.input("hole"):
            raise EngineFormatError(f"engine {path} is a baseline with a hole; give it to BaselineInpainter")

    def _channels(self) -> tuple[int, int]:
        channels = (self.spec.inputs[0].shape[1], self.spec.outputs[0].shape[1])
        return int(channels[0]), int(channels[1])

    def _render(self, images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        encoded = np.ascontiguousarray(np.moveaxis(images, -1, 1).astype(np.float32) / 127.5 - 1)
        output = self._engine.run({"input": encoded})["output"]
        require_output(self._path, "output", output, None, (len(images), self.output_nc, *images.shape[1:3]))
        return np.stack([to_bytes(image) for image in output])


class BaselineInpainter(Inpainter):
    """`Inpainter` for a plain float engine: same arguments, same checks, same result."""

    _kind = "baseline"

    def __init__(self, path: str | os.PathLike[str], device: str = "auto", threads: int | None = None) -> None:
        super().__init__(path, device, threads)
        if self.spec.input("hole") is None:
            raise EngineFormatError(f"engine {path} is a baseline without a hole; give it to BaselineTranslator")

    def _render(self, images: NDArray[np.uint8], masks: NDArray[np.uint8], style: NDArray[np.uint8] | None) -> Any:
        encoded = np.ascontiguousarray(np.moveaxis(images, -1, 1).astype(np.float32) / 127.5 - 1)
        output = self._engine.run({"input": encoded, "hole": masks[:, None].astype(np.float32)})["output"]
        require_output(self._path, "output", output, None, encoded.shape)
        return np.where(masks[..., None] > 0, np.stack([to_bytes(image) for image in output]), images)


def _require_class_table(path: str, spec: EngineSpec, *, wanted: bool) -> None:
    """Whether a baseline's input is a label map or an image shows in its class table."""
    if wanted != (spec.labels is not None):
        has, runner = ("a", "BaselineSynthesizer") if spec.labels else ("no", "BaselineTranslator")
        raise EngineFormatError(f"engine {path} is a baseline with {has} class table; give it to {runner}")


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


def to_bytes(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Floats [C, H, W] in [−1, 1] → uint8 [H, W, C], truncating as the reference code does."""
    return np.clip(127.5 * np.moveaxis(image, 0, -1) + 127.5, 0, 255).astype(np.uint8)
