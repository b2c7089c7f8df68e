"""What `bench` measures with: generated maps and images, the caller's, or the demo's."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.bench.worker import BenchInput
from runtime.engines.spec import EngineSpec
from runtime.media.images import read_inst_map, read_label_map
from runtime.media.translation_images import read_translation_input

_BLOCKS = 8  # a generated map or image has 8 × 8 blocks
_RGB = 3


def generated_input(spec: EngineSpec, *, noise: bool, seed: int = 0) -> BenchInput:
    """A random map or image in 8 × 8 blocks of one class or colour each; with `noise` every pixel is random, the worst
    case for an engine that profits from equal neighbours.
    """
    size = spec.cost.size if spec.size is None else spec.size
    if spec.kind == "sketch":
        size = (size[0], size[0])  # one half of the joint image
    rng = np.random.default_rng(seed)
    grid = size if noise else (_BLOCKS, _BLOCKS)
    arrays: dict[str, NDArray[Any]] = {}
    if spec.kind != "style_encoder" and spec.labels:
        arrays["label_map"] = resize_nearest(rng.integers(0, spec.labels.label_nc, grid, dtype=np.uint8), size)
        arrays["inst_map"] = _blocks(size, instance_limit(spec))
    else:
        image = rng.integers(0, 256, (*grid, input_nc(spec)), dtype=np.uint8)
        arrays = _image_arrays(spec, resize_nearest(image, size))
    return BenchInput(arrays, "generated, every pixel random" if noise else "generated, 8×8 blocks")


def input_from_files(
    spec: EngineSpec, labels: Path, instances: Path | None, notify: Callable[[str], None] | None = None
) -> BenchInput:
    """The caller's maps; without an instance map, areas of equal class are the instances."""
    assert spec.labels
    label_map = read_label_map(labels, spec.labels, notify)
    inst_map = read_inst_map(instances) if instances else label_map
    return BenchInput({"label_map": label_map, "inst_map": inst_map}, labels.name)


def input_from_image(spec: EngineSpec, path: Path, notify: Callable[[str], None]) -> BenchInput:
    """The caller's image, for every engine but those with a class table; an inpainter gets a hole in the middle."""
    image = read_translation_input(path, input_nc(spec), lambda sentence: notify(f"{path}: {sentence}"))
    return BenchInput(_image_arrays(spec, image), path.name)


def demo_input(spec: EngineSpec, assets: Path) -> BenchInput | None:
    """The demo's scene, scaled to the engine; None where it is not there or is not what the engine takes."""
    if spec.labels is None or not (assets / "street_labels.png").is_file():
        return None
    scene = input_from_files(spec, assets / "street_labels.png", assets / "street_instances.png")
    if scene.arrays["label_map"].max() >= spec.labels.label_nc:
        return None
    size = spec.size or spec.cost.size
    return replace(scene, arrays={name: resize_nearest(array, size) for name, array in scene.arrays.items()})


def instance_limit(spec: EngineSpec) -> int:
    """How many instances one image may have."""
    styles = spec.input("styles")
    return styles.shape[1] if styles and isinstance(styles.shape[1], int) else 2**31 - 1


def input_nc(spec: EngineSpec) -> int:
    """Channels of the images that an engine without a class table takes."""
    image, floats = spec.input("image"), spec.input("input")
    channels = image.shape[3] if image else floats.shape[1] if floats else _RGB
    return channels if isinstance(channels, int) else _RGB


def resize_nearest(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Scale [h, w, …] to `size` by nearest neighbour, which keeps ids what they are."""
    rows = np.arange(size[0]) * image.shape[0] // size[0]
    columns = np.arange(size[1]) * image.shape[1] // size[1]
    return np.ascontiguousarray(image[rows[:, None], columns])


def _blocks(size: tuple[int, int], count: int) -> NDArray[Any]:
    return resize_nearest(np.arange(_BLOCKS**2, dtype=np.int32).reshape(_BLOCKS, _BLOCKS) % count, size)


def _middle_hole(size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 [H, W], 255 = missing: a quarter of the area."""
    hole = np.zeros(size, np.uint8)
    rows, columns = (slice(side // 4, side // 4 + (side + 1) // 2) for side in size)  # at least one pixel
    hole[rows, columns] = 255
    return hole


def _image_arrays(spec: EngineSpec, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    if spec.input("hole_mask") or spec.input("hole"):
        arrays = {"image": image, "hole_mask": _middle_hole((image.shape[0], image.shape[1]))}
        return arrays | ({"style": image[::-1].copy()} if spec.input("style_image") else {})
    if spec.kind != "style_encoder":
        return {"image": image}
    return {"photo": image, "regions": _blocks((image.shape[0], image.shape[1]), _BLOCKS**2)}
