"""Ways to fill a hole that are compared: two without learning, and a checkpoint's system, whole and in part."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from runtime.errors import InputError
from training.checkpoint import Checkpoint
from training.networks.inpainting import Inpainting
from training.networks.layers import to_pixels, to_unit_range
from training.system import inference_device

Fill = Callable[[NDArray[np.uint8], NDArray[np.bool_]], NDArray[np.uint8]]
"""RGB uint8 [H, W, 3] and hole, bool [H, W] → the completed image; known pixels as given."""

_RADIUS = 3  # pixels, as in OpenCV's examples; both methods look no further


def telea(image: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fast marching from the hole's edge inwards (Telea 2004)."""
    return np.asarray(cv2.inpaint(image, hole.astype(np.uint8), _RADIUS, cv2.INPAINT_TELEA), np.uint8)


def navier_stokes(image: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Lines of equal brightness are carried on into the hole as in a flow (Bertalmio et al. 2001)."""
    return np.asarray(cv2.inpaint(image, hole.astype(np.uint8), _RADIUS, cv2.INPAINT_NS), np.uint8)


BASELINES: Mapping[str, Fill] = {"Telea": telea, "Navier-Stokes": navier_stokes}


@dataclass(frozen=True)
class Trained:
    """A checkpoint of the inpainting system.

    Attributes:
        name: in tables.
        path: its file.
        checkpoint: what it holds.
    """

    name: str
    path: Path
    checkpoint: Checkpoint

    def fills(self, scales: int, iterations: int) -> Iterator[tuple[str, Fill]]:
        """Its ways to fill by title: Infer alone, without Match, the whole, the whole repeated."""
        yield f"{self.name}: Image2Feature", NetworkFill(self.checkpoint, scales, coarse=True)
        yield f"{self.name}: no swap", NetworkFill(self.checkpoint, scales, swap=False)
        yield self.name, NetworkFill(self.checkpoint, scales)
        if iterations > 1:
            yield f"{self.name}, {iterations} iterations", NetworkFill(self.checkpoint, scales, iterations)

    def require_size(self, size: tuple[int, int], scales: int) -> None:
        """Raise InputError where the networks do not take images of [H, W] = `size` at so many scales."""
        multiple = self.checkpoint.architecture.size_multiple * 2 ** (scales - 1)
        least = self.checkpoint.architecture.smallest_side * 2 ** (scales - 1)
        if any(side % multiple or side < least for side in size):
            raise InputError(
                f"{self.path} takes images whose sides are multiples of {multiple} and at least {least} at {scales} "
                f"scales, received {size[0]}×{size[1]}; choose another --size or --scales"
            )


class NetworkFill:
    """`Fill` by a checkpoint's networks, on the accelerator if there is one."""

    def __init__(
        self, checkpoint: Checkpoint, scales: int, iterations: int = 1, swap: bool = True, coarse: bool = False
    ) -> None:
        self.device = inference_device()
        system = Inpainting(checkpoint.build(), scales, iterations, swap).eval().to(self.device)
        self._complete = system.coarse if coarse else system

    @torch.no_grad()
    def __call__(self, image: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
        known = to_unit_range(torch.from_numpy(image)[None].to(self.device))
        missing = torch.from_numpy(hole)[None, None].to(self.device, torch.float32)
        made = to_pixels(self._complete(known, missing))[0].cpu().numpy()
        return np.where(hole[..., None], made, image)


class CheckpointFeatures:
    """A checkpoint's own feature network as a `training.evaluation.features.FeatureSource`."""

    def __init__(self, trained: Trained) -> None:
        self.path, self.device = trained.path, inference_device()
        self._features = trained.checkpoint.build()["features"].to(self.device)

    @torch.no_grad()
    def __call__(self, photo: NDArray[np.uint8]) -> list[NDArray[Any]]:
        image = to_unit_range(torch.from_numpy(photo)[None].to(self.device))
        return [self._features(image).cpu().numpy()]
