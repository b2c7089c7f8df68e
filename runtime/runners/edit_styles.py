"""The styles that an editing session has chosen, and how a choice becomes a feature."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError, StyleError
from runtime.runners.edit_maps import Instance
from runtime.runners.strokes import Region, Size
from runtime.runners.style_encoder import StyleEncoder
from runtime.runners.styles import Style, StyleResolver

Feature = tuple[float, ...]

_NOBODY = -1  # no instance has this id, so a number is taken for a class


@dataclass(frozen=True)
class StyleChoice:
    """Which styles were chosen; whatever is not named gets the one that `seed` draws. Never changed in place.

    Attributes:
        seed: see `Synthesizer.run`.
        instances: instance id → feature.
        classes: class id → feature, for the instances that are not named.
    """

    seed: int = 0
    instances: Mapping[int, Feature] = field(default_factory=dict)
    classes: Mapping[int, Feature] = field(default_factory=dict)

    def of(self, instances: Iterable[Instance]) -> dict[int, Style]:
        """The features of those instances for which one was chosen: `styles=` of `Synthesizer.run`."""
        chosen: dict[int, Style] = {}
        for one in instances:
            feature = self.instances.get(one.id, self.classes.get(one.class_id))
            if feature is not None:
                chosen[one.id] = feature
        return chosen

    def choose(self, instance: int | None, class_id: int, feature: Feature) -> "StyleChoice":
        """With one more: of an instance, or where that is None of a class."""
        if instance is None:
            return replace(self, classes={**self.classes, class_id: feature})
        return replace(self, instances={**self.instances, instance: feature})

    def without(self, gone: Set[int]) -> "StyleChoice":
        """What is left once these instances are gone; itself where they had chosen nothing."""
        if gone.isdisjoint(self.instances):
            return self
        return replace(self, instances={key: one for key, one in self.instances.items() if key not in gone})


def feature_of(resolver: StyleResolver, style: Style, instance: int | None, class_id: int) -> Feature:
    """The feature that a style means for an instance, or where that is None for a class; raises StyleError."""
    key, owner = (class_id, _NOBODY) if instance is None else (instance, instance)
    rows = resolver.resolve({key: style}, 0, np.array([owner], np.int32), np.array([class_id], np.uint8))
    return tuple(rows[0].tolist())


def measure(photo: NDArray[np.uint8], region: Region, size: Size, encoder: StyleEncoder | None) -> NDArray[np.float32]:
    """The style of what a photo shows: in `region` where it has the map's size, else all of it.

    Raises:
        StyleError: there is no encoder.
        InputError: the photo is larger than the map, or no photo.
    """
    if encoder is None:
        raise StyleError("a style was given as a photo, which only an encoder can read; open the editor with encoder=")
    height, width = photo.shape[:2]
    if height > size[0] or width > size[1]:
        raise InputError(
            f"the photo is H×W = {height}×{width}, larger than the map's {size[0]}×{size[1]}; scale it to that "
            "size if it shows the same scene, else cut out the thing whose style is meant"
        )
    regions = np.ones((height, width), np.int32)
    if (height, width) == size:
        regions[:] = 0
        regions[region.box.slices] = region.mask
    styles: dict[int, NDArray[np.float32]] = encoder.run(photo, regions, pad=True)
    return styles[1]
