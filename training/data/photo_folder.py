"""Folders of pictures that this project makes: procedural faces and textures, sketches of photos."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.files import atomic_path
from training.data.faces import random_face, render_face
from training.data.images import read_photo
from training.data.joint import joint_image
from training.data.poor_sketches import QUALITIES
from training.data.sketches import STYLES
from training.data.textures import render_texture


def write_face(root: Path, split: str, seed: int, side: int) -> None:
    """Render face `seed` into `root`/`split`; an existing one is kept.

    Raises:
        OutputError: the folder cannot be written.
    """
    _write_new(root / split / f"face_{seed:06}.png", lambda: render_face(random_face(seed), side))


def write_texture(root: Path, split: str, seed: int, side: int) -> None:
    """Render texture or scene `seed` into `root`/`split`; an existing one is kept.

    Raises:
        OutputError: the folder cannot be written.
    """
    _write_new(root / split / f"texture_{seed:06}.png", lambda: render_texture(seed, side))


def write_sketch(photo: Path, path: Path, style: str) -> None:
    """Write the sketch of the file `photo` as a grey picture of its size.

    Raises:
        DataError: it cannot be read as an image.
        OutputError: the folder cannot be written.
    """
    _write(STYLES[style](read_photo(photo)), path)


def write_pair(photo: Path, path: Path, style: str, side: int, quality: str = "clean", seed: int = 0) -> None:
    """Write the joint image [sketch | photo] of the file `photo`, [side, 2·side] pixels, which pix2pix reads, too.

    Args:
        photo: file; its middle square counts.
        path: to write.
        style: of the sketch, of `STYLES`.
        side: of sketch and photo, pixels.
        quality: of the sketch, of `QUALITIES`.
        seed: of what is missing or distorted in it.

    Raises:
        DataError: it cannot be read as an image.
        OutputError: the folder cannot be written.
    """
    sketch, real = np.split(joint_image(photo, style, side), 2, 1)
    poor = QUALITIES[quality](sketch, np.random.default_rng(seed))
    _write(np.concatenate([poor, real], 1), path)


def _write_new(path: Path, render: Callable[[], NDArray[np.uint8]]) -> None:
    if not path.is_file():
        _write(render(), path)


def _write(picture: NDArray[np.uint8], path: Path) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, compress_level=3)
