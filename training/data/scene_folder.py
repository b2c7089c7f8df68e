"""Procedural scenes written as a data folder, in the layout that training/data/label_maps.py reads."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.files import atomic_path
from training.class_tables import without_parts
from training.data.scenes import render_scene


def write_scene(root: Path, split: str, seed: int, size: tuple[int, int], parts: bool = False) -> None:
    """Render scene `seed` at [H, W] = `size` into `root`/`split`_{label,inst,img}; an existing one is kept.

    Labels are those of Cityscapes, or with `parts` those of `training.class_tables.STREET`.

    Raises:
        OutputError: the folder cannot be written.
    """
    paths = {column: root / f"{split}_{column}" / f"scene_{seed:06}.png" for column in ("label", "inst", "img")}
    if all(path.is_file() for path in paths.values()):
        return
    scene = render_scene(seed, size)
    arrays: dict[str, NDArray[Any]] = {
        "label": scene.label_map if parts else without_parts(scene.label_map, scene.inst_map),
        "inst": scene.inst_map.astype(np.uint16),
        "img": scene.photo,
    }
    for column, path in paths.items():
        with atomic_path(path) as temporary:
            Image.fromarray(arrays[column]).save(temporary, compress_level=3)
