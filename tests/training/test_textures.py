"""Procedural materials and scenes: cells against brute force, light against geometry, pictures that hold something."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import distance_transform_edt

from tests.training.runs import command
from training.data.images import find_photos
from training.data.textures import render_texture
from training.data.textures.camera import seen
from training.data.textures.cells import courses, stones
from training.data.textures.materials import MATERIALS
from training.data.textures.noise import fractal, smooth_noise
from training.data.textures.render import SUBJECTS
from training.data.textures.scenes import house_front, polygon
from training.data.textures.surface import Light, Surface, lit


def rng(seed=0):
    return np.random.default_rng(seed)


def light(azimuth=0.0, elevation=np.pi / 4):
    flat = np.cos(elevation)
    towards = (float(flat * np.cos(azimuth)), float(flat * np.sin(azimuth)), float(np.sin(elevation)))
    return Light(towards, np.ones(3, np.float32), np.zeros(3, np.float32))


def edge_distance(labels):
    """Pixels from each middle to the nearest pixel of another label, less the half pixel to that one's edge."""
    padded = np.pad(labels, 1, mode="edge")
    far = np.full(labels.shape, np.inf)
    for value in np.unique(labels):
        far = np.where(labels == value, distance_transform_edt(padded == value)[1:-1, 1:-1] - 0.5, far)
    return far


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_subject_is_a_picture(subject):
    """Structure at all scales: neither flat nor noise, not clipped away, another one for each seed."""
    pictures = [render_texture(seed, 96, subject) for seed in range(3)]
    for picture in pictures:
        assert picture.shape == (96, 96, 3)
        assert picture.dtype == np.uint8
        grey = picture.astype(float).mean(2)
        assert grey.std() > 3
        assert np.mean((grey < 1) | (grey > 254)) < 0.2
        neighbours = np.corrcoef(grey[:, 1:].ravel(), grey[:, :-1].ravel())[0, 1]
        assert neighbours > 0.35, "white noise would have 0"
    assert len({picture.tobytes() for picture in pictures}) == 3
    np.testing.assert_array_equal(pictures[1], render_texture(1, 96, subject))


def test_a_seed_chooses_among_all_subjects():
    """Of a seed's picture and the same seed's picture of each subject, one is the same."""
    chosen = []
    for seed in range(10):
        own = render_texture(seed, 64)
        same = [subject for subject in SUBJECTS if np.array_equal(render_texture(seed, 64, subject), own)]
        assert len(same) == 1
        chosen += same
    assert len(set(chosen)) >= 6


@pytest.mark.parametrize("shift", [0.0, 0.5, -1.0])
def test_courses_are_rectangles(shift):
    cells = courses(rng(1), (60, 90), (12.0, 30.0), shift)
    labels = cells.row * 1000 + cells.column
    inner = np.s_[13:-13, 31:-31]  # cells that the border does not cut
    np.testing.assert_allclose(cells.inset[inner], edge_distance(labels)[inner], atol=0.75)
    assert np.abs(cells.y).max() <= 6
    assert np.abs(cells.x).max() <= 15
    starts = [np.flatnonzero(np.diff(labels[row]))[0] for row in (6, 18, 30)]
    assert (len(set(starts)) == 1) == (shift == 0)


def test_stones_are_a_voronoi_diagram():
    cells = stones(rng(2), (80, 80), (16.0, 20.0), 0.8)
    labels = cells.row * 1000 + cells.column
    y, x = np.mgrid[:80, :80]
    centres = {}
    for value in np.unique(labels):
        points = np.stack([y - cells.y, x - cells.x], 2)[labels == value]
        np.testing.assert_allclose(points, np.broadcast_to(points[0], points.shape), atol=1e-3)
        centres[value] = points[0]
    keys = np.array(list(centres))
    at = np.stack([centres[key] for key in keys])
    far = np.hypot(y[..., None] - at[:, 0], x[..., None] - at[:, 1])
    inner = np.s_[20:-20, 24:-24]
    np.testing.assert_array_equal(keys[far.argmin(2)][inner], labels[inner])
    np.testing.assert_allclose(cells.inset[inner], edge_distance(labels)[inner], atol=0.9)


