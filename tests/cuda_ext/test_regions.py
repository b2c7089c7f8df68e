"""Covering a mask by rectangles."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cuda_ext.regions import Rect, cover, split_rows

MASKS = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=24))


@settings(max_examples=200, deadline=None)
@given(MASKS, st.integers(0, 200), st.integers(1, 30))
def test_every_pixel_lies_in_exactly_one_rectangle(mask, overhead, max_width):
    count = np.zeros(mask.shape, int)
    for rect in cover(mask, overhead, max_width):
        assert 0 <= rect.top < rect.bottom <= mask.shape[0]
        assert 0 <= rect.left < rect.right <= mask.shape[1]
        assert rect.right - rect.left <= max_width
        count[rect.top : rect.bottom, rect.left : rect.right] += 1
    assert count.max(initial=0) <= 1
    assert (count[mask] == 1).all()


def test_a_rectangular_gap_takes_four():
    mask = np.ones((128, 128), bool)
    mask[32:96, 40:104] = False
    assert cover(mask, 32, 254) == [
        Rect(0, 32, 0, 128),
        Rect(32, 96, 0, 40),
        Rect(32, 96, 104, 128),
        Rect(96, 128, 0, 128),
    ]


def test_stray_pixels_take_fewer_rectangles_the_more_one_costs():
    mask = np.random.default_rng(0).random((64, 64)) < 0.05
    counts = [len(cover(mask, overhead, 254)) for overhead in (0, 32, 256, 10**6)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 50
    assert counts[-1] == 1


def test_rows_split_evenly():
    assert split_rows(Rect(1, 11, 2, 5), 4) == [Rect(1, 4, 2, 5), Rect(4, 8, 2, 5), Rect(8, 11, 2, 5)]
