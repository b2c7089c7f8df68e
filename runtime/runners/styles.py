"""Chooses the style of each instance: the feature vector that the network paints it with (pix2pixHD section 3.4)."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.engines.labels import LabelSpec
from runtime.engines.spec import StyleBank
from runtime.errors import StyleError

# Instance id, class id or class name → index of one of the class's centres, or the feature itself.
Style = int | ArrayLike
Styles = Mapping[int, Style] | Mapping[str, Style] | Mapping[int | str, Style]

_SHOWN = 20


def styles_from_json(text: str, source: str) -> Styles:
    """`styles=` of `Synthesizer.run` from a JSON object; keys of digits are ids.

    Raises:
        StyleError: it is no JSON object; names `source`.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StyleError(f'{source} is not JSON ({error}); write it like {{"car": 2, "26001": 0}}') from error
    if not isinstance(document, dict):
        raise StyleError(f'{source} is no JSON object; write it like {{"car": 2, "26001": 0}}')
    return {int(key) if re.fullmatch(r"[0-9]{1,10}", key) else key: value for key, value in document.items()}


@dataclass(frozen=True)
class StyleResolver:
    """Resolves `styles=` of `Synthesizer.run` for one engine.

    Attributes:
        bank: the engine's style centres.
        labels: its class table.
    """

    bank: StyleBank
    labels: LabelSpec

    def resolve(
        self, styles: Styles | None, seed: int, ids: NDArray[np.int32], classes: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        """Features of the instances of one image.

        Args:
            styles: what the caller asks for; see `Synthesizer.run`.
            seed: chooses the centre of every instance that `styles` says nothing about.
            ids: instance ids [k].
            classes: class id of each instance [k].

        Returns:
            float32 [k, F]; zeros for an instance whose class has no styles.

        Raises:
            StyleError: a key is not in the image, or a value is no style; names the valid choices.
        """
        by_instance, by_class = self._sort_keys({} if styles is None else styles, ids, classes)
        rows = np.zeros((len(ids), self.bank.feat_num), np.float32)
        for row, (instance, class_id) in enumerate(zip(ids.tolist(), classes.tolist(), strict=True)):
            if instance in by_instance:
                rows[row] = self._feature(by_instance[instance], instance, class_id)
            elif class_id in by_class:
                rows[row] = self._feature(by_class[class_id], None, class_id)
            elif class_id in self.bank.centres:
                centres = self.bank.centres[class_id]
                # Its own generator: the style of an instance does not change when another one comes or goes.
                rows[row] = centres[np.random.default_rng([seed, instance]).integers(len(centres))]
        return rows

    def _sort_keys(
        self, styles: Styles, ids: NDArray[np.int32], classes: NDArray[np.uint8]
    ) -> tuple[dict[int, Style], dict[int, Style]]:
        """Split `styles` into values by instance id and values by class id."""
        if not isinstance(styles, Mapping):
            raise StyleError(f"styles is a {type(styles).__name__}, expected a dict from instance or class to style")
        present_ids, present_classes = set(ids.tolist()), set(classes.tolist())
        by_instance: dict[int, Style] = {}
        by_class: dict[int, Style] = {}
        for key, value in styles.items():
            is_integer = isinstance(key, int | np.integer) and not isinstance(key, bool)
            if is_integer and int(key) in present_ids:
                by_instance[int(key)] = value
                continue
            class_id = self._class_id(key, is_integer)
            if class_id not in present_classes:
                raise StyleError(self._absent(key, present_ids, present_classes))
            if class_id in by_class:
                raise StyleError(f"styles names the class {self.labels.names[class_id]!r} twice, by id and by name")
            by_class[class_id] = value
        return by_instance, by_class

    def _class_id(self, key: int | str, is_integer: bool) -> int:
        if is_integer:
            return int(key)
        if not isinstance(key, str):
            raise StyleError(f"styles: key {key!r} is neither an instance id, a class id nor a class name")
        if key not in self.labels.names:
            raise StyleError(f"styles: unknown class {key!r}; this engine's classes are {', '.join(self.labels.names)}")
        return self.labels.class_id(key)

    def _absent(self, key: int | str, ids: set[int], classes: set[int]) -> str:
        names = _listed(f"{self.labels.names[class_id]!r} ({class_id})" for class_id in sorted(classes))
        return (
            f"styles: {key!r} is not in this image; its classes are {names}; its instances are {_listed(sorted(ids))}"
        )

    def _feature(self, value: Style, instance: int | None, class_id: int) -> NDArray[np.float32]:
        name = self.labels.names[class_id]
        owner = f"styles of class {name!r}" if instance is None else f"styles of instance {instance} (class {name!r})"
        if isinstance(value, int | np.integer) and not isinstance(value, bool):
            return self._centre(int(value), owner, class_id)
        wanted = f"an index of a style or {self.bank.feat_num} finite numbers"
        try:
            feature = np.asarray(value)
        except (ValueError, TypeError, RuntimeError, OverflowError) as error:
            raise StyleError(f"{owner}: {value!r} is no style, expected {wanted}") from error
        if feature.dtype.kind not in "iuf" or feature.shape != (self.bank.feat_num,):
            shown = value if isinstance(value, bool | str | Real) else f"{feature.dtype} {list(feature.shape)}"
            raise StyleError(f"{owner}: got {shown!r}, expected {wanted}")
        with np.errstate(over="ignore"):
            rounded = feature.astype(np.float32)
        if not np.isfinite(rounded).all():
            raise StyleError(f"{owner}: the values {feature.tolist()} are not finite, expected {wanted}")
        return rounded

    def _centre(self, index: int, owner: str, class_id: int) -> NDArray[np.float32]:
        centres = self.bank.centres.get(class_id)
        if not centres:
            having = _listed(repr(self.labels.names[c]) for c in sorted(self.bank.centres) if c < self.labels.label_nc)
            raise StyleError(f"{owner}: this class has no styles in the engine; those that have are {having or 'none'}")
        if not 0 <= index < len(centres):
            raise StyleError(f"{owner}: style {index} does not exist, choose 0 to {len(centres) - 1}")
        return np.array(centres[index], np.float32)


def _listed(items: Iterable[object]) -> str:
    names = [str(item) for item in items]
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
