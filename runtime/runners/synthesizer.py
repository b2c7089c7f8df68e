"""Label map in, photo out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.engines.backend import Engine
from runtime.engines.engine import AUTO, EngineFile
from runtime.engines.labels import LabelSpec
from runtime.engines.rendering import render_in_batches, require_output
from runtime.engines.spec import EngineSpec, StyleBank
from runtime.errors import InputError, StyleError
from runtime.runners.checks import (
    check_inst_map,
    check_integer_maps,
    check_label_ids,
    check_seed,
    engine_size,
    pad_to,
)
from runtime.runners.examples import Size, example_ids, example_instances, example_size
from runtime.runners.instances import find_instances, instance_classes
from runtime.runners.runner import Runner
from runtime.runners.styles import StyleResolver, Styles


@dataclass(frozen=True)
class Scene:
    """One checked image at the engine's size.

    Attributes:
        label_map: uint8 [H, W].
        inst_map: int32 [H, W] where the network uses instances; compact indices where it has features.
        styles: float32 [k, F] where it has features; row i belongs to compact index i.
    """

    label_map: NDArray[np.uint8]
    inst_map: NDArray[np.int32] | None = None
    styles: NDArray[np.float32] | None = None


class Synthesizer(Runner):
    """Runs a generator of label maps. See `Runner` for what all runners share."""

    kind = "synthesizer"

    def __init__(
        self, engine: EngineFile | Engine, device: str = AUTO, *, backend: str = AUTO, threads: int | None = None
    ) -> None:
        """Load the engine; arguments and errors as in `runtime.engines.engine.open_engine`."""
        super().__init__(engine, device, backend=backend, threads=threads)
        tensor = self.spec.input("styles")
        bank = self.spec.styles or StyleBank(int(tensor.shape[2]) if tensor else 0, {})
        self.resolver = StyleResolver(bank, self.labels) if tensor else None

    @classmethod
    def example(
        cls, spec: EngineSpec, size: Size | None = None, *, noise: bool = False, seed: int = 0
    ) -> dict[str, NDArray[Any]]:
        """See `Runner.example`: a label map, and an instance map where the engine uses one."""
        assert spec.labels  # open_engine refuses such an engine
        size = size or example_size(spec)
        arrays: dict[str, NDArray[Any]] = {"label_map": example_ids(size, spec.labels.label_nc, noise=noise, seed=seed)}
        if spec.input("inst_map"):
            arrays["inst_map"] = example_instances(size, instance_limit(spec))
        return arrays

    @property
    def uses_instances(self) -> bool:
        """Whether `run` wants an inst_map."""
        return self.spec.input("inst_map") is not None

    @property
    def labels(self) -> LabelSpec:
        """The engine's classes."""
        assert self.spec.labels is not None  # open_engine refuses such an engine
        return self.spec.labels

    def run(
        self,
        label_map: ArrayLike,
        inst_map: ArrayLike | None = None,
        *,
        styles: Styles | None = None,
        seed: int = 0,
        unknown: int | None = None,
        edges_from_labels: bool = False,
        pad: bool = False,
    ) -> NDArray[np.uint8]:
        """Synthesise a photo of every label map. Same input, same seed: same bytes.

        Args:
            label_map: class ids, integers [H, W] or [N, H, W]. A batch of N equals N single calls.
            inst_map: instance ids of the same shape, 0 to 2³¹ − 1, for an engine that uses instances.
            styles: for an engine with style features: what single instances look like. A key is an instance id, a class
                id or a class name; an instance goes before its class. A value is the index of one of the class's
                styles, or the feature itself, F numbers (as `StyleEncoder.run` gives them).
            seed: ≥ 0; chooses the style of every instance that `styles` does not name.
            unknown: class id that replaces all ids which the engine does not know; None to refuse them.
            edges_from_labels: without an inst_map, take the areas of equal class as instances.
            pad: extend a map to the size that the engine takes (last row and column repeated), crop the result.

        Returns:
            RGB uint8 [H, W, 3] or [N, H, W, 3], a fresh array.

        Raises:
            InputError: an array or option does not fit the engine; says what to do.
            StyleError: `styles` names something that the engine or the map does not have.
            DeviceError: the device fails, for instance for lack of memory.
        """
        maps = check_integer_maps(label_map, "label_map", "class ids")
        height, width = maps.shape[1:]
        size = engine_size("label_map", (height, width), self.spec, pad)
        ids = check_label_ids(maps, self.labels, unknown)
        instances = self._instances(inst_map, ids, np.ndim(label_map), edges_from_labels)
        if styles is not None and self.resolver is None:
            raise StyleError("styles were given, but this engine has no style features; leave them out")
        seed = check_seed(seed)
        scenes = [
            self._scene(
                pad_to(labels, size), None if instances is None else pad_to(instances[index], size), styles, seed
            )
            for index, labels in enumerate(ids)
        ]
        images = render_in_batches(
            lambda part, batch: self._render(scenes[part], batch)[:, :height, :width],
            len(scenes),
            self._batch(len(scenes)),
        )
        return images if np.ndim(label_map) == 3 else images[0]

    def _instances(
        self, inst_map: ArrayLike | None, ids: NDArray[np.uint8], ndim: int, edges_from_labels: bool
    ) -> NDArray[np.int32] | None:
        """The instance ids that this engine gets, [N, H, W]; None where it uses none."""
        if inst_map is not None:
            if not self.uses_instances:
                raise InputError("inst_map was given, but this engine does not use instances; leave it out")
            if edges_from_labels:
                raise InputError("both inst_map and edges_from_labels were given; leave one out")
            return check_inst_map(inst_map, ids.shape[-ndim:])
        if not self.uses_instances:
            return None
        if not edges_from_labels:
            raise InputError(
                "inst_map is missing: this engine draws the boundaries between instances; give instance ids of the "
                "label map's shape, or edges_from_labels=True (--edges-from-labels) to take areas of equal class as "
                "instances"
            )
        return ids.astype(np.int32)

    def _scene(
        self, label_map: NDArray[np.uint8], inst_map: NDArray[np.int32] | None, styles: Styles | None, seed: int
    ) -> Scene:
        if inst_map is None or self.resolver is None:
            return Scene(label_map, inst_map)
        found = find_instances(inst_map)
        self._check_count(len(found.ids))
        classes = instance_classes(found, label_map, self.labels)
        rows = self.resolver.resolve(styles, seed, found.ids, classes)
        return Scene(label_map, found.compact, rows)

    def _check_count(self, count: int) -> None:
        limit = instance_limit(self.spec)
        if count > limit:
            raise InputError(
                f"inst_map has {count} instances, this engine takes up to {limit}; merge small instances (pixels "
                "outside any object need one id per class only), or export an engine for more"
            )

    def _render(self, scenes: Sequence[Scene], batch: int) -> NDArray[np.uint8]:
        """Up to `batch` scenes → uint8 [len(scenes), H, W, 3] in one call of the engine."""
        filled = [*scenes, *[scenes[-1]] * (batch - len(scenes))]
        inputs: dict[str, NDArray[Any]] = {"label_map": _stack([scene.label_map for scene in filled])}
        if self.uses_instances:
            inputs["inst_map"] = _stack([scene.inst_map for scene in filled if scene.inst_map is not None])
        if self.resolver:
            inputs["styles"] = self._style_rows([scene.styles for scene in filled if scene.styles is not None])
        image = self._engine.run(inputs)["image"]
        require_output(self._name, "image", image, "uint8", (*inputs["label_map"].shape, 3))
        return image[: len(scenes)]

    def _style_rows(self, styles: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Rows of each scene, filled with zeros to the engine's K, or to the most any scene has where K is open."""
        tensor = self.spec.input("styles")
        limit = tensor.shape[1] if tensor else None
        count = limit if isinstance(limit, int) else max(len(rows) for rows in styles)
        filled = np.zeros((len(styles), count, styles[0].shape[1]), np.float32)
        for index, rows in enumerate(styles):
            filled[index, : len(rows)] = rows
        return filled


def instance_limit(spec: EngineSpec) -> int:
    """How many instances one image may have."""
    styles = spec.input("styles")
    return styles.shape[1] if styles and isinstance(styles.shape[1], int) else 2**31 - 1


def _stack(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    """Like np.stack, without copying a single array: 8 MB and 3 ms for a 2048×1024 instance map."""
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)
