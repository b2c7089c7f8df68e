"""Sizes and shapes as they are written on the command line."""

import re
from collections.abc import Sequence
from pathlib import Path

from runtime.errors import InputError

Size = tuple[int, int]


def parse_size(text: str | None, dynamic: bool) -> tuple[int, int] | None:
    """`--size` and `--dynamic`, of which one is needed → (H, W), None for dynamic.

    Raises:
        InputError: both or neither are given, or the size is not two numbers.
    """
    if (text is None) != dynamic:
        got = "both --size and" if dynamic else "neither --size nor"
        raise InputError(f"got {got} --dynamic; give one of the two, such as --size 512x1024")
    if text is None:
        return None
    height, width = _numbers(text, 2, "--size", "HEIGHTxWIDTH, such as 1024x2048")
    return height, width


def parse_sizes(text: str) -> list[tuple[int, int]]:
    """`--sizes` → (H, W) each.

    Raises:
        InputError: it is not sizes with commas between.
    """
    pairs = [_numbers(part.strip(), 2, "--sizes", "HEIGHTxWIDTH,HEIGHTxWIDTH,…") for part in text.split(",")]
    return [(height, width) for height, width in pairs]


def engine_paths(
    output: Path, sizes: Sequence[Size | None], precisions: Sequence[str]
) -> dict[Path, tuple[Size | None, str]]:
    """An engine's file → its size and precision, for all of both: `output`, or what tells them apart in its name.

    `city.onnx` of two sizes and two precisions becomes `city.512x1024.fp16.onnx` and three more.

    Raises:
        InputError: a size or a precision is given twice.
    """
    found: dict[Path, tuple[Size | None, str]] = {}
    for size in sizes:
        for precision in precisions:
            words = [f"{size[0]}x{size[1]}"] if size and len(sizes) > 1 else []
            words += [precision] if len(precisions) > 1 else []
            path = output.with_name(".".join([output.stem, *words]) + output.suffix) if words else output
            if path in found:
                raise InputError(f"{' in '.join(words)} is given twice; give every --size and --precision once")
            found[path] = size, precision
    return found


def _numbers(text: str, count: int, option: str, form: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d{1,6}" + (count - 1) * r"x\d{1,6}", text.lower()):
        raise InputError(f"{option} {text!r} is not {form}")
    return tuple(int(number) for number in text.lower().split("x"))
