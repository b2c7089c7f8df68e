"""Label map in, photo out."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.engines.engine import open_engine
from runtime.engines.labels import LabelSpec
from runtime.engines.rendering import render_in_batches, require_output
from runtime.engines.spec import EngineSpec, StyleBank
from runtime.errors import InputError, StyleError
from runtime.runners.checks import check_inst_map, check_label_map, check_seed, engine_size, pad_to
from runtime.runners.instances import find_instances
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


class Synthesizer:
    """Runs a generator engine. `run` may be called from several threads.

    Attributes:
        spec: what the engine is.
        device: where it runs: "cpu" or "cuda".
    """

    _kind = "synthesizer"

    def __init__(self, path: str | os.PathLike[str], device: str = "auto", threads: int | None = None) -> None:
        """Load the engine `path`; arguments and errors as in `runtime.engines.engine.open_engine`."""
        self._path = os.fspath(path)
        self._engine = open_engine(self._path, device, kinds=(self._kind,), threads=threads)
        self.spec: EngineSpec = self._engine.spec
        self.device: str = self._engine.device
        feat_num = self._feat_num()
        bank = self.spec.styles or StyleBank(feat_num, {})
        self._resolver = StyleResolver(bank, self.labels) if feat_num else None

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
        ids = check_label_map(label_map, self.labels, unknown)
        height, width = ids.shape[1:]
        size = engine_size("label_map", (height, width), self.spec, pad)
        instances = self._instances(inst_map, ids, np.ndim(label_map), edges_from_labels)
        if styles is not None and self._resolver is None:
            raise StyleError("styles were given, but this engine has no style features; leave them out")
        seed = check_seed(seed)
        scenes = [
            self._scene(
                pad_to(labels, size), None if instances is None else pad_to(instances[index], size), styles, seed
            )
            for index, labels in enumerate(ids)
        ]
        # One by one where the engine's batch is free: a batch equals single calls.
        images = render_in_batches(
            lambda part, batch: self._render(scenes[part], batch)[:, :height, :width],
            len(scenes),
            self.spec.max_batch or 1,
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
        if inst_map is None or self._resolver is None:
            return Scene(label_map, inst_map)
        found = find_instances(inst_map)
        self._check_count(len(found.ids))
        rows = self._resolver.resolve(styles, seed, found.ids, label_map.ravel()[found.first])
        return Scene(label_map, found.compact, rows)

    def _check_count(self, count: int) -> None:
        tensor = self.spec.input("styles")
        limit = tensor.shape[1] if tensor else None
        if isinstance(limit, int) and count > limit:
            raise InputError(
                f"inst_map has {count} instances, this engine takes up to {limit}; merge small instances (pixels "
                "outside any object need one id per class only), or export an engine for more"
            )

    # What follows depends on the kind of engine.

    @property
    def uses_instances(self) -> bool:
        """Whether `run` wants an inst_map."""
        return self.spec.input("inst_map") is not None

    def _feat_num(self) -> int:
        tensor = self.spec.input("styles")
        return int(tensor.shape[2]) if tensor else 0

    def _render(self, scenes: Sequence[Scene], batch: int) -> NDArray[np.uint8]:
        """Up to `batch` scenes → uint8 [len(scenes), H, W, 3] in one call of the engine."""
        filled = [*scenes, *[scenes[-1]] * (batch - len(scenes))]
        inputs: dict[str, NDArray[Any]] = {"label_map": _stack([scene.label_map for scene in filled])}
        if self.uses_instances:
            inputs["inst_map"] = _stack([scene.inst_map for scene in filled if scene.inst_map is not None])
        if self._resolver:
            inputs["styles"] = self._style_rows([scene.styles for scene in filled if scene.styles is not None])
        image = self._engine.run(inputs)["image"]
        require_output(self._path, "image", image, "uint8", (*inputs["label_map"].shape, 3))
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


def _stack(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    """Like np.stack, without copying a single array: 8 MB and 3 ms for a 2048×1024 instance map."""
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)
