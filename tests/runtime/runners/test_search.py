"""When a search has settled, and the options that it takes."""

from dataclasses import fields

import numpy as np
import pytest

from runtime.errors import InputError
from runtime.runners.search import Progress, Search, SearchOptions, search_from


def settled_at(losses, **options):
    """The step at which a search with these losses has settled; None where it never does."""
    progress = Progress(Search(perceptual_weight=0.0, **options), np.zeros((1, 3), np.float32))
    for step, loss in enumerate(losses):
        progress.add(np.zeros((1, 3), np.float32), np.array([loss], np.float32), np.zeros(1, np.float32))
        if progress.settled.all():
            return step
    return None


def test_a_loss_that_never_moves_settles_after_its_patience():
    assert settled_at([1.0] * 20, patience=5) == 5
    assert settled_at([1.0] * 20, patience=5, stop_early=False) is None


def test_a_loss_that_falls_goes_on():
    assert settled_at(np.linspace(1, 0, 50), patience=5) is None


def test_it_settles_at_the_share_of_all_progress_that_counts_as_none():
    """It fell by 1, then within 4 steps by 1 in 128 more: none at a tolerance of 1 in 64, some at 1 in 256."""
    losses = [1.0, 0.0, *[-1 / 128] * 10]
    assert settled_at(losses, patience=4, tolerance=1 / 64) == 5
    assert settled_at(losses, patience=4, tolerance=1 / 256) == 6


def test_the_typed_options_are_those_of_a_search():
    assert list(SearchOptions.__annotations__) == [field.name for field in fields(Search)]
    with pytest.raises(InputError, match="unknown option steps; a search takes iterations, "):
        search_from({"steps": 5})
