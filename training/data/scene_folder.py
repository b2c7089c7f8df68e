"""Procedural scenes written as a data folder, in the layout that training/data/label_maps.py reads."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.files import atomic_path
from training.data.scenes import render_scene


def write_scene(root: Path, split: str, seed: int, size: tuple[int, int]) -> None:
    """Render scene `seed` at [H, W] = `size` into `root`/`split`_{label,inst,img}; an existing one is kept.

    Raises:
        OutputError: the folder cannot be written.
    """
    paths = {column: root / f"{split}_{column}" / f"scene_{seed:06}.png" for column in ("label", "inst", "img")}
    if all(path.is_file() for path in paths.values()):
        return
    scene = render_scene(seed, size)
    arrays: dict[str, NDArray[Any]] = {
        "label": scene.label_map,
        "inst": scene.inst_map.astype(np.uint16),
        "img": scene.photo,
    }
    for column, path in paths.items():
        with atomic_path(path) as temporary:
            Image.fromarray(arrays[column]).save(temporary, compress_level=3)
