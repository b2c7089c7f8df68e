"""Photographed sketches: their paper's brightness goes, their lines stay; what is white already stays as it is."""

import numpy as np
import pytest

from runtime.errors import InputError
from runtime.media.images import read_photo
from runtime.runners.paper import on_white_paper
from runtime.runners.sketch_input import check_drawing
from tests.paths import ROOT

SIDE = 64
Y, X = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
INK = (np.abs(np.hypot(X, Y) - 0.7) < 0.06) | ((np.abs(Y) < 0.05) & (np.abs(X) < 0.3))
LINES = np.where(INK[..., None], 0, 255).astype(np.uint8).repeat(3, 2)
# A lamp at the upper left, over paper that is not white.
LIGHT = (0.75 - 0.3 * X - 0.2 * Y - 0.1 * X * X)[..., None].clip(0, 1)


def checked(image):
    notes = []
    return check_drawing(image, "sketch", SIDE, notes.append).astype(float), " ".join(notes)


def pixels(values):
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def test_the_shipped_sketch_is_left_alone():
    sketch = read_photo(ROOT / "runtime" / "assets" / "faces_sketch.png")
    assert on_white_paper(sketch)[1] is None


@pytest.mark.parametrize(
    ("paper", "ink"), [((240, 215, 150), (0, 0, 0)), ((170, 170, 170), (90, 90, 90)), ((110, 110, 110), (20, 20, 20))]
)
def test_coloured_grey_and_dim_paper_becomes_white(paper, ink):
    picture, notes = checked(np.where(INK[..., None], np.uint8(ink), np.uint8(paper)))
    assert picture[~INK].min() >= 252
    np.testing.assert_allclose(picture[INK], np.broadcast_to(255 * np.divide(ink, paper), (INK.sum(), 3)), atol=3)
    assert "paper is not white" in notes
    assert "inverted" not in notes


def test_chalk_on_a_board_becomes_ink_on_white():
    board, chalk = np.uint8((30, 60, 140)), np.uint8((220, 240, 250))
    picture, notes = checked(np.where(INK[..., None], chalk, board))
    assert picture[~INK].min() >= 252
    assert picture[INK].mean() < 60
    assert "inverted" in notes


HAIR = (np.abs(X) < 0.6) & (np.abs(Y + 0.4) < 0.35)
FILLING = np.where(HAIR[..., None], 0, 255).astype(np.uint8).repeat(3, 2)


@pytest.mark.parametrize(("lines", "light"), [(LINES, LIGHT), (FILLING, 0.75 - 0.25 * X[..., None])])
def test_uneven_light_goes_and_lines_and_fillings_stay(lines, light):
    noise = np.random.default_rng(0).normal(0, 2, (SIDE, SIDE, 1))
    photographed = pixels((0.9 * lines + 20) * light + noise)
    assert light.max() >= 2 * light.min()
    before = np.abs(photographed.astype(float) - lines).mean()
    picture, notes = checked(photographed)
    assert "paper is not white" in notes
    assert np.abs(picture - lines).mean() < 0.3 * before
    assert picture[lines[..., 0] > 0].mean() > 240
    assert picture[lines[..., 0] == 0].mean() < 40


@pytest.mark.parametrize("share", [4, 3, 2])
def test_white_paper_with_a_large_filling_is_white(share):
    half = np.full((SIDE, SIDE, 3), 255, np.uint8)
    half[:, : SIDE // share] = 0
    assert on_white_paper(half)[1] is None


def test_blank_paper_in_uneven_light_is_blank():
    noise = np.random.default_rng(0).normal(0, 1, (SIDE, SIDE, 1))
    with pytest.raises(InputError, match="sketch is blank"):
        checked(pixels((230 * LIGHT + noise).repeat(3, 2)))


def test_light_ink_on_nothing_is_laid_on_black():
    alpha = np.where(INK, 255, 0).astype(np.uint8)
    picture, notes = checked(np.dstack([np.full((SIDE, SIDE, 3), 250, np.uint8), alpha]))
    assert "laid on black" in notes
    assert "inverted" in notes
    assert np.abs(picture - LINES).max() <= 8
    with pytest.raises(InputError, match="sketch is blank"):
        checked(np.full((SIDE, SIDE, 4), (250, 250, 250, 0), np.uint8))
