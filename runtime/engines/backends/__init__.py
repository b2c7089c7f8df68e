"""The ways to run engines, a module each, whose `BACKEND` is its entry: a further one is a further module here."""

from functools import cache

import runtime.engines.backends as package
from runtime.engines.backend import Backend
from runtime.engines.registry import entries


@cache
def backends() -> dict[str, Backend]:
    """Every backend by name, in the order in which "auto" tries them."""
    return {b.name: b for b in sorted(entries(package, "BACKEND", Backend), key=lambda b: (b.preference, b.name))}
