"""Semantic manipulation (pix2pixHD, section 3.4): a scene whose objects are painted, moved, relabelled and restyled."""

from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.errors import InputError, StyleError
from runtime.runners.canvas import sky_over_ground
from runtime.runners.checks import check_inst_map, check_integer_maps, check_label_ids, check_seed, engine_size
from runtime.runners.edit_history import Change, History, pack, unpack
from runtime.runners.edit_maps import Class, EditMaps, Instance
from runtime.runners.edit_session import Session, SessionFile, read_session, write_session
from runtime.runners.edit_styles import Feature, StyleChoice, feature_of, measure
from runtime.runners.runner import Notify, ignore
from runtime.runners.strokes import Box, Region, cut_out
from runtime.runners.style_encoder import StyleEncoder
from runtime.runners.styles import Style, StyleResolver
from runtime.runners.synthesizer import Synthesizer, instance_limit

HISTORY_BYTES = 2**28
Marked = ArrayLike | Region


class Editor:
    """An editing session over a synthesizer: label map, instance map and styles, and all that was done to them.

    Coordinates are pixels, x to the right and y down. A mask is bool or uint8 [H, W], not zero = marked, or a `Region`
    of `runtime.runners.strokes`, with which an operation costs what its box costs. An operation that cannot be done
    raises and changes nothing. Not for several threads at once.

    A class has instances if Cityscapes numbers them (person, rider, car, …) or the given inst_map does: other ids than
    the class's own. All pixels of another class have one id, that of the class where it is free.

    Attributes:
        synthesizer: what renders.
        encoder: what reads styles out of photos; None where there is none.
        changed: box of the pixels that the last operation may show in; None before the first.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        label_map: ArrayLike | None = None,
        inst_map: ArrayLike | None = None,
        *,
        encoder: StyleEncoder | None = None,
        seed: int = 0,
        history_bytes: int = HISTORY_BYTES,
    ) -> None:
        """Begin a session on copies of the maps.

        Args:
            synthesizer: of the classes that are edited.
            label_map: class ids, integers [H, W] of a size that the engine takes; None for sky over ground.
            inst_map: instance ids of the same shape, each of one class and its parts; None for one id per class.
            encoder: for `restyle` by a photo.
            seed: draws the styles that nobody chooses.
            history_bytes: what `undo` and `redo` may take; the oldest changes are forgotten beyond.

        Raises:
            InputError: a map does not fit the engine, or an instance has several classes.
        """
        if label_map is None:
            if inst_map is not None:
                raise InputError("inst_map is given without a label_map; give both, or none")
            label_map = sky_over_ground(synthesizer)
        labels, ids = _checked(synthesizer, label_map, inst_map)
        self._begin(synthesizer, EditMaps(labels, ids, synthesizer.labels), History(history_bytes), encoder)
        self._styles = StyleChoice(check_seed(seed))

    def _begin(self, synthesizer: Synthesizer, maps: EditMaps, history: History, encoder: StyleEncoder | None) -> None:
        self.synthesizer, self.encoder = synthesizer, encoder
        self.changed: Box | None = None
        self._maps, self._history = maps, history
        self._check_count(maps.instances)

    @property
    def label_map(self) -> NDArray[np.uint8]:
        """A copy of the class ids, uint8 [H, W]."""
        return self._maps.label_map.copy()

    @property
    def inst_map(self) -> NDArray[np.int32]:
        """A copy of the instance ids, int32 [H, W]."""
        return self._maps.inst_map.copy()

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the maps."""
        return self._maps.size

    def cut(self, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Copies of both maps within a box."""
        return self._maps.cut(box)

    @property
    def instances(self) -> Mapping[int, Instance]:
        """All instances by id, with class and number of pixels."""
        return dict(self._maps.instances)

    @property
    def seed(self) -> int:
        """Draws the styles that nobody chose."""
        return self._styles.seed

    def has_instances(self, class_: Class) -> bool:
        """Whether objects of a class are told apart."""
        return self._maps.class_id(class_) in self._maps.things

    def instance_at(self, x: int, y: int) -> int:
        """The instance under a pixel."""
        height, width = self.size
        if not (0 <= x < width and 0 <= y < height):
            raise InputError(f"there is no pixel x = {x}, y = {y} in a map of H×W = {height}×{width}")
        return int(self._maps.inst_map[y, x])

    def require(self, instance: Any) -> int:
        """The id of an instance of the scene; raises InputError where it is none."""
        return self._maps.require(instance)

    def pixels_of(self, target: Class) -> Region:
        """All pixels of an instance id, a class id or a class name; an instance goes before its class."""
        return self._maps.pixels_of(target)

    def paint(self, mask: Marked, class_: Class, instance: int | Literal["new"] | None = None) -> int:
        """Give all marked pixels one class.

        Args:
            mask: the pixels.
            class_: id or name.
            instance: "new" for an object of its own; an id of that class for a part of that object; None for no object
                in particular. A class that has no instances gets none; a part stays with the objects it is painted on.

        Returns:
            The id that the pixels have now; of a part on several objects that of the first one.
        """
        class_id = self._maps.class_id(class_)
        region = Region.of(mask, self.size)
        given = self._maps.id_of(instance, class_id)
        labels, ids = self._maps.cut(region.box)
        new_id = int(ids[region.mask][0]) if given is None else given
        labels[region.mask] = class_id
        if given is not None:
            ids[region.mask] = given
        self._apply(region.box, labels, ids)
        return new_id

    def add_object(self, class_: Class, mask: Marked) -> int:
        """Paint a new object and return its id."""
        return self.paint(mask, class_, "new")

    def relabel(self, target: int | Marked, class_: Class) -> None:
        """Give an instance, or the marked part of every instance, another class; objects stay apart."""
        class_id = self._maps.class_id(class_)
        is_instance = isinstance(target, int | np.integer) and not isinstance(target, bool)
        region = self._maps.pixels_of(self._maps.require(target)) if is_instance else Region.of(target, self.size)
        if self._maps.is_part(class_id):
            self.paint(region, class_id)
            return
        labels, ids = self._maps.cut(region.box)
        inside = ids[region.mask]
        given: dict[int, int] = {}
        for one in np.unique(inside).tolist():
            is_new = self._maps.instances[one].class_id != class_id
            given[one] = self._maps.id_for(class_id, True, given.values()) if is_new else one
        labels[region.mask] = class_id
        old, position = np.unique(inside, return_inverse=True)
        ids[region.mask] = np.array([given[one] for one in old.tolist()], np.int32)[position]
        self._apply(region.box, labels, ids)

    def erase(self, mask: Marked) -> None:
        """Take away the marked parts of objects: what is around them grows in, as in `remove_object`.

        What is marked on no object, such as the lines of a road, becomes what it is a part of.
        """
        region = Region.of(mask, self.size)
        covered = region.mask & self._maps.is_thing(region.box)
        if not covered.any():
            labels, ids = self._maps.cut(region.box)
            labels[region.mask] = self._maps.bodies(region)
            self._apply(region.box, labels, ids)
        if covered.any():
            objects = cut_out(covered, (region.box.top, region.box.left), "mask")
            self._apply(objects.box, *self._maps.without(objects, objects.box))

    def remove_object(self, instance: int, fill: Class | None = None) -> None:
        """Take an object out of the scene.

        Args:
            instance: its id.
            fill: class of what was behind it; None for the surrounding classes grown in, each pixel as the nearest one
                that belongs to no object.
        """
        region = self.pixels_of(self._maps.require(instance))
        if fill is not None:
            self.paint(region, fill)
        else:
            self._apply(region.box, *self._maps.without(region, region.box))

    def move_object(self, instance: int, dx: int, dy: int) -> None:
        """Move an object by whole pixels; what was behind it grows in. What leaves the map is lost."""
        dx, dy = _whole(dx, "dx"), _whole(dy, "dy")
        region = self.pixels_of(self._maps.require(instance))
        moved = region.shifted(dy, dx, self.size)
        box = region.box.union(moved.box)
        labels, ids = self._maps.without(region, box)
        inner = moved.box.within(box)
        labels[inner][moved.mask] = self._maps.labels_before(moved, dy, dx)
        ids[inner][moved.mask] = instance
        self._apply(box, labels, ids)

    def duplicate(self, instance: int, dx: int, dy: int) -> int:
        """Paint a copy of an object dx, dy away, in the style of the original; return the copy's id."""
        dx, dy = _whole(dx, "dx"), _whole(dy, "dy")
        moved = self.pixels_of(self._maps.require(instance)).shifted(dy, dx, self.size)
        class_id = self._maps.instances[instance].class_id
        new_id = self._maps.id_for(class_id, True)
        feature = self.style_of(instance)
        styles = self._styles
        if feature is not None and class_id in self._maps.things:
            styles = styles.choose(new_id, class_id, feature)
        labels, ids = self._maps.cut(moved.box)
        labels[moved.mask], ids[moved.mask] = self._maps.labels_before(moved, dy, dx), new_id
        self._apply(moved.box, labels, ids, styles)
        return new_id

    def restyle(self, target: Class, style: Style) -> None:
        """Choose the look of an instance, or of all of a class that no instance has chosen otherwise.

        Args:
            target: instance id, class id or class name; an instance goes before its class.
            style: index of one of the class's styles; the feature itself; or a photo, RGB uint8 [h, w, 3], no larger
                than the map. One of the map's size shows this scene and is measured where the target is; a smaller
                one shows such a thing alone.
        """
        instance, class_id = self._maps.target(target)
        if instance is None and self._maps.is_part(class_id):
            name = self._maps.labels.names[class_id]
            raise InputError(f"{name!r} is a part and looks like its object; restyle that, or one of its instances")
        resolver, region = self._resolver(), self.pixels_of(target)
        if isinstance(style, np.ndarray) and style.ndim == len("HWC"):
            style = measure(style, region, self.size, self.encoder)
        feature = feature_of(resolver, style, instance, class_id)
        self._restyle(region.box, self._styles.choose(instance, class_id, feature))

    def shuffle_styles(self, seed: int) -> None:
        """Draw all styles anew; those that were chosen are let go."""
        self._resolver()
        self._restyle(Box(0, 0, *self.size), StyleChoice(check_seed(seed)))

    def style_of(self, instance: int) -> Feature | None:
        """The feature that an instance is drawn with; None where the engine has none."""
        if self.synthesizer.resolver is None:
            return None
        one = self._maps.instances[self._maps.require(instance)]
        chosen = self._styles.of([one])
        ids, classes = np.array([one.id], np.int32), np.array([one.class_id], np.uint8)
        return tuple(self.synthesizer.resolver.resolve(chosen, self.seed, ids, classes)[0].tolist())

    def undo(self) -> bool:
        """Take the last change back; False where there is none."""
        return self._step(self._history.done, self._history.undone)

    def redo(self) -> bool:
        """Do again what was taken back; False where there is nothing."""
        return self._step(self._history.undone, self._history.done)

    @property
    def steps(self) -> tuple[int, int]:
        """How often `undo` and `redo` have something to do."""
        return len(self._history.done), len(self._history.undone)

    @property
    def history_bytes(self) -> int:
        """What the history takes."""
        return self._history.bytes

    def scene(self) -> dict[str, Any]:
        """What `render` calls the synthesizer with: copies, for one that renders while the session goes on."""
        arguments: dict[str, Any] = {"label_map": self.label_map, "seed": self.seed}
        if self.synthesizer.uses_instances:
            arguments["inst_map"] = self.inst_map
        if self.synthesizer.resolver is not None:
            arguments["styles"] = self._styles.of(self._maps.instances.values())
        return arguments

    def render(self) -> NDArray[np.uint8]:
        """The photo of the scene as it is, RGB uint8 [H, W, 3]."""
        return self.synthesizer.run(**self.scene())

    def save(self, path: SessionFile) -> None:
        """Write everything, the history too, as one .npz; the same session gives the same bytes. See `Editor.open`.

        Args:
            path: the file, or a binary stream.

        Raises:
            OutputError: the file cannot be written; then the previous one stays.
        """
        write_session(path, Session(self.synthesizer.spec, self._maps, self._styles, self._history))

    @classmethod
    def open(
        cls,
        path: SessionFile,
        synthesizer: Synthesizer,
        *,
        encoder: StyleEncoder | None = None,
        history_bytes: int = HISTORY_BYTES,
        notify: Notify | None = None,
    ) -> Self:
        """Go on with a session that `save` wrote.

        Args:
            path: the file, or a binary stream that can be wound back.
            synthesizer: the same engine, or another one of the same classes.
            encoder: as for a new session.
            history_bytes: as for a new session.
            notify: called with a sentence where it was another engine, or styles could not be kept.

        Raises:
            MissingFileError: nothing is there.
            SessionError: damaged, no session, or of an engine of other classes.
            InputError: the maps are not of a size that the engine takes.
        """
        session = read_session(path, synthesizer.spec, history_bytes, notify or ignore)
        _checked(synthesizer, session.maps.label_map, session.maps.inst_map)
        editor = cls.__new__(cls)
        editor._begin(synthesizer, session.maps, session.history, encoder)
        editor._styles = session.styles
        return editor

    def _resolver(self) -> StyleResolver:
        if self.synthesizer.resolver is None:
            raise StyleError("this engine has no style features, so nothing can be restyled")
        return self.synthesizer.resolver

    def _apply(
        self, box: Box, labels: NDArray[np.uint8], ids: NDArray[np.int32], styles: StyleChoice | None = None
    ) -> None:
        """Let `box` hold these labels and ids, unless it does already; the one place where maps change."""
        differs = (labels != self._maps.label_map[box.slices]) | (ids != self._maps.inst_map[box.slices])
        if not differs.any():
            return
        inner = cut_out(differs, (box.top, box.left), "change").box
        labels, ids = labels[inner.within(box)], ids[inner.within(box)]
        instances = self._maps.counts_after(inner, labels, ids)
        self._check_count(instances)
        kept = (styles or self._styles).without(self._maps.instances.keys() - instances.keys())
        self._history.record(Change(inner, pack(*self._maps.cut(inner)), self._styles, kept is not self._styles))
        self._maps.write(inner, labels, ids, instances)
        self._styles, self.changed = kept, inner

    def _restyle(self, box: Box, styles: StyleChoice) -> None:
        if styles != self._styles:
            self._history.record(Change(box, b"", self._styles, True))
            self._styles, self.changed = styles, box

    def _step(self, source: list[Change], target: list[Change]) -> bool:
        if not source:
            return False
        change = source[-1]
        box, pixels = change.box, b""
        if change.pixels:
            pixels = pack(*self._maps.cut(box))
            labels, ids = unpack(change.pixels, box)
            self._maps.write(box, labels, ids, self._maps.counts_after(box, labels, ids))
        self._history.step(source, target, Change(box, pixels, self._styles, change.replaces_styles))
        self._styles, self.changed = change.styles, box
        return True

    def _check_count(self, instances: Mapping[int, Instance]) -> None:
        limit = instance_limit(self.synthesizer.spec)
        if len(instances) > limit:
            raise InputError(
                f"the scene would have {len(instances)} instances, this engine takes up to {limit}; remove or merge "
                "objects first"
            )


def _checked(
    synthesizer: Synthesizer, label_map: ArrayLike, inst_map: ArrayLike | None
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Copies of both maps, each [H, W]; raises InputError where they do not fit the engine."""
    maps = check_integer_maps(label_map, "label_map", "class ids")
    if np.ndim(label_map) != len("HW"):
        raise InputError(f"label_map has shape {list(maps.shape)}, expected one map [H, W]: an editor has one scene")
    height, width = maps.shape[1:]
    engine_size("label_map", (height, width), synthesizer.spec, pad=False)
    labels = check_label_ids(maps, synthesizer.labels, None)
    ids = labels if inst_map is None else check_inst_map(inst_map, (height, width))
    return labels[0].astype(np.uint8), ids[0].astype(np.int32)


def _whole(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"{name} is {value!r}, expected whole pixels")
    return int(value)