def test_noise_is_standard_and_as_smooth_as_asked():
    for cell in (1.0, 3.5, 12.0, (2.0, 20.0)):
        field = smooth_noise(rng(3), (160, 160), cell)
        assert field.shape == (160, 160)
        assert field.std() == pytest.approx(1, abs=1e-3)
    roughness = [np.abs(np.diff(smooth_noise(rng(4), (160, 160), cell), axis=1)).mean() for cell in (2, 8, 32)]
    assert roughness[0] > 2 * roughness[1] > 4 * roughness[2]
    stretched = smooth_noise(rng(5), (160, 160), (3.0, 24.0))
    assert np.abs(np.diff(stretched, axis=0)).mean() > 4 * np.abs(np.diff(stretched, axis=1)).mean()
    assert fractal(rng(6), (256, 256), 8.0).std() == pytest.approx(1, abs=0.1)


def test_flat_surfaces_are_lit_by_the_sines_law():
    flat = Surface(np.full((16, 16, 3), 0.5, np.float32), np.zeros((16, 16), np.float32))
    for elevation in (0.4, 0.9, 1.3):
        np.testing.assert_allclose(lit(flat, light(0.7, elevation)), 0.5 * np.sin(elevation), rtol=1e-5)


def test_a_wall_casts_its_shadow_away_from_the_sun():
    """Four pixels high, sun at 45 degrees on the right: four pixels of shadow on the left."""
    height = np.zeros((20, 40), np.float32)
    height[:, 25:] = 4
    seen_lit = lit(Surface(np.ones((20, 40, 3), np.float32), height), light(0.0))[10, :, 0]
    assert seen_lit[19] == pytest.approx(np.sin(np.pi / 4), rel=0.02)
    assert seen_lit[22:24].max() < 0.2
    other_side = lit(Surface(np.ones((20, 40, 3), np.float32), height), light(np.pi))[10, :, 0]
    assert other_side[22:24].min() > 0.6


def test_a_floor_runs_away_from_the_viewer(monkeypatch):
    """A horizon's row shows 2.47 times as much of the surface as the nearest one: counted in stripes."""

    def stripes(rng, shape, unit):
        colours = np.broadcast_to((np.arange(shape[1]) // 8 % 2)[None, :, None], (*shape, 3))
        return Surface(colours.astype(np.float32))

    monkeypatch.setitem(MATERIALS, "tiles", stripes)
    floor = seen(rng(8), "tiles", (200, 200), 24.0, light(), tilt=1.0)[..., 0]
    counts = [np.count_nonzero(np.diff(row > 0.5)) for row in floor]
    assert counts[0] / counts[-1] == pytest.approx(1.3 * 1.9, rel=0.1)
    assert np.all(np.diff(counts) <= 1), "ever fewer towards the viewer"
    front = seen(rng(8), "tiles", (200, 200), 24.0, light(), slant=0.0)[..., 0]
    assert {np.count_nonzero(np.diff(row > 0.5)) for row in front} <= {24, 25}


def test_windows_of_a_house_are_alike():
    """Some of the fronts have two windows beside each other, whose panes are then equal to the last bit."""
    equal = 0
    for seed in range(12):
        front = house_front(rng(seed), (96, 96), 12.0, light(-1.0))
        for columns in (2, 3):
            wide = 96 // columns
            same = np.all(front[:, :wide] == front[:, wide : 2 * wide], axis=2)
            equal += same.sum() > 150
    assert equal >= 3


def test_polygons_cover_their_area():
    corners = np.array([(10.5, 5.0), (50.0, 12.0), (40.0, 44.5), (8.0, 30.0)])
    x, y = corners.T
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    outline = np.hypot(*(corners - np.roll(corners, 1, 0)).T).sum()
    # OpenCV paints the outline too, half a pixel to each side.
    assert area < polygon((60, 60), corners - 0.5).sum() < area + 0.75 * outline


def test_the_command_writes_textures(tmp_path):
    result = command("textures", tmp_path, "--count", 2, "--side", 64, "--seed", 7, "--split", "val")
    assert result.returncode == 0, result.stderr
    names = [path.name for path in find_photos(tmp_path, "val")]
    assert names == ["texture_000007.png", "texture_000008.png"]
    written = np.asarray(Image.open(tmp_path / "val" / names[1]))
    np.testing.assert_array_equal(written, render_texture(8, 64))
