"""FCN-score (pix2pix section 4.1): does a segmenter find in a generated image what its label map asked for?"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from runtime.engines.labels import LabelSpec
from runtime.errors import InputError
from training.class_tables import CITYSCAPES, CITYSCAPES_TRAIN_IDS, ignored_classes
from training.data.images import resize_map
from training.errors import DataError
from training.evaluation.figures import Measure
from training.evaluation.onnx_network import OnnxNetwork, resize_scores
from training.system import HeldOut


class Segmenter:
    """An ONNX segmenter whose answers are label ids of a class table.

    Args:
        path: the file; its first output is ids [N, H, W] (or [N, 1, H, W]) or scores [N, C, h, w].
        labels: class table of the label maps. Where it is Cityscapes' and the network knows 19 classes, these are its
            train ids, and are brought to label ids.
        normalization, size: see `OnnxNetwork`.
        classes: how many classes a network with ids as output knows; None for as many as `labels`.

    Raises:
        InputError: `classes` fits neither the table nor Cityscapes' train ids; else as `OnnxNetwork`.
    """

    def __init__(
        self,
        path: Path,
        labels: LabelSpec,
        normalization: str = "imagenet",
        size: tuple[int, int] | None = None,
        classes: int | None = None,
    ) -> None:
        self.network = OnnxNetwork(path, "segmenter", normalization, size)
        self.labels, self.classes = labels, classes or labels.label_nc
        self._table(self.classes)
        channels = self.network.output_shape[1] if len(self.network.output_shape) == 4 else None
        if isinstance(channels, int) and channels > 1:  # refused now, not after an hour of training
            self._table(channels)

    def __call__(self, photo: NDArray[np.uint8]) -> NDArray[np.int32]:
        """uint8 RGB [H, W, 3] → label ids int32 [H, W].

        Raises:
            InputError: the output is neither ids nor scores of these classes.
        """
        output = self.network(photo)[0]
        size = (photo.shape[0], photo.shape[1])
        if output.dtype.kind in "iu" and output.ndim == 4 and output.shape[1] == 1:
            output = output[:, 0]
        if output.dtype.kind in "iu" and output.ndim == 3:
            ids = output[0].astype(np.int32)
            if not 0 <= ids.min() <= ids.max() < self.classes:
                raise InputError(
                    f"segmenter {self.network.path} gives ids {ids.min()} … {ids.max()}, expected 0 … "
                    f"{self.classes - 1}: it was made for another class table"
                )
            return resize_map(self._table(self.classes)[ids], size)
        if output.dtype.kind == "f" and output.ndim == 4:
            table = self._table(output.shape[1])
            return table[resize_scores(output[0], size).argmax(0)]
        raise InputError(
            f"segmenter {self.network.path}: its first output is {output.dtype} {list(output.shape)}, expected integer "
            "ids [1, H, W] or float scores [1, classes, h, w]"
        )

    def _table(self, classes: int) -> NDArray[np.int32]:
        """The network's class → label id."""
        if classes == self.labels.label_nc:
            return np.arange(classes, dtype=np.int32)
        if self.labels == CITYSCAPES and classes == len(CITYSCAPES_TRAIN_IDS):
            return np.array(CITYSCAPES_TRAIN_IDS, np.int32)
        also = ", or 19 (Cityscapes' train ids)" if self.labels == CITYSCAPES else ""
        raise InputError(
            f"segmenter {self.network.path} knows {classes} classes, the label maps have {self.labels.label_nc}; "
            f"expected {self.labels.label_nc}{also}"
        )


class FcnScore(Measure):
    """Pixel accuracy, class accuracy and mean IoU over all pixels of all items together.

    Pixels whose true class Cityscapes' benchmark leaves out (`ignored_classes`) are not counted. Class accuracy is the
    mean recall of the classes that occur; mean IoU that of the classes that occur or are found.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        label_nc = segmenter.labels.label_nc
        self.counted = np.setdiff1d(np.arange(label_nc), ignored_classes(label_nc))
        self.generated_matrix = np.zeros((label_nc, label_nc), np.int64)
        self.real_matrix = np.zeros((label_nc, label_nc), np.int64)

    def add(self, item: HeldOut) -> dict[str, float]:
        if item.label_map is None:
            raise DataError(
                f"{item.name} has no label map, which --segmenter compares with; evaluate data with label maps, or "
                "leave --segmenter out"
            )
        matrices = (self.generated_matrix, self.real_matrix)
        for matrix, image in zip(matrices, (item.fake_image, item.real_image), strict=True):
            matrix += self._confusion(item.label_map, self.segmenter(image))
        return {}

    def generated(self) -> dict[str, float]:
        return scores(self.generated_matrix, self.counted)

    def real(self) -> dict[str, float]:
        return scores(self.real_matrix, self.counted)

    def _confusion(self, true: NDArray[np.int32], found: NDArray[np.int32]) -> NDArray[np.int64]:
        counted = np.isin(true, self.counted)
        classes = np.arange(len(self.generated_matrix))
        if not counted.any():
            return np.zeros_like(self.generated_matrix)
        matrix: NDArray[np.int64] = confusion_matrix(true[counted], found[counted], labels=classes)
        return matrix


def scores(matrix: NDArray[np.int64], counted: NDArray[np.integer]) -> dict[str, float]:
    """The figures of a confusion matrix.

    Args:
        matrix: pixels [true class, class found]; rows of classes not counted are zero.
        counted: the classes that count.

    Raises:
        DataError: no pixel counts.
    """
    true, found, right = matrix.sum(1), matrix.sum(0), matrix.diagonal()
    if not true.sum():
        raise DataError("no pixel of the label maps belongs to a class that counts; see training/README.md")
    occurs = counted[true[counted] > 0]
    either = counted[(true + found)[counted] > 0]
    return {
        "pixel_accuracy": float(right.sum() / true.sum()),
        "class_accuracy": float(np.mean(right[occurs] / true[occurs])),
        "mean_iou": float(np.mean(right[either] / (true + found - right)[either])),
    }
