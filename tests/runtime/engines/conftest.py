"""Machines with a pretended GPU."""

import gc

import pytest

from tests.runtime.engines.stand_in import installed


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with a pretended GPU and an empty cache; at the end everything must have been given back."""
    monkeypatch.setenv("PIX2RT_CACHE", str(tmp_path / "cache"))
    with installed() as world:
        yield world
        gc.collect()
        world.require_clean()
