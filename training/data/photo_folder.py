"""Folders of pictures that this project makes: procedural faces and textures, sketches of photos."""

from pathlib import Path

import numpy as np
from PIL import Image

from runtime.files import atomic_path
from training.data.faces import random_face, render_face
from training.data.images import read_photo
from training.data.sketches import STYLES
from training.data.textures import render_texture


def write_face(root: Path, split: str, seed: int, side: int) -> None:
    """Render face `seed` into `root`/`split`; an existing one is kept.

    Raises:
        OutputError: the folder cannot be written.
    """
    path = root / split / f"face_{seed:06}.png"
    if not path.is_file():
        _write(render_face(random_face(seed), side), path)


def write_texture(root: Path, split: str, seed: int, side: int) -> None:
    """Render texture or scene `seed` into `root`/`split`; an existing one is kept.

    Raises:
        OutputError: the folder cannot be written.
    """
    path = root / split / f"texture_{seed:06}.png"
    if not path.is_file():
        _write(render_texture(seed, side), path)


def write_sketch(photo: Path, path: Path, style: str) -> None:
    """Write the sketch of the file `photo` as a grey picture of its size.

    Raises:
        DataError: it cannot be read as an image.
        OutputError: the folder cannot be written.
    """
    _write(STYLES[style](read_photo(photo)), path)


def _write(picture: np.ndarray, path: Path) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, compress_level=3)
