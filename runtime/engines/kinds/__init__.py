"""The kinds of engine, a module each, whose `KIND` is its entry: a further kind is a further module here."""

from functools import cache

import runtime.engines.kinds as package
from runtime.engines.kind import Kind
from runtime.engines.registry import entries


@cache
def kinds() -> dict[str, Kind]:
    """Every kind by name."""
    return {kind.name: kind for kind in entries(package, "KIND", Kind)}
