"""Sketch styles where the answer is known: uniform pictures, step edges, circles; and against SciPy's filters."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

from runtime.runners.paper import has_light_lines, on_white_paper
from tests.training.runs import command
from training.data.images import read_photo
from training.data.photo_folder import write_face
from training.data.sketches import STYLES, FDoG, Photocopy, XDoG, edge_tangent_flow, luminance

SIDE = 64
LEFT, RIGHT = 60, 200


def grey(values):
    """[H, W] → RGB uint8."""
    return np.round(values).clip(0, 255).astype(np.uint8)[..., None].repeat(3, 2)


def step_edge():
    """Dark left of the middle, light right of it."""
    return grey(np.where(np.arange(SIDE) < SIDE // 2, LEFT, RIGHT)[None].repeat(SIDE, 0))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("level", [60, 128, 255])
def test_what_is_uniform_has_no_lines(style, level):
    assert (STYLES[style](grey(np.full((20, 30), level))) == 255).all()


@pytest.mark.parametrize("style", STYLES)
def test_same_photo_same_bytes_at_any_size(style):
    photo = np.random.default_rng(0).integers(0, 256, (37, 23, 3), np.uint8)
    first, second = STYLES[style](photo), STYLES[style](photo.copy())
    np.testing.assert_array_equal(first, second)
    assert first.shape == (37, 23)
    assert first.dtype == np.uint8
    assert STYLES[style](photo[:1, :1]).shape == (1, 1)


def test_luminance_weighs_as_pillow_does():
    photo = np.random.default_rng(1).integers(0, 256, (9, 8, 3), np.uint8)
    np.testing.assert_allclose(255 * luminance(photo), np.asarray(Image.fromarray(photo).convert("L")), atol=1.01)


def test_xdog_of_a_step_is_the_papers_formula():
    xdog = XDoG(sigma=1.5, k=1.6, p=6.0, epsilon=0.5, phi=2.0)
    # A blurred step is the Gaussian's integral.
    across = np.arange(SIDE) + 0.5 - SIDE // 2

    def blurred(sigma):
        return (LEFT + (RIGHT - LEFT) * ndtr(across / sigma)) / 255

    sharpened = 7 * blurred(1.5) - 6 * blurred(2.4)
    expected = np.where(sharpened >= 0.5, 1, 1 + np.tanh(2 * (sharpened - 0.5)))
    assert np.abs(xdog(step_edge())[SIDE // 2] / 255 - expected).max() < 0.03


def test_xdog_agrees_with_scipys_gaussians():
    photo = np.random.default_rng(2).integers(0, 256, (40, 50, 3), np.uint8)
    x = XDoG(epsilon=0.3, p=3.0)
    image = luminance(photo).astype(np.float64)
    inner, outer = (gaussian_filter(image, s, mode="nearest", truncate=5) for s in (x.sigma, x.k * x.sigma))
    sharpened = (1 + x.p) * inner - x.p * outer
    expected = np.where(sharpened >= 0.3, 1, 1 + np.tanh(x.phi * (sharpened - 0.3)))
    assert np.abs(x(photo) / 255 - expected).mean() < 0.01


@pytest.mark.parametrize("angle", [0.0, 0.6, 1.2, 2.5])
def test_flow_runs_along_a_straight_edge(angle):
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    image = np.tanh((x * np.cos(angle) + y * np.sin(angle)) / 3).astype(np.float32)
    flow = edge_tangent_flow(image)
    np.testing.assert_allclose(np.linalg.norm(flow, axis=-1), 1, atol=1e-4)
    crossing = np.abs(flow[..., 0] * np.cos(angle) + flow[..., 1] * np.sin(angle))
    on_edge = np.abs(x * np.cos(angle) + y * np.sin(angle)) < 6
    assert crossing[8:-8, 8:-8][on_edge[8:-8, 8:-8]].max() < 0.05


def test_flow_runs_round_a_disc_and_ignores_specks():
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    radius = np.hypot(x, y)
    disc = np.clip(20 - radius, 0, 1)
    noisy = (disc + np.random.default_rng(3).normal(0, 0.03, disc.shape)).astype(np.float32)
    flow = edge_tangent_flow(noisy)
    on_edge = np.abs(radius - 20) < 1.5
    radial = np.abs(flow[..., 0] * x + flow[..., 1] * y) / radius
    assert radial[on_edge].max() < 0.3
    raw = edge_tangent_flow(noisy, iterations=0)
    assert radial[on_edge].mean() < 0.5 * (np.abs(raw[..., 0] * x + raw[..., 1] * y) / radius)[on_edge].mean()


def test_fdog_draws_one_line_on_the_dark_side_of_an_edge():
    drawing = FDoG(iterations=1)(step_edge())[4:-4]
    dark = np.flatnonzero(drawing[0] < 128)
    assert len(dark) in range(1, 6)
    assert (np.diff(dark) == 1).all()
    assert SIDE // 2 - 5 < dark.mean() < SIDE // 2
    assert (drawing == drawing[0]).all()


def test_fdog_joins_a_broken_line_that_xdog_leaves_broken():
    values = np.full((SIDE, SIDE), 220.0)
    values[30:33, 6:58] = 40
    values[:, 30:33] = 220
    drawings = {name: STYLES[name](grey(values)) for name in ("xdog", "fdog")}
    gap = {name: drawing[29:34, 31].min() for name, drawing in drawings.items()}
    assert gap["fdog"] < 128 < gap["xdog"]


def test_photocopy_darkens_spots_and_clears_the_ground():
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    picture = grey(np.where(np.hypot(x, y) < 5, 90, 180) + 20 * x / SIDE)
    copy = Photocopy()(picture)
    assert copy[SIDE // 2, SIDE // 2] < 30
    assert (copy[:, :8] == 255).mean() > 0.9
    assert Photocopy(percent_black=0.02)(picture).mean() > copy.mean()


def test_the_command_sketches_a_folder(tmp_path):
    photo = np.random.default_rng(4).integers(0, 256, (16, 24, 3), np.uint8)
    (tmp_path / "photos").mkdir()
    Image.fromarray(photo).save(tmp_path / "photos" / "a.png")
    result = command("sketches", tmp_path / "photos", "--style", "fdog", "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "a.png")), STYLES["fdog"](photo))
    for arguments, message in (
        (("--style", "ink", "-o", tmp_path / "out"), "choose one of xdog, fdog, photocopy"),
        (("-o", tmp_path / "photos"), "would replace them"),
    ):
        result = command("sketches", tmp_path / "photos", *arguments)
        assert result.returncode == 2
        assert message in result.stderr


@pytest.mark.parametrize("style", STYLES)
def test_the_runtime_leaves_computed_sketches_alone(style, tmp_path):
    """It evens out photographed paper, and must not take a computed sketch for it."""
    for seed in range(4):
        write_face(tmp_path, "val", seed, 128)
    for photo in sorted((tmp_path / "val").iterdir()):
        sketch = np.repeat(STYLES[style](read_photo(photo))[..., None], 3, -1)
        same, paper = on_white_paper(sketch)
        assert paper is None
        assert same is sketch
        assert not has_light_lines(sketch)
