"""Entries that modules of a folder bring: adding a module adds its entry, and nothing shared has to change."""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TypeVar

Entry = TypeVar("Entry")


def entries(package: ModuleType, name: str, kind: type[Entry]) -> list[Entry]:
    """The attribute `name` of every module of `package`, in the order of the modules' names."""
    modules = sorted(module.name for module in iter_modules(package.__path__))
    found = [getattr(import_module(f"{package.__name__}.{module}"), name) for module in modules]
    for entry in found:
        if not isinstance(entry, kind):
            raise TypeError(f"{package.__name__}: {name} is a {type(entry).__name__}, expected a {kind.__name__}")
    return found
