"""Exact sets of pixels, against plain definitions in rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import InputError
from runtime.runners.growth import nearest
from runtime.runners.strokes import Region, flood, line, polygon, rectangle
from tests.examples import drawn

SIZE = (14, 18)
points = st.tuples(st.integers(-4, 22), st.integers(-4, 18))


def pixels(region):
    assert region.mask.shape == region.box.size
    y, x = np.nonzero(region.mask)
    return set(zip((y + region.box.top).tolist(), (x + region.box.left).tolist(), strict=True))


def everywhere(belongs):
    return {(y, x) for y in range(SIZE[0]) for x in range(SIZE[1]) if belongs(y, x)}


def squared_distance(x, y, start, end):
    """From a point to a segment, exactly."""
    (x0, y0), (x1, y1) = start, end
    length = (x1 - x0) ** 2 + (y1 - y0) ** 2
    share = Fraction((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0), length) if length else Fraction(0)
    share = min(max(share, Fraction(0)), Fraction(1))
    return (x - x0 - share * (x1 - x0)) ** 2 + (y - y0 - share * (y1 - y0)) ** 2


@settings(max_examples=drawn(300), deadline=None)
@given(st.lists(points, min_size=1, max_size=4), st.sampled_from([0, 0.5, 1, 1.5, 2, 5]))
def test_a_line_is_what_lies_within_its_radius(corners, radius):
    segments = list(zip(corners, corners[1:] or corners, strict=False))
    reach = Fraction(max(radius, 0.5)) ** 2
    expected = everywhere(lambda y, x: any(squared_distance(x, y, *segment) <= reach for segment in segments))
    if expected:
        assert pixels(line(corners, radius, SIZE)) == expected
    else:
        with pytest.raises(InputError, match="marks no pixel"):
            line(corners, radius, SIZE)


def is_inside(y, x, corners):
    inside = False
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if (y0 <= y) != (y1 <= y) and x >= x0 + Fraction((y - y0) * (x1 - x0), y1 - y0):
            inside = not inside
    return inside


@settings(max_examples=drawn(300), deadline=None)
@given(st.lists(points, min_size=3, max_size=7))
def test_a_polygon_is_filled_by_the_even_odd_rule(corners):
    expected = everywhere(lambda y, x: is_inside(y, x, corners))
    if expected:
        assert pixels(polygon(corners, SIZE)) == expected
    else:
        with pytest.raises(InputError, match="marks no pixel"):
            polygon(corners, SIZE)


@settings(max_examples=drawn(200), deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, SIZE[0] - 1), st.integers(0, SIZE[1] - 1), st.sampled_from([2, 3]))
def test_a_flood_takes_what_hangs_together(seed, y, x, values):
    field = np.random.default_rng(seed).integers(0, values, SIZE)
    reached, front = {(y, x)}, [(y, x)]
    while front:
        row, column = front.pop()
        for beside in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            within = 0 <= beside[0] < SIZE[0] and 0 <= beside[1] < SIZE[1]
            if within and beside not in reached and field[beside] == field[y, x]:
                reached.add(beside)
                front.append(beside)
    assert pixels(flood(field, x, y)) == reached


@settings(max_examples=drawn(200), deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.3, 0.9]))
def test_the_nearest_known_pixel_is_the_nearest(seed, share):
    rng = np.random.default_rng(seed)
    known = rng.random(SIZE) < share
    known[tuple(rng.integers(0, SIZE))] = True
    known[tuple(rng.integers(0, SIZE))] = False
    if known.all() or not known.any():
        return
    region = Region.of(~known, SIZE)
    sources = np.argwhere(known)
    for target, found in zip(np.argwhere(~known), nearest(known, region), strict=True):
        y, x = target

        def order(source, y=y, x=x):
            return (source[0] - y) ** 2 + (source[1] - x) ** 2, abs(source[1] - x), source[1] > x, source[0] > y

        assert tuple(min(sources, key=order)) == divmod(found, SIZE[1])


def test_a_rectangle_holds_both_corners_and_ends_at_the_map():
    assert pixels(rectangle((3, 2), (1, 4), SIZE)) == {(y, x) for y in (2, 3, 4) for x in (1, 2, 3)}
    assert pixels(rectangle((16, 12), (40, 40), SIZE)) == {(y, x) for y in (12, 13) for x in (16, 17)}


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: line([], 1, SIZE), "at least 1 pairs"),
        (lambda: line([(1, 2)], -1, SIZE), "radius is -1, expected 0 to 18"),
        (lambda: line([(1, 2)], float("nan"), SIZE), "radius is nan"),
        (lambda: line([(1, 2)], True, SIZE), "radius is True"),
        (lambda: line([(1, float("nan"))], 1, SIZE), "coordinates that no map has"),
        (lambda: line([(1, 1e9)], 1, SIZE), "coordinates that no map has"),
        (lambda: line([(1, 2)] * 100_001, 1, SIZE), "100001 of them"),
        (lambda: line([("a", "b")], 1, SIZE), "expected at least 1 pairs"),
        (lambda: line([(1, 2, 3)], 1, SIZE), "expected at least 1 pairs"),
        (lambda: polygon([(1, 2), (3, 4)], SIZE), "at least 3 pairs"),
        (lambda: rectangle((30, 30), (40, 40), SIZE), "marks no pixel of the map of H×W = 14×18"),
        (lambda: Region.of(np.zeros((3, 3), bool), SIZE), r"mask is bool \[3, 3\], expected bool or uint8 \[14, 18\]"),
        (lambda: Region.of(np.zeros(SIZE), SIZE), "mask is float64"),
        (lambda: Region.of(np.zeros(SIZE, bool), SIZE), "mask marks no pixel"),
        (lambda: Region.of(rectangle((0, 0), (17, 13), SIZE), (5, 5)), "reaches beyond the map"),
    ],
)
def test_what_cannot_be_drawn(draw, message):
    with pytest.raises(InputError, match=message):
        draw()
