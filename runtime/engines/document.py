"""JSON that nobody vouches for: every field is asked for by type and bounds, so that nothing absurd gets further."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MAX_TEXT = 1000


@dataclass(frozen=True)
class Document:
    """An object of a JSON document; `where` names it in messages. Every method raises ValueError where a field is
    missing, of another type or out of bounds.
    """

    fields: Mapping[str, Any]
    where: str = "the document"

    @classmethod
    def parse(cls, text: str, where: str = "the document") -> "Document":
        """The object that `text` holds."""
        try:
            value = json.loads(text)
        except RecursionError as error:
            raise ValueError(f"{where} is nested too deeply") from error
        return cls.of(value, where)

    @classmethod
    def of(cls, value: object, where: str) -> "Document":
        """`value` if it is an object."""
        if not isinstance(value, dict):
            raise ValueError(f"{where} is {_shown(value)}, expected an object")
        return cls(value, where)

    def value(self, name: str) -> Any:
        """A field of any type."""
        if name not in self.fields:
            raise ValueError(f"field {name!r} is missing")
        return self.fields[name]

    def text(self, name: str, longest: int = _MAX_TEXT) -> str:
        """A string."""
        value = self.value(name)
        if not isinstance(value, str) or len(value) > longest:
            raise ValueError(f"{name} is {_shown(value)}, expected up to {longest} characters")
        return value

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        return integer(self.value(name), name, low, high)

    def number(self, name: str) -> float:
        """A finite number."""
        return number(self.value(name), name)

    def integers(self, name: str, count: int, low: int, high: int) -> tuple[int, ...]:
        """A list of `count` whole numbers."""
        return tuple(integer(value, name, low, high) for value in self.list(name, count, count))

    def list(self, name: str, most: int, least: int = 0) -> list[Any]:
        """A list of `least` to `most` values of any type."""
        value = self.value(name)
        if not isinstance(value, list) or not least <= len(value) <= most:
            expected = f"{least}" if least == most else f"{least} to {most}"
            raise ValueError(f"{name} is {_shown(value)}, expected a list of {expected}")
        return value

    def object(self, name: str, most: int) -> "Document":
        """An object of up to `most` fields."""
        document = Document.of(self.value(name), name)
        if len(document.fields) > most:
            raise ValueError(f"{name} has {len(document.fields)} fields, expected up to {most}")
        return document

    def optional(self, name: str, most: int) -> "Document | None":
        """Likewise; None where it is null."""
        return None if self.value(name) is None else self.object(name, most)


def integer(value: object, name: str, low: int, high: int) -> int:
    """`value` if it is a whole number from `low` to `high`; else raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} is {_shown(value)}, expected a whole number from {low} to {high}")
    return value


def number(value: object, name: str) -> float:
    """`value` if it is a finite number; else raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e300 < value < 1e300:
        raise ValueError(f"{name} is {_shown(value)}, expected a finite number")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}, expected a finite number")
    return float(value)


def _shown(value: object) -> str:
    """Short enough for a message, whatever it is."""
    if isinstance(value, list | dict):
        return f"a {'list' if isinstance(value, list) else 'object'} of {len(value)}"
    text = json.dumps(value) if not isinstance(value, int) or abs(value) < 10**30 else "a number of over 30 digits"
    return text if len(text) <= 60 else f"{text[:57]}…"
