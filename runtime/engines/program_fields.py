"""The fields of a program's layers: each says which JSON values it takes, since a program may come from anywhere."""

import math
from collections.abc import Callable
from dataclasses import field
from typing import Any

Check = Callable[[object], Any]  # a JSON value → the field's value; raises ValueError for what it does not take

_MAX_NAME = 200
_LARGEST = 1e30  # float32 ends at 3e38


def attribute(check: Check, **default: Any) -> Any:
    """A dataclass field that `check` reads; one with a default may be left out."""
    return field(metadata={"check": check}, **default)


def name(value: object) -> str:
    """Of a value or an initializer."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_NAME or not value.isprintable():
        raise ValueError(f"{shown(value)} is no name of 1 to {_MAX_NAME} printable characters")
    return value


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)} is not true or false")
    return value


def number(value: object) -> float:
    """A finite float32."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        raise ValueError(f"{shown(value)} is no finite number")
    return float(value)


def positive(value: object) -> float:
    """A number above 0."""
    if not (checked := number(value)) > 0:
        raise ValueError(f"{shown(value)} is not above 0")
    return checked


def whole(least: int, most: int) -> Check:
    """A whole number in a range."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{shown(value)} is no whole number from {least} to {most}")
        return value

    return check


def choice(*choices: str) -> Check:
    """One of some words."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"{shown(value)} is not one of {', '.join(choices)}")
        return value

    return check


def optional(inner: Check) -> Check:
    """Null, or what `inner` takes."""
    return lambda value: None if value is None else inner(value)


def several(inner: Check, least: int, most: int) -> Check:
    """A list of `least` to `most` values that `inner` takes, as a tuple."""

    def check(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or not least <= len(value) <= most:
            count = str(least) if least == most else f"{least} to {most}"
            raise ValueError(f"{shown(value)} is no list of {count}")
        return tuple(inner(item) for item in value)

    return check


def shown(value: object) -> str:
    """A value for a message, cut off where it is long."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**20:
        return f"a number of {math.ceil(value.bit_length() * math.log10(2))} digits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
