"""How a drawing of any form becomes what the engine takes."""

import tracemalloc

import numpy as np
import pytest

from runtime.errors import InputError
from runtime.runners.sketch_input import check_drawing, check_hint, check_known_mask, fit_to

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


@pytest.mark.parametrize("length", [12, 19, 24])
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


def test_a_hints_colours_are_averaged_by_their_opacity():
    hint = np.zeros((16, 16, 4), np.uint8)
    hint[0, 0] = (200, 100, 0, 255)
    hint[0, 1] = (0, 100, 200, 85)
    hint[1, :2] = (255, 255, 255, 0)
    pixels, weights = check_hint(hint, (16, 16), 8)
    assert pixels.shape == (8, 8, 3)
    assert pixels[0, 0].tolist() == [150, 100, 50]
    assert weights[0, 0] == 85
    assert weights.sum() == 85


def test_a_hint_goes_the_way_of_its_drawing():
    """What lies beside a drawing says nothing, and a dab is where the drawing has its line."""
    drawing = np.full((8, 16), 255, np.uint8)
    drawing[2:4, 4:8] = 0
    hint = np.zeros((8, 16, 4), np.uint8)
    hint[2:4, 4:8] = (10, 20, 30, 255)
    picture, _ = checked(drawing)
    pixels, weights = check_hint(hint, (8, 16), SIDE)
    np.testing.assert_array_equal(weights > 0, picture[..., 0] == 0)
    assert (pixels[weights > 0] == (10, 20, 30)).all()


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        (np.full((8, 8, 3), 9, np.uint8), r"hint is uint8 \[8, 8, 3\], expected uint8 \[8, 8, 4\]"),
        (np.full((8, 9, 4), 9, np.uint8), r"hint is uint8 \[8, 9, 4\]"),
        (np.full((8, 8, 4), 0.5), "hint is float64"),
        (np.zeros((8, 8, 4), np.uint8), "transparent everywhere"),
    ],
)
def test_what_is_no_hint_is_refused(hint, message):
    with pytest.raises(InputError, match=message):
        check_hint(hint, (8, 8), SIDE)


def test_a_picture_of_millions_of_pixels_needs_no_floats_of_them():
    """In floats it is four times as large as in bytes; scaled line by line, a sixth of it is needed."""
    picture = np.full((3000, 3000, 3), 255, np.uint8)
    picture[1000:1500] = 0
    tracemalloc.start()
    scaled = fit_to(picture, 64, "photo", lambda sentence: None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert scaled[25].max() == 0
    assert scaled[15].min() == 255
    assert peak < 0.25 * picture.nbytes
