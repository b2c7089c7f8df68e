"""The plain float export of a generator, driven as its users' scripts drive it. For comparisons only.

The network's input is float32 [1, C, H, W] with the channels [one-hot classes][edges][style features], built here on
the host; its output is float32 [1, 3, H, W] in [−1, 1].
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import EngineFormatError
from runtime.synthesizer import Scene, Synthesizer


class BaselineSynthesizer(Synthesizer):
    """`Synthesizer` for a plain float engine: same arguments, same checks, same styles, same result."""

    _kind = "baseline"

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
        if output.shape != (batch, 3, *encoded.shape[2:]):
            raise self._wrong_output("output", output, (batch, 3, *encoded.shape[2:]))
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
    """Floats [3, H, W] in [−1, 1] → uint8 [H, W, 3], truncating as the reference code does."""
    return np.clip(127.5 * np.moveaxis(image, 0, -1) + 127.5, 0, 255).astype(np.uint8)
