"""Networks of others as ONNX files: a photo in, arrays out. The only module of training that opens engines."""

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.engines.onnx_engine import LOAD_ERRORS, open_on_cpu, reason
from runtime.errors import EngineFormatError, InputError
from runtime.files import require_file
from training.data.images import resize_photo

# What becomes of a byte for networks that take floats: (value / 255 − mean) / scale, per channel.
NORMALIZATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "unit": ((0.5,), (0.5,)),  # −1 … 1, as everywhere in this project
    "none": ((0.0,), (1.0,)),  # 0 … 1: the network normalises by itself
}
_TYPES = ("tensor(uint8)", "tensor(float)")


class _Node(NamedTuple):
    """An input or output as the file declares it; axes are numbers, or names and None where they are free."""

    name: str
    type: str
    shape: list[int | str | None]


class OnnxNetwork:
    """An ONNX network with one image input.

    Args:
        path: the file. Its input is uint8 [N, H, W, 3] (this project's engines) or float32 [N, 3, H, W].
        what: how the user calls it, for messages: "segmenter".
        normalization: of float inputs, one of `NORMALIZATIONS`.
        size: (H, W) every photo is brought to; None for the network's own, or where that is free the photo's.

    Raises:
        MissingFileError: no such file.
        EngineFormatError: no ONNX network, or not with one image input.
        InputError: unknown normalisation, or `size` is not the network's.
    """

    def __init__(
        self, path: Path, what: str, normalization: str = "imagenet", size: tuple[int, int] | None = None
    ) -> None:
        self.path, self.what = require_file(path, what), what
        if normalization not in NORMALIZATIONS:
            raise InputError(f"--{what}-norm is {normalization!r}, expected one of {', '.join(NORMALIZATIONS)}")
        self._mean, self._scale = (np.array(values, np.float32) for values in NORMALIZATIONS[normalization])
        try:
            self._session = open_on_cpu(path)
            # Copied here because onnxruntime decodes names on access: a damaged one is noticed now.
            inputs, outputs = (
                [_Node(node.name, node.type, list(node.shape)) for node in nodes]
                for nodes in (self._session.get_inputs(), self._session.get_outputs())
            )
        except LOAD_ERRORS as error:
            raise EngineFormatError(f"{what} {path} is no network onnxruntime can load: {reason(error)}") from error
        self._input = self._image_input(inputs)
        self.output_shape = outputs[0].shape
        self.size = self._chosen_size(size)

    def __call__(self, photo: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """uint8 RGB [H, W, 3] → every output, for one image [1, …].

        Raises:
            InputError: the network fails, for instance because it does not take images of this size.
        """
        sized = resize_photo(photo, self.size or (photo.shape[0], photo.shape[1]))
        if self._takes_bytes:
            image: NDArray[Any] = sized[None]
        else:
            values = (sized.astype(np.float32) / 255 - self._mean) / self._scale
            image = np.ascontiguousarray(values.transpose(2, 0, 1)[None])
        try:
            return [np.asarray(value) for value in self._session.run(None, {self._input.name: image})]
        except LOAD_ERRORS as error:
            raise InputError(
                f"{self.what} {self.path} fails on an image of {sized.shape[0]}×{sized.shape[1]}: "
                f"{reason(error)}; bring images to a size it takes with --{self.what}-size HEIGHTxWIDTH"
            ) from error

    def _image_input(self, inputs: list[_Node]) -> _Node:
        listed = ", ".join(f"{node.name} {node.type} {node.shape}" for node in inputs)
        if len(inputs) == 1 and len(inputs[0].shape) == 4:
            image = inputs[0]
            channels = {"tensor(uint8)": image.shape[3], "tensor(float)": image.shape[1]}.get(image.type)
            one_image = not isinstance(image.shape[0], int) or image.shape[0] == 1
            if image.type in _TYPES and one_image and (channels == 3 or not isinstance(channels, int)):
                return image
        raise EngineFormatError(
            f"{self.what} {self.path} takes {listed or 'nothing'}; expected one input, uint8 [1, H, W, 3] or "
            "float32 [1, 3, H, W]; export it again so"
        )

    @property
    def _takes_bytes(self) -> bool:
        return self._input.type == "tensor(uint8)"

    def _chosen_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        height, width = self._input.shape[1:3] if self._takes_bytes else self._input.shape[2:4]
        if not isinstance(height, int) or not isinstance(width, int):
            return size
        fixed = (height, width)
        if size not in (None, fixed):
            raise InputError(
                f"--{self.what}-size {size}: {self.path} takes images of {fixed[0]}×{fixed[1]} only; leave it out"
            )
        return fixed


def resize_scores(scores: NDArray[np.floating[Any]], size: tuple[int, int]) -> NDArray[np.float32]:
    """Bilinear: [C, h, w] → [C, H, W]; channel by channel, for OpenCV takes few at once."""
    planes = [cv2.resize(np.asarray(plane, np.float32), size[::-1], interpolation=cv2.INTER_LINEAR) for plane in scores]
    return np.stack(planes)
