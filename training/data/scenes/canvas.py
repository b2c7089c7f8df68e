"""The picture while it is painted: photo, object ids and shadows together."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.data.scenes.camera_and_light import Camera, Light
from training.data.scenes.foliage import Crown
from training.data.scenes.labels import THINGS, Label, Part
from training.data.scenes.materials import Bytes, Floats

SUBPIXEL = 4  # fractional bits of polygon corners


def _bytes(colour: ArrayLike) -> tuple[int, int, int]:
    """Converts a colour in [0, 1] to the tuple that OpenCV draws with."""
    red, green, blue = (int(v) for v in np.clip(np.asarray(colour) * 255, 0, 255))
    return red, green, blue


class Canvas:
    """The photo and the buffer of ids, painted together from far to near."""

    def __init__(self, camera: Camera, light: Light, noise: Floats, crowns: Sequence[Crown]) -> None:
        self.camera, self.light, self.noise, self.crowns = camera, light, noise, crowns
        self.ids = np.zeros((camera.height, camera.width), np.int32)
        self.photo = np.zeros((camera.height, camera.width, 3), np.uint8)
        self.shadow = np.zeros((max(camera.height // 4, 1), max(camera.width // 4, 1)), np.uint8)
        self.table: list[tuple[int, int, float]] = []
        self._counts: dict[int, int] = {}
        self._parts: dict[Part, int] = {}
        self.current = 0

    def begin(self, label: Label, depth: float, part: Part | None = None) -> None:
        """Starts a new object of a class at a distance in metres; 0 means that haze is applied already.

        Where a part is named, the object is nothing but that.
        """
        number = self._counts.get(label, 0)
        self._counts[label] = number + 1
        self.current = len(self.table)
        self._parts.clear()
        self.table.append((int(part or label), label * 1000 + number if label in THINGS else int(label), depth))

    def entry(self, part: Part | None) -> int:
        """The id of a part of the current object, or of what of it is no part."""
        if part is None:
            return self.current
        if part not in self._parts:
            self._parts[part] = len(self.table)
            self.table.append((int(part), *self.table[self.current][1:]))
        return self._parts[part]

    def claim(self, points: ArrayLike) -> None:
        """Gives a polygon [N, 2] in pixels to the current object and leaves the photo as it is."""
        cv2.fillPoly(self.ids, [self.fixed_point(points)], self.current, shift=SUBPIXEL)

    def fill(self, points: ArrayLike, colour: ArrayLike, part: Part | None = None) -> None:
        """Fills a polygon [N, 2] in pixels in the photo and gives it to the current object."""
        corners = self.fixed_point(points)
        cv2.fillPoly(self.ids, [corners], self.entry(part), shift=SUBPIXEL)
        cv2.fillPoly(self.photo, [corners], _bytes(colour), shift=SUBPIXEL)

    def detail(self, points: ArrayLike, colour: ArrayLike, part: Part | None = None) -> None:
        """Fills a polygon [N, 2] only where the current object is; where it is no part, in the photo only."""
        corners = np.asarray(points, np.float32)
        left, top, right, bottom = self.window(corners)
        if right <= left or bottom <= top:
            return
        window = np.s_[top:bottom, left:right]
        patch = self.photo[window].copy()
        inside = self.fixed_point(corners - np.array([left, top], np.float32))
        cv2.fillPoly(patch, [inside], _bytes(colour), lineType=cv2.LINE_AA, shift=SUBPIXEL)
        own = (self.ids[window] >= self.current).view(np.uint8)  # the current object's entries are the last ones
        cv2.copyTo(patch, own, self.photo[window])
        if part is not None:
            inner = np.zeros_like(own)
            cv2.fillPoly(inner, [inside], 1, shift=SUBPIXEL)
            self.ids[window][(inner & own) > 0] = self.entry(part)

    def mark(self, points: ArrayLike, colour: ArrayLike, over: Label | None = None) -> None:
        """Fills a polygon [N, 2] on the bare ground, in the photo; what of a class it is `over` is the object's."""
        cv2.fillPoly(self.photo, [self.fixed_point(points)], _bytes(colour), lineType=cv2.LINE_AA, shift=SUBPIXEL)
        corners = np.asarray(points, np.float32)
        left, top, right, bottom = self.window(corners)
        if over is None or right <= left or bottom <= top:
            return
        ids = self.ids[top:bottom, left:right]
        inside = np.zeros(ids.shape, np.uint8)
        cv2.fillPoly(inside, [self.fixed_point(corners - np.array([left, top], np.float32))], 1, shift=SUBPIXEL)
        labels = np.array([row[0] for row in self.table])
        ids[(inside > 0) & (labels[ids] == over)] = self.current

    def stamp(self, mask: NDArray[np.bool_], left: int, top: int, pixels: Bytes, parts: Bytes | None = None) -> None:
        """Copies pixels [h, w, 3] where the mask [h, w] is set and gives them to the current object.

        `parts` [h, w] names the part of each pixel, 0 being none.
        """
        window = np.s_[top : top + mask.shape[0], left : left + mask.shape[1]]
        cv2.copyTo(pixels, mask.astype(np.uint8), self.photo[window])
        self.ids[window][mask] = self.current
        for part in () if parts is None else np.unique(parts[mask]):
            if part:
                self.ids[window][mask & (parts == part)] = self.entry(Part(int(part)))

    def cast(self, points: ArrayLike, strength: float) -> None:
        """Darkens the ground under the convex hull of world points [N, 3]; only before the ground is painted."""
        hull = cv2.convexHull(self.camera.project(points) / 4)
        layer = np.zeros_like(self.shadow)
        cv2.fillPoly(layer, [self.fixed_point(hull[:, 0])], int(255 * strength), shift=SUBPIXEL)
        np.maximum(self.shadow, layer, out=self.shadow)

    def window(self, points: Floats) -> tuple[int, int, int, int]:
        """Returns left, top, right and bottom of the part of the picture around points [N, 2]."""
        low, high = np.floor(points.min(0)) - 1, np.ceil(points.max(0)) + 2
        left, top = (int(v) for v in np.maximum(low, 0))
        return left, top, int(min(high[0], self.camera.width)), int(min(high[1], self.camera.height))

    def fixed_point(self, points: ArrayLike) -> NDArray[np.int32]:
        """Rounds corners to fixed point; the limit keeps them inside of what OpenCV can clip."""
        limit = 32 * self.camera.width
        return np.asarray(np.round(np.clip(np.asarray(points), -limit, limit) * (1 << SUBPIXEL)), np.int32)
