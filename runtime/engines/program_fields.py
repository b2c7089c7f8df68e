"""The fields of a program's layers: how each is read from JSON that nobody vouches for."""

from collections.abc import Callable
from dataclasses import field
from typing import Any

from runtime.engines.document import Document

Read = Callable[[Document, str], Any]  # the layer, the field's name → its value; raises ValueError

_MAX_NAME = 200
_LARGEST = 1e30  # float32 ends at 3e38


def attribute(read: Read, **default: Any) -> Any:
    """A dataclass field; one with a default may be left out."""
    return field(metadata={"read": read}, **default)


def name(document: Document, field: str) -> str:
    """Of a value or an initializer."""
    return _name(document.text(field, _MAX_NAME), field)


def _name(value: object, field: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_NAME or not value.isprintable():
        raise ValueError(f"{field} is no name of 1 to {_MAX_NAME} printable characters")
    return value


def names(document: Document, field: str) -> tuple[str, ...]:
    """One to 64 of them."""
    return tuple(_name(value, field) for value in document.list(field, 64, least=1))


def optional_name(document: Document, field: str) -> str | None:
    """A name or null."""
    return None if document.value(field) is None else name(document, field)


def flag(document: Document, field: str) -> bool:
    """True or false."""
    value = document.value(field)
    if not isinstance(value, bool):
        raise ValueError(f"{field} is not true or false")
    return value


def number(document: Document, field: str) -> float:
    """A number that float32 holds."""
    value = document.number(field)
    if abs(value) > _LARGEST:
        raise ValueError(f"{field} is {value}, expected at most {_LARGEST}")
    return value


def positive(document: Document, field: str) -> float:
    """A number above 0."""
    value = number(document, field)
    if value <= 0:
        raise ValueError(f"{field} is {value}, expected more than 0")
    return value


def whole(low: int, high: int) -> Read:
    """A whole number in a range."""
    return lambda document, field: document.integer(field, low, high)


def wholes(count: int, low: int, high: int) -> Read:
    """Several of them."""
    return lambda document, field: document.integers(field, count, low, high)


def choice(*choices: str) -> Read:
    """One of some words."""

    def read(document: Document, field: str) -> str:
        value = document.text(field)
        if value not in choices:
            raise ValueError(f"{field} is {value[:60]!r}, expected {' or '.join(choices)}")
        return value

    return read
