"""How a drawing of any form becomes what the engine takes."""

import numpy as np
import pytest

from runtime.errors import InputError
from runtime.sketch_input import check_drawing, check_known_mask, fit_to

SIDE = 8
LINES = np.full((SIDE, SIDE), 255, np.uint8)
LINES[2] = 0
RGB = LINES[..., None].repeat(3, 2)


def checked(image, given="sketch"):
    notes = []
    return check_drawing(image, given, SIDE, notes.append), " ".join(notes)


def test_a_fitting_sketch_passes_unchanged_and_unremarked():
    picture, notes = checked(RGB)
    np.testing.assert_array_equal(picture, RGB)
    assert notes == ""


@pytest.mark.parametrize("image", [LINES, LINES[..., None]])
def test_grey_becomes_three_equal_channels(image):
    np.testing.assert_array_equal(checked(image)[0], RGB)
    assert "grey" in checked(image, "photo")[1]


def test_transparent_lies_on_white():
    alpha = np.where(LINES == 0, 255, 0).astype(np.uint8)
    picture, notes = checked(np.dstack([np.zeros((SIDE, SIDE, 3), np.uint8), alpha]))
    np.testing.assert_array_equal(picture, RGB)
    assert "laid on white" in notes


def test_light_lines_on_dark_are_inverted_but_photos_are_not():
    picture, notes = checked(255 - RGB)
    np.testing.assert_array_equal(picture, RGB)
    assert "inverted" in notes
    picture, notes = checked(255 - RGB, "photo")
    np.testing.assert_array_equal(picture, 255 - RGB)
    assert notes == ""


def test_other_sizes_are_extended_and_averaged():
    wide = np.full((4, 16, 3), 255, np.uint8)
    wide[:, 4:8] = 0
    picture, notes = checked(wide)
    assert "extended to 16×16" in notes
    assert "scaled from 16×16 to the engine's 8×8" in notes
    np.testing.assert_array_equal(picture[:3], 255)
    np.testing.assert_array_equal(picture[5:], 255)
    np.testing.assert_array_equal(picture[3, :, 0], [255, 255, 0, 0, 255, 255, 255, 255])
    photo, _ = checked(wide, "photo")
    np.testing.assert_array_equal(photo[0], photo[3])


@pytest.mark.parametrize("length", [5, 12, 19, 24])
def test_averaging_keeps_the_mean(length):
    picture = np.random.default_rng(0).integers(0, 256, (length, length, 3), np.uint8)
    scaled = fit_to(picture, SIDE, "photo", lambda sentence: None)
    assert np.abs(scaled.mean((0, 1)) - picture.mean((0, 1))).max() < 1
    if length % SIDE == 0:
        k = length // SIDE
        blocks = picture.reshape(SIDE, k, SIDE, k, 3).mean((1, 3))
        assert np.abs(scaled - blocks).max() <= 0.51


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((8, 8), 255, np.uint8), "sketch is blank: its values lie within 255 to 255"),
        (np.full((8, 8, 3), 9, np.uint8), "sketch is blank"),
        (np.full((8, 8), np.nan, np.float32), "NaN or infinity"),
        (LINES / 255.0, r"convert it with \(255 \* image\)"),
        (LINES.astype(bool), "255 \\* image"),
        (np.zeros((2, 8, 8, 3), np.uint8), r"sketch is uint8 \[2, 8, 8, 3\]"),
        (np.zeros((8, 8, 2), np.uint8), r"sketch is uint8 \[8, 8, 2\]"),
        (np.zeros((0, 8, 3), np.uint8), "not empty"),
        ("sketch.png", "sketch is"),
    ],
)
def test_what_is_no_drawing_is_refused(image, message):
    with pytest.raises(InputError, match=message):
        checked(image)


def test_masks():
    np.testing.assert_array_equal(check_known_mask(None, (2, 3)), np.full((2, 3), 255))
    np.testing.assert_array_equal(check_known_mask([[True, False]], (1, 2)), [[255, 0]])
    with pytest.raises(InputError, match="known_mask is float64"):
        check_known_mask(np.ones((2, 2)), (2, 2))
