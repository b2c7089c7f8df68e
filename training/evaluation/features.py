"""Distances in the features of a network: per image, and between the two sets of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError
from training.evaluation.figures import Measure
from training.system import HeldOut

Array = NDArray[np.floating[Any]]
_EPSILON = 1e-10
_PLACES = 16  # verification looks at maps on a grid of so many places a side
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601
_DARKER, _NOISE = 0.95, 4.0  # of a photo that is slightly changed; noise in grey levels


class FeatureSource(Protocol):
    """What gives the features, such as an `OnnxNetwork`.

    Attributes:
        path: the file it comes from, for messages.
    """

    path: Path

    def __call__(self, photo: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """uint8 RGB [H, W, 3] → maps [1, C, h, w] or vectors [1, C]."""
        ...


class FeatureDistance(Measure):
    """Figures from one network: `image_distance` per item, `frechet_distance` of pooled features over all, and
    `verification_accuracy`. Where items have holes, the first two count features as far as they lie in them.

    Verification, of whole images alone, asks who it is, not in what light: features are those of grey photos, as the
    paper's Light CNN takes them, and keep their places, for shape is in these.
    """

    def __init__(self, network: FeatureSource) -> None:
        self.network = network
        self.pooled: tuple[list[Array], list[Array]] = ([], [])  # generated, real
        self.placed: tuple[list[Array], list[Array], list[Array]] = ([], [], [])  # generated, real, slightly changed

    def add(self, item: HeldOut) -> dict[str, float]:
        maps = [self._features(image) for image in (item.fake_image, item.real_image)]
        weights = [_share(item.hole, feature) for feature in maps[0]]
        for pooled, features in zip(self.pooled, maps, strict=True):
            means = [(feature * share).sum((1, 2)) for feature, share in zip(features, weights, strict=True)]
            pooled.append(np.concatenate(means))
        if item.hole is None:
            images = (item.fake_image, item.real_image, _slightly_changed(item.real_image))
            for placed, image in zip(self.placed, images, strict=True):
                placed.append(np.concatenate([_on_grid(features) for features in self._features(_grey(image))]))
        return {"feature_distance": image_distance(maps[0], maps[1], item.hole)}

    def generated(self) -> dict[str, float]:
        if len(self.pooled[0]) < 2:
            return {}
        fake, real = map(np.stack, self.pooled)
        return {"frechet_distance": frechet_distance(fake, real), **self._verification(0)}

    def real(self) -> dict[str, float]:
        return self._verification(2)

    def _verification(self, which: int) -> dict[str, float]:
        if len(self.placed[0]) < 2:
            return {}
        return {"verification": verification_accuracy(np.stack(self.placed[which]), np.stack(self.placed[1]))}

    def notes(self) -> list[str]:
        items, dimensions = len(self.pooled[0]), len(self.pooled[0][0])
        if items == 1:
            return ["No Fréchet distance: it needs two items at least."]
        notes = []
        if self.placed[0]:
            notes.append(
                f"Verification: by chance it is {1 / len(self.placed[0]):.3f}; the real photos' is that of the same "
                "photos moved by a pixel, darker by 5 % and with noise."
            )
        if items <= dimensions:
            notes.append(
                f"The Fréchet distance rests on {items} items for {dimensions} dimensions: the covariances are "
                "singular and the figure is too high; compare only runs on the same items, or bring a network with "
                "fewer features."
            )
        return notes

    def _features(self, image: NDArray[np.uint8]) -> list[Array]:
        """Every output as float64 [C, h, w]; vectors have h = w = 1."""
        maps = []
        for output in self.network(image):
            if output.dtype.kind != "f" or output.ndim not in (2, 4):
                raise InputError(
                    f"features {self.network.path}: an output is {output.dtype} {list(output.shape)}, expected float "
                    "maps [1, C, h, w] or vectors [1, C]"
                )
            maps.append(output[0].astype(np.float64).reshape(output.shape[1], *(output.shape[2:] or (1, 1))))
        return maps


def verification_accuracy(fake: Array, real: Array) -> float:
    """Share of rows of `fake` [N, D] that are nearer to the same row of `real` than to any other (Contextual GAN,
    section 4.2, where the features are a face recogniser's).
    """
    # |f − r|² less |f|², which is the same for all r.
    distances = np.sum(np.square(real), axis=1) - 2 * fake @ real.T
    return float(np.mean(distances.argmin(1) == np.arange(len(fake))))


def _grey(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma in three equal channels."""
    luma = np.asarray(photo @ np.array(_LUMA) + 0.5, np.uint8)
    return np.repeat(luma[..., None], 3, -1)


def _slightly_changed(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same photo as another shot of it might be; the same change every time."""
    noise = np.random.default_rng(0).normal(0, _NOISE, photo.shape)
    return np.asarray(np.clip(_DARKER * np.roll(photo, 1, axis=1) + noise + 0.5, 0, 255), np.uint8)


def _on_grid(features: Array) -> Array:
    """Maps [C, h, w] on a grid of at most 16×16 places, so that large ones fit into memory; vectors as they are."""
    height, width = features.shape[1:]
    if height == width == 1:
        return features.ravel()
    planes = [cv2.resize(plane, (_PLACES, _PLACES), interpolation=cv2.INTER_AREA) for plane in features]
    return np.stack(planes).ravel()


def image_distance(first: Sequence[Array], second: Sequence[Array], hole: NDArray[np.bool_] | None = None) -> float:
    """The form of LPIPS (Zhang et al. 2018, equation 1) with all channels weighted alike.

    Each pixel's features are brought to length 1; squared differences are summed over the channels, averaged over the
    pixels, and averaged over the outputs.

    Args:
        first: feature maps [C, h, w] of an image, output by output.
        second: those of the other image.
        hole: [H, W]; a feature counts with the share of its pixels that lie in it. None counts all alike.
    """
    distances = [
        (np.square(_unit_length(a) - _unit_length(b)).sum(0) * _share(hole, a)).sum()
        for a, b in zip(first, second, strict=True)
    ]
    return float(np.mean(distances))


def frechet_distance(first: Array, second: Array) -> float:
    """|μ1 − μ2|² + tr(C1 + C2 − 2 (C1 C2)^½) of Gaussians fitted to rows [n, D] (Heusel et al. 2017)."""
    means = [rows.mean(0) for rows in (first, second)]
    covariances = [np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (first, second)]
    # (C1 C2)^½ has the trace of (C1^½ C2 C1^½)^½, which is symmetric, so its eigenvalues are real also where the
    # covariances are singular.
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)).sum()
    trace = sum(np.trace(c) for c in covariances) - 2 * shared
    return max(0.0, float(np.square(means[0] - means[1]).sum() + trace))


def _share(hole: NDArray[np.bool_] | None, features: Array) -> Array:
    """What each position of maps [C, h, w] weighs, [h, w], together 1."""
    height, width = features.shape[1:]
    if hole is None:
        return np.full((height, width), 1 / (height * width))
    share = cv2.resize(hole.astype(np.float64), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(share / share.sum())


def _unit_length(features: Array) -> Array:
    return features / (np.linalg.norm(features, axis=0, keepdims=True) + _EPSILON)
