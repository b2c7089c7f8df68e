"""Holes of inpainting, and photos with holes: deterministic, of the kinds asked for, never all or nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.measure import label

from training.data.augmentation import Augmentation
from training.data.holed import HoledPhotos
from training.data.holes import KINDS, draw_hole, parse_kinds
from training.data.images import find_photos
from training.errors import DataError


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "train").mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (40, 56, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "train" / f"{number}.png")
    return find_photos(tmp_path, "train")


@settings(deadline=None, max_examples=120)
@given(
    seed=st.integers(0, 2**32), height=st.integers(8, 90), width=st.integers(8, 90), kind=st.sampled_from(list(KINDS))
)
def test_a_hole_leaves_something_and_takes_something(seed, height, width, kind):
    hole = draw_hole(np.random.default_rng(seed), height, width, (kind,))
    assert hole.shape == (height, width)
    assert hole.dtype == np.uint8
    assert set(np.unique(hole)) == {0, 255}
    again = draw_hole(np.random.default_rng(seed), height, width, (kind,))
    np.testing.assert_array_equal(hole, again)


@pytest.mark.parametrize(
    ("kind", "least", "most"), [("boxes", 0.01, 0.5), ("strokes", 0.003, 0.5), ("several", 0.02, 0.5)]
)
def test_holes_differ_and_keep_half_of_the_picture(kind, least, most):
    holes = [draw_hole(np.random.default_rng(seed), 128, 128, (kind,)) for seed in range(200)]
    shares = [np.mean(hole > 0) for hole in holes]
    assert len({hole.tobytes() for hole in holes}) == 200
    assert least <= min(shares) <= max(shares) <= most
    assert np.std(shares) > 0.05
    touched = np.mean([hole > 0 for hole in holes], 0)
    assert touched[:4].max() > 0.01, "holes reach the border"
    assert touched[48:80, 48:80].min() > 0.1, "and the middle"


def test_the_centre_is_half_of_each_side():
    hole = draw_hole(np.random.default_rng(0), 64, 96, ("centre",))
    assert np.argwhere(hole).min(0).tolist() == [16, 24]
    assert np.argwhere(hole).max(0).tolist() == [47, 71]
    assert np.count_nonzero(hole) == 32 * 48


def test_boxes_are_boxes_and_strokes_are_not():
    """The share of its bounding box that a lone region fills: 1 for a box."""

    def fills(kind):
        found = []
        for seed in range(60):
            hole = draw_hole(np.random.default_rng(seed), 96, 96, (kind,)) > 0
            regions = label(hole)
            if regions.max() == 1:
                at = np.argwhere(hole)
                found.append(hole.sum() / np.prod(at.max(0) - at.min(0) + 1))
        return np.array(found)

    assert (fills("boxes") == 1).sum() >= 10
    assert fills("strokes").max() < 0.95


def test_several_take_more_than_one_kind():
    def share(kind):
        return np.mean([np.mean(draw_hole(np.random.default_rng(seed), 96, 96, (kind,)) > 0) for seed in range(80)])

    assert share("several") > 1.3 * max(share("boxes"), share("strokes"))
    middle = [draw_hole(np.random.default_rng(seed), 96, 96, ("several",))[24:72, 24:72].min() for seed in range(80)]
    assert 0.5 < np.mean(np.array(middle) == 255) < 1, "two of three hold the centre, all three where there is room"


def test_kinds_are_mixed_evenly():
    rng = np.random.default_rng(0)
    centre = draw_hole(rng, 32, 32, ("centre",))
    drawn = [draw_hole(rng, 32, 32, ("centre", "boxes")) for _ in range(300)]
    assert 0.4 < np.mean([np.array_equal(hole, centre) for hole in drawn]) < 0.6


def test_wrong_kinds_and_sizes_are_named():
    assert parse_kinds("boxes, strokes") == ("boxes", "strokes")
    with pytest.raises(DataError, match="holes round: expected one or more of centre, boxes, strokes, several"):
        parse_kinds("boxes,round")
    with pytest.raises(DataError, match="holes none"):
        parse_kinds(" ,")
    with pytest.raises(DataError, match="7×32 pixels is too small for a hole; give 8"):
        draw_hole(np.random.default_rng(0), 7, 32)


def test_items_are_a_function_of_seed_epoch_and_index(photos):
    window = Augmentation(min_scale=0.7, crop=(24, 24))
    data = HoledPhotos(photos, window, seed=5)
    assert len(data) == 3
    first = data[2, 1]
    assert {key: (value.dtype, tuple(value.shape)) for key, value in first.items()} == {
        "image": (torch.uint8, (24, 24, 3)),
        "hole": (torch.uint8, (24, 24)),
    }
    again = HoledPhotos(photos, window, seed=5)[2, 1]
    assert all(torch.equal(first[key], again[key]) for key in first)
    for other in (data[3, 1], data[2, 0], HoledPhotos(photos, window, seed=6)[2, 1]):
        assert not torch.equal(first["image"], other["image"])
        assert not torch.equal(first["hole"], other["hole"])


def test_without_a_window_the_photo_comes_whole(photos):
    data = HoledPhotos(photos, Augmentation(flip=False, multiple=16), ("centre",))
    item = data[0, 2]
    stored = np.asarray(Image.open(photos[2]))
    assert item["image"].shape == (32, 48, 3)
    positions = [
        (top, left)
        for top in range(9)
        for left in range(9)
        if np.array_equal(item["image"].numpy(), stored[top : top + 32, left : left + 48])
    ]
    assert len(positions) == 1
    assert item["hole"].sum() == 255 * 16 * 24


def test_data_that_does_not_fit_is_named(photos, tmp_path):
    with pytest.raises(DataError, match=r"0\.png: 40×56 pixels are too few for a crop of 64×64"):
        HoledPhotos(photos, Augmentation(crop=(64, 64)))[0, 0]
    with pytest.raises(DataError, match="holes oval"):
        HoledPhotos(photos, Augmentation(), ("oval",))
    with pytest.raises(DataError, match="make one with `python -m training textures"):
        find_photos(tmp_path / "none", "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image; it should hold photos"):
        find_photos(tmp_path / "empty", "val")
