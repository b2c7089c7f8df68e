"""Pictures of several runs beside each other: a line per item, a column for the input, each run and the photo."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from runtime.files import atomic_path
from training.data.images import list_images, read_photo
from training.errors import DataError

_CELL_HEIGHT = 192
_GAP = 4
_TITLE_HEIGHT = 28
_FONT_SIZE = 16

Picture = NDArray[np.uint8]


def write_grid(path: Path, runs: Mapping[str, Path], items: int) -> None:
    """Write a PNG.

    Args:
        path: of the picture.
        runs: folders of pictures input | generated | real, as `evaluate` writes them, by column title.
        items: how many items, spread over those of the folders.

    Raises:
        DataError: the folders hold different items.
    """
    names = _common_items(runs)
    chosen = [names[i] for i in sorted({round(x) for x in np.linspace(0, len(names) - 1, items)})]
    lines = [_line([read_photo(folder / name) for folder in runs.values()]) for name in chosen]
    titles = ["input", *runs, "real"]
    font = ImageFont.load_default(_FONT_SIZE)
    named = [round(font.getlength(title)) + 2 * _GAP for title in titles]
    widths = [max(name, *(line[column].width for line in lines)) for column, name in enumerate(named)]
    page = Image.new("RGB", (sum(widths) + _GAP * (len(widths) + 1), _TITLE_HEIGHT + _height(lines)), "white")
    draw: Any = ImageDraw.Draw(page)
    left = _GAP
    for column, (title, width) in enumerate(zip(titles, widths, strict=True)):
        draw.text((left + width / 2, _TITLE_HEIGHT / 2), title, "black", font, anchor="mm")
        top = _TITLE_HEIGHT
        for line in lines:
            page.paste(line[column], (left + (width - line[column].width) // 2, top))
            top += line[column].height + _GAP
        left += width + _GAP
    with atomic_path(path) as temporary:
        page.save(temporary)


def _common_items(runs: Mapping[str, Path]) -> list[str]:
    columns = {run: {path.name for path in list_images(folder)} for run, folder in runs.items()}
    names = sorted(set().union(*columns.values()))
    lacking = [run for run, present in columns.items() if len(present) < len(names)]
    if lacking or not names:
        raise DataError(f"the pictures of {', '.join(lacking) or 'all rows'} lack items; remove their folder held_out")
    return names


def _line(pictures: list[Picture]) -> list[Image.Image]:
    """Input, the runs' images and the photo of one item, at one height."""
    width = pictures[0].shape[1] // 3
    parts = [pictures[0][:, :width], *(p[:, width : 2 * width] for p in pictures), pictures[0][:, 2 * width :]]
    return [_scaled(Image.fromarray(np.ascontiguousarray(part))) for part in parts]


def _scaled(image: Image.Image) -> Image.Image:
    width = max(1, round(image.width * _CELL_HEIGHT / image.height))
    return image.resize((width, _CELL_HEIGHT), Image.Resampling.LANCZOS)


def _height(lines: list[list[Image.Image]]) -> int:
    return sum(line[0].height + _GAP for line in lines)
