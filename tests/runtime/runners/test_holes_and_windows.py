"""What an inpainter does with holes and windows, against SciPy and against forms that are slow and plain."""

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runtime.runners.holes import connected_holes, distance, group_boxes, opacity
from runtime.runners.resampling import resample
from runtime.runners.windows import Window, cut, paste, plan_windows
from tests.examples import drawn

masks = hnp.arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20)))


@settings(max_examples=drawn(200), deadline=None)
@given(masks)
def test_connected_holes_are_scipys(mask):
    labels, boxes = connected_holes(mask)
    wanted, count = scipy.ndimage.label(mask, np.ones((3, 3)))
    assert len(boxes) == count
    np.testing.assert_array_equal(labels, wanted - 1)  # both number them by their first pixel
    for slices, (top, left, bottom, right) in zip(scipy.ndimage.find_objects(wanted), boxes.tolist(), strict=True):
        assert slices == (slice(top, bottom), slice(left, right))


@settings(max_examples=drawn(200), deadline=None)
@given(masks, st.integers(0, 9), st.integers(0, 9))
def test_distances_and_growing_are_scipys(mask, margin, feather):
    assume(feather <= margin)
    steps = scipy.ndimage.distance_transform_cdt(~mask, "chessboard") if mask.any() else np.full(mask.shape, 99)
    np.testing.assert_array_equal(distance(mask, margin), np.minimum(steps, margin))
    alpha = opacity(mask, margin, feather)
    np.testing.assert_allclose(alpha, np.clip((margin + 1 - steps) / (feather + 1), 0, 1), atol=1e-6)
    np.testing.assert_array_equal(alpha > 0, scipy.ndimage.maximum_filter(mask, 2 * margin + 1, mode="constant"))


@settings(max_examples=drawn(200), deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 10)] * 2), max_size=30))
def test_groups_fit_and_hold_every_box_once(corners):
    boxes = np.array([(y, x, y + h, x + w) for y, x, h, w in corners], np.intp).reshape(-1, 4)
    groups = group_boxes(boxes, (12, 15))
    assert sorted(np.concatenate([*groups, np.zeros(0, int)]).tolist()) == list(range(len(boxes)))
    for group in groups:
        assert np.ptp([boxes[group, 0], boxes[group, 2]]) <= 12
        assert np.ptp([boxes[group, 1], boxes[group, 3]]) <= 15


@settings(max_examples=drawn(100), deadline=None)
@given(st.tuples(*[st.integers(1, 30)] * 2), st.tuples(*[st.integers(1, 30)] * 2), st.integers(0, 99))
def test_resampling(source, size, seed):
    planes = np.random.default_rng(seed).random((*source, 2), np.float32)
    scaled = resample(planes, size)
    assert scaled.dtype == np.float32
    for axis in range(2):
        weights = weights_of(source[axis], size[axis])
        planes = np.moveaxis(np.tensordot(weights, planes, (1, axis)), 0, axis)
    np.testing.assert_allclose(scaled, planes, atol=1e-5)


def weights_of(side, length):
    """[length, side]: the share of each pixel, counted one by one."""
    weights = np.zeros((length, side))
    for i in range(length):
        begin, end = i * side / length, (i + 1) * side / length
        for j in range(side):
            if length < side:
                weights[i, j] = max(min(end, j + 1) - max(begin, j), 0) / (end - begin)
            else:
                centre = min(max((begin + end) / 2 - 0.5, 0), side - 1)
                weights[i, j] = max(1 - abs(centre - j), 0)
    return weights


@pytest.mark.parametrize("show_hole", [False, True])
@pytest.mark.parametrize("window", [Window(-7, 3, 60, 30), Window(2, -40, 20, 90), Window(4, 5, 16, 12)])
def test_a_scaled_window_is_the_mean_of_what_it_shows(window, show_hole):
    """Cut and pasted axis by axis, without the whole of a window in memory: the same as with it."""
    image, hole, size = _noise(24, 40, 3), _noise(24, 40, seed=1) < 100, (14, 11)
    rows, columns = np.ix_(*window.indices(hole.shape))
    known = (~hole | show_hole)[rows, columns].astype(np.float32)
    part = image[rows, columns] * known[..., None]
    mean = resample(part, size) / np.maximum(resample(known, size), 1e-6)[..., None]
    small, missing = cut(image, hole, window, size, show_hole)
    is_clear = resample(known, size) > 0.01  # elsewhere nothing is divided by nothing
    np.testing.assert_allclose(small[is_clear], mean[is_clear], atol=0.501)
    share = resample(hole[rows, columns].astype(np.float32), size)
    np.testing.assert_array_equal(missing[abs(share - 0.5) > 1e-5], (share > 0.5)[abs(share - 0.5) > 1e-5])
    answer, owner = _noise(*size, 3, seed=2), _noise(24, 40, seed=3).astype(np.int32) % 3
    completed = image.copy()
    paste(completed, answer, window, 1, owner)
    large = resample(answer.astype(np.float32), (window.height, window.width))
    wanted = image.astype(np.float32)
    for y, x in np.argwhere(owner == 1):
        if 0 <= y - window.top < window.height and 0 <= x - window.left < window.width:
            wanted[y, x] = large[y - window.top, x - window.left]
    np.testing.assert_allclose(completed, wanted, atol=0.501)


def _noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(("share", "is_missing"), [(7, False), (8, False), (9, True)])
def test_a_scaled_pixel_is_missing_where_more_than_half_of_it_is(share, is_missing):
    """Of 4×4 pixels under one of the engine; half of them are enough."""
    hole = np.zeros((16, 16), np.bool_)
    hole[4:8, 4:8] = (np.arange(16) < share).reshape(4, 4)
    _, missing = cut(np.zeros((16, 16, 3), np.uint8), hole, Window(0, 0, 16, 16), (4, 4), show_hole=False)
    assert missing[1, 1] == is_missing
    assert missing.sum() == is_missing


def test_holes_leave_an_eighth_of_a_window_as_context_on_every_side():
    """Two holes share a window of 64 pixels where they fit into 48 of them, and a larger one gets a larger window."""

    def windows(*holes):
        mask = np.zeros((500, 500), np.bool_)
        for top, left, bottom, right in holes:
            mask[top:bottom, left:right] = True
        return plan_windows(mask, (64, 64), "auto").windows

    near, beyond = (200, 200, 204, 204), (240, 240, 248, 248)
    assert [window.height for window in windows(near, beyond)] == [64]  # 200 to 248: 48
    assert len(windows(near, (241, 241, 249, 249))) == 2
    assert windows((200, 200, 248, 248))[0].height == 64
    assert windows((200, 200, 249, 249))[0].height == 98  # so that the hole takes half of it
