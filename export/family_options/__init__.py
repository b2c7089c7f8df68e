"""What a family can be told at export beside size and precision: one file a family, with a dataclass `Options`.

Every field has a default and becomes an option of `python -m export onnx`; nothing else need be changed for it. None of
these modules imports torch, so that the command line is there at once.
"""

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from export.errors import ExportError
from runtime.engines.spec import EngineSpec


@dataclass(frozen=True)
class FamilyOptions:
    """Those of families that take none. A family's `Options` derives from it; its fields are made by `option`."""

    @classmethod
    def of_engine(cls, spec: EngineSpec) -> Self:
        """The options that an engine was made with."""
        return cls()


def option(default: Any, help: str) -> Any:
    """A field of a family's `Options`: a switch, off by default, or a number that may be None."""
    return dataclasses.field(default=default, metadata={"help": help})


def options_class(family: str) -> type[FamilyOptions]:
    """The family's `Options`; `FamilyOptions` itself where it has no file here."""
    if family not in families_with_options():
        return FamilyOptions
    kind: type[FamilyOptions] = importlib.import_module(f"{__name__}.{family}").Options
    return kind


def families_with_options() -> list[str]:
    """By name, in order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def make_options(family: str, given: Mapping[str, object]) -> FamilyOptions:
    """The family's options with those that were given.

    Raises:
        ExportError: the family does not know one; it is named as on the command line.
    """
    kind = options_class(family)
    known = {field.name for field in dataclasses.fields(kind)}
    for name in given:
        if name not in known:
            raise ExportError(f"--{name.replace('_', '-')} is no option of {family} networks; leave it out")
    return kind(**given)
