"""The two maps of an editing session and what is known of their instances, kept up to date box by box."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.labels import MAX_CLASSES, LabelSpec
from runtime.errors import InputError
from runtime.runners.growth import nearest
from runtime.runners.instances import PER_CLASS, classes_of_ids, find_instances, instance_classes
from runtime.runners.strokes import Box, Mask, Region, Size, cut_out

Class = int | str  # its id or name

_THINGS = ("person", "rider", "car", "truck", "bus", "caravan", "trailer", "train", "motorcycle", "bicycle")


@dataclass(frozen=True)
class Instance:
    """What is known of one id.

    Attributes:
        id: as in the instance map.
        class_id: the class of its pixels, but for those of its parts.
        pixels: how many it has.
        body: how many of them are no parts; where there are none, the id says the class.
    """

    id: int
    class_id: int
    pixels: int
    body: int


class EditMaps:
    """Label map and instance map that always agree: every instance has pixels of one class, and of its parts.

    Attributes:
        label_map: uint8 [H, W].
        inst_map: int32 [H, W].
        instances: those that have pixels, by id.
        things: the ids of the classes that have instances.
        labels: the class table.
    """

    def __init__(
        self,
        label_map: NDArray[np.uint8],
        inst_map: NDArray[np.int32],
        labels: LabelSpec,
        things: frozenset[int] | None = None,
    ) -> None:
        """Take over both maps, checked arrays of one shape.

        Args:
            label_map: uint8 [H, W].
            inst_map: int32 [H, W].
            labels: the class table.
            things: see above; None for Cityscapes' and those whose ids differ from the class id.

        Raises:
            InputError: an instance has pixels of several classes that are no parts.
        """
        self.label_map, self.inst_map, self.labels = label_map, inst_map, labels
        self._is_part = labels.is_part
        self.instances = self._count(label_map, inst_map)
        _require_agreement(label_map, inst_map, labels)
        numbered = {one.class_id for one in self.instances.values() if one.id != one.class_id}
        named = {class_id for class_id, name in enumerate(labels.names) if name in _THINGS}
        self.things = frozenset(numbered | named) if things is None else things

    @property
    def size(self) -> Size:
        """(H, W)."""
        height, width = self.label_map.shape
        return height, width

    def counts_after(self, box: Box, labels: NDArray[np.uint8], ids: NDArray[np.int32]) -> dict[int, Instance]:
        """What `instances` will be once `box` holds these labels and ids; only the box is looked at."""
        found = dict(self.instances)
        for old in self._count(self.label_map[box.slices], self.inst_map[box.slices]).values():
            before = found[old.id]
            left = before.body - old.body
            class_id = before.class_id if left else int(classes_of_ids(old.id, self.labels))
            found[old.id] = Instance(old.id, class_id, before.pixels - old.pixels, left)
        for new in self._count(labels, ids).values():
            rest = found.get(new.id, Instance(new.id, new.class_id, 0, 0))
            class_id = rest.class_id if rest.body else new.class_id
            found[new.id] = Instance(new.id, class_id, rest.pixels + new.pixels, rest.body + new.body)
        return {key: one for key, one in found.items() if one.pixels}

    def _count(self, labels: NDArray[np.uint8], ids: NDArray[np.int32]) -> dict[int, Instance]:
        found, labels = find_instances(np.ascontiguousarray(ids)), np.ascontiguousarray(labels)
        rows = found.compact.ravel()
        pixels = np.bincount(rows, minlength=len(found.ids)).tolist()
        bodies = pixels
        if self.labels.parts:
            bodies = np.bincount(rows[~self._is_part[labels.ravel()]], minlength=len(found.ids)).tolist()
        classes = instance_classes(found, labels, self.labels).tolist()
        everything = zip(found.ids.tolist(), classes, pixels, bodies, strict=True)
        return {one: Instance(one, *what) for one, *what in everything}

    def write(
        self, box: Box, labels: NDArray[np.uint8], ids: NDArray[np.int32], instances: dict[int, Instance]
    ) -> None:
        """Put labels and ids into `box`; `instances` is what `counts_after` said."""
        self.label_map[box.slices], self.inst_map[box.slices] = labels, ids
        self.instances = instances

    def id_for(self, class_id: int, is_new: bool, taken: Iterable[int] = ()) -> int:
        """The id that pixels of a class get: a free one for a new object, else the one of all that is no object.

        Args:
            class_id: of the pixels.
            is_new: whether they are an object of their own; ignored for a class that has no instances.
            taken: ids that are not free although no pixel has them yet.
        """
        used = set(self.instances) | set(taken)
        if is_new and class_id in self.things:
            return _free(class_id, used)
        if class_id not in self.instances or self.instances[class_id].class_id == class_id:
            return class_id
        own = [one.id for one in self.instances.values() if one.class_id == class_id]
        return min(own) if own else _free(class_id, used)

    def id_of(self, instance: int | str | None, class_id: int) -> int | None:
        """The id that `Editor.paint` means, None for those that the pixels have.

        Raises:
            InputError: there is no such instance of that class.
        """
        if instance is None or isinstance(instance, str):
            if instance not in (None, "new"):
                raise InputError(f'instance is {instance!r}, expected an id, "new" or None')
            return None if self.is_part(class_id) else self.id_for(class_id, instance == "new")
        found = self.instances[self.require(instance)]
        if found.class_id != class_id and not self.is_part(class_id):
            names = self.labels.names
            raise InputError(
                f"instance {instance} is of class {names[found.class_id]!r}, not {names[class_id]!r}; relabel it first"
            )
        return found.id

    def is_part(self, class_id: int) -> bool:
        """Whether a class is a part of objects."""
        return bool(self._is_part[class_id])

    def class_id(self, class_: Class) -> int:
        """The id of a class's id or name; raises InputError where there is none."""
        count = self.labels.label_nc
        if isinstance(class_, str):
            return self.labels.class_id(class_)
        if isinstance(class_, bool) or not isinstance(class_, int | np.integer) or not 0 <= class_ < count:
            raise InputError(f"class {class_!r} is none of this engine's; give a name, or an id of 0..{count - 1}")
        return int(class_)

    def require(self, instance: Any) -> int:
        """The id of an instance that is there; raises InputError where it is not."""
        is_id = isinstance(instance, int | np.integer) and not isinstance(instance, bool)
        if not is_id or int(instance) not in self.instances:
            raise InputError(f"there is no instance {instance!r} in this scene; `instances` has those that are")
        return int(instance)

    def target(self, target: Class) -> tuple[int | None, int]:
        """(instance, class id) of an instance, or (None, class id) of a class; raises InputError if it is not there."""
        if isinstance(target, int | np.integer) and not isinstance(target, bool) and int(target) in self.instances:
            return int(target), self.instances[int(target)].class_id
        class_id = self.class_id(target)
        if not (self.label_map == class_id).any():
            raise InputError(f"there is no {self.labels.names[class_id]!r} in this scene")
        return None, class_id

    def pixels_of(self, target: Class) -> Region:
        """All pixels of an instance or class."""
        instance, class_id = self.target(target)
        here = self.label_map == class_id if instance is None else self.inst_map == instance
        return cut_out(here, (0, 0), f"{target!r}")

    def is_thing(self, box: Box) -> Mask:
        """Which pixels of `box` are of objects of classes that have instances."""
        found = find_instances(np.ascontiguousarray(self.inst_map[box.slices]))
        of_thing = np.array([self.instances[one].class_id in self.things for one in found.ids.tolist()])
        return np.asarray(of_thing[found.compact])

    def bodies(self, region: Region) -> NDArray[np.uint8]:
        """The class of the object that each marked pixel belongs to, [marked pixels]."""
        inside, position = np.unique(self.inst_map[region.box.slices][region.mask], return_inverse=True)
        return np.array([self.instances[one].class_id for one in inside.tolist()], np.uint8)[position]

    def labels_before(self, moved: Region, dy: int, dx: int) -> NDArray[np.uint8]:
        """The labels of the pixels that a move by dx, dy brings to `moved`, [marked pixels]."""
        y, x = np.nonzero(moved.mask)
        return self.label_map[y + moved.box.top - dy, x + moved.box.left - dx]

    def cut(self, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Copies of the labels and ids of a box."""
        return self.label_map[box.slices].copy(), self.inst_map[box.slices].copy()

    def without(self, region: Region, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Labels and ids of `box` with what surrounds `region`, a part of it, grown in.

        Raises:
            InputError: nothing would be left that could grow.
        """
        hole = np.zeros(self.size, np.bool_)
        hole[region.box.slices] = region.mask
        area = ~hole & ~self.is_thing(Box(0, 0, *self.size))
        known = next((one for one in (area & ~self._is_part[self.label_map], area, ~hole) if one.any()), hole[:0])
        if not known.any():
            raise InputError("nothing would be left that could grow in; give fill=<class>, or paint another class")
        source = nearest(known, region)
        labels, ids = self.cut(box)
        labels[hole[box.slices]] = self.label_map.ravel()[source]
        ids[hole[box.slices]] = self.inst_map.ravel()[source]
        return labels, ids


def _free(class_id: int, used: set[int]) -> int:
    """The first free id of the class's thousand, or any beyond all thousands."""
    if class_id:
        for number in range(PER_CLASS * class_id, PER_CLASS * (class_id + 1)):
            if number not in used:
                return number
    number = MAX_CLASSES * PER_CLASS
    while number in used:
        number += 1
    return number


def _require_agreement(label_map: NDArray[np.uint8], inst_map: NDArray[np.int32], labels: LabelSpec) -> None:
    found = find_instances(inst_map)
    classes = instance_classes(found, label_map, labels)
    other = (classes[found.compact] != label_map) & ~labels.is_part[label_map]
    if other.any():
        instance = int(inst_map[other][0])
        seen = np.setdiff1d(label_map[inst_map == instance], labels.parts)
        raise InputError(
            f"inst_map: the instance {instance} has pixels of {', '.join(repr(labels.names[c]) for c in seen)}, "
            "expected one class for each instance; number them apart"
        )
