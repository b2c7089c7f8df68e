"""Figures of images, against independent implementations and closed forms."""

import numpy as np
import pytest
import torch
import typer
from scipy.linalg import sqrtm
from torch.nn.functional import cosine_similarity

from runtime.errors import EngineFormatError, InputError
from tests.training.runs import scene_data
from tests.training.tiny_onnx import features
from training.__main__ import app
from training.checkpoint import Checkpoint
from training.errors import DataError
from training.evaluation.appearance import Appearance, Fidelity
from training.evaluation.evaluate import evaluate, held_out_items, write_report
from training.evaluation.features import FeatureDistance, frechet_distance, image_distance, verification_accuracy
from training.evaluation.figures import FIGURES
from training.evaluation.onnx_network import OnnxNetwork
from training.networks import FAMILIES
from training.networks.segmenter import Architecture
from training.system import HeldOut, family_system, makes_images


def item(fake, real, name="item", label_map=None):
    return HeldOut(name, real, fake, real, label_map)


def photo(seed, height=24, width=32):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def appearance(fake, real):
    measure = Appearance()
    measure.add(item(fake, real))
    return measure.generated()


def test_identical_images_reach_the_bounds():
    figures = appearance(photo(0), photo(0))
    assert figures == pytest.approx(Appearance().real())
    assert set(figures) <= FIGURES.keys()


def test_overlap_of_histograms_says_nothing_of_places_and_everything_of_colours():
    real = photo(0)
    mirrored = appearance(real[::-1, ::-1].copy(), real)
    assert [mirrored[f"overlap_{name}"] for name in "lab"] == pytest.approx([1, 1, 1])

    black, half = np.zeros((24, 32, 3), np.uint8), np.zeros((24, 32, 3), np.uint8)
    half[:, :16] = 255
    assert appearance(black, half)["overlap_l"] == pytest.approx(0.5)


def test_grey_images_have_no_chroma():
    real = photo(0)
    grey = np.repeat(real.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    assert appearance(grey, real)["chroma"] < 0.01
    assert appearance(real, grey)["chroma"] > 100


def test_sharpness_is_the_share_of_gradient_that_is_left():
    """Black and white columns on one half of the image only: half the edges."""
    real = np.zeros((24, 33, 3), np.uint8)
    real[:, ::2] = 255
    fake = real.copy()
    fake[:, 17:] = 255
    assert appearance(fake, real)["sharpness"] == pytest.approx(0.5)


def test_means_totals_and_the_report(tmp_path):
    items = [item(photo(1), photo(2), "first"), item(photo(3), photo(3) // 2, "second")]
    report = evaluate(iter(items), [Fidelity(), Appearance()], tmp_path)
    each = [10 * np.log10(255**2 / np.mean((i.fake_image.astype(float) - i.real_image) ** 2)) for i in items]
    assert [report.items[name]["psnr"] for name in ("first", "second")] == pytest.approx(each)
    assert report.generated["psnr"] == pytest.approx(np.mean(each))
    assert "psnr" not in report.real
    write_report(tmp_path / "report.md", report, {"size": "24x32"})
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert lines[0] == "size: 24x32"
    (header,) = [line for line in lines if "PSNR" in line and line.startswith("|")]
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + 2 + 2, "header, ruler, items, generated, real"
    assert {row.count("|") for row in rows} == {header.count("|")}


def test_images_too_small_for_ssim():
    with pytest.raises(DataError, match="7×7"):
        Fidelity().add(item(photo(0, 6, 32), photo(1, 6, 32)))


def test_image_distance_is_that_of_the_angle():
    """|a/|a| − b/|b||² = 2 − 2 cos(a, b)."""
    rng = np.random.default_rng(0)
    first, second = ([rng.normal(size=(c, 5, 4)) for c in (8, 3)] for _ in range(2))
    pairs = zip(first, second, strict=True)
    angles = [cosine_similarity(torch.from_numpy(a), torch.from_numpy(b), dim=0) for a, b in pairs]
    assert image_distance(first, second) == pytest.approx(np.mean([float((2 - 2 * a).mean()) for a in angles]))
    assert image_distance(first, [3 * a for a in first]) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_full_covariances():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(200, 6)), rng.normal(size=(150, 6)) @ rng.normal(size=(6, 6)) + 1
    c1, c2 = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    expected = np.sum((first.mean(0) - second.mean(0)) ** 2) + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
    assert frechet_distance(first, second) == pytest.approx(expected)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(first, first + 2) == pytest.approx(4 * 6), "equal covariances: the means' distance"


def test_frechet_distance_of_fewer_items_than_dimensions():
    """tr (C1 C2)^½ is then the nuclear norm of the product of the centred rows."""
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(5, 40)), 2 * rng.normal(size=(5, 40))
    a, b = first - first.mean(0), second - second.mean(0)
    spread = (np.square(a).sum() + np.square(b).sum()) / 4
    expected = np.sum((first.mean(0) - second.mean(0)) ** 2) + spread - 2 * np.linalg.norm(a @ b.T, "nuc") / 4
    assert frechet_distance(first, second) == pytest.approx(expected)


def test_verification_counts_who_is_nearest_to_himself():
    real = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    fake = real + np.array([[1, 1], [-6, 0], [0, 4.9], [-0.5, -4]])
    assert verification_accuracy(fake, real) == 0.75
    assert verification_accuracy(real, real) == 1.0
    assert verification_accuracy(real[::-1], real) == 0.0


def test_frechet_distance_of_one_dimension():
    rows = np.random.default_rng(3).normal(size=(50, 1))
    assert frechet_distance(rows, 3 * rows) == pytest.approx((2 * rows.std(ddof=1)) ** 2 + (2 * rows.mean()) ** 2)


@pytest.mark.parametrize("vectors", [False, True])
def test_features_of_a_network(tmp_path, vectors):
    """The network's features are the pixels and their mean, so everything can be said without it."""
    network = OnnxNetwork(features(tmp_path / "features.onnx", vectors), "features", "unit")
    measure = FeatureDistance(network)
    pairs = [(photo(n), photo(n + 100)) for n in range(9)]
    each = [measure.add(item(*pair))["feature_distance"] for pair in pairs]
    maps = [[image.transpose(2, 0, 1) / 127.5 - 1.0 for image in pair] for pair in pairs]
    means = [[image.mean((1, 2), keepdims=True) for image in pair] for pair in maps]
    expected = [image_distance([a[0], b[0]], [a[1], b[1]]) for a, b in zip(maps, means, strict=True)]
    assert each == pytest.approx(expected, rel=1e-4)
    fake, real = (np.array([np.tile(pair[side].ravel(), 2) for pair in means]) for side in (0, 1))
    assert measure.generated()["frechet_distance"] == pytest.approx(frechet_distance(fake, real), rel=1e-4)
    fake, real = (np.array([grey_on_grid(pair[side]) for pair in pairs]) for side in (0, 1))
    nearest = np.linalg.norm(fake[:, None] - real[None], axis=-1).argmin(1)
    assert measure.generated()["verification"] == np.mean(nearest == np.arange(9))
    assert measure.real()["verification"] == 1.0
    (note,) = measure.notes()
    assert "by chance it is 0.111" in note


def grey_on_grid(image):
    """What verification compares: the luma of 24×32 pixels on 16×16 places, and its mean, three channels alike."""
    luma = (image @ np.array([0.299, 0.587, 0.114]) + 0.5).astype(np.uint8) / 127.5 - 1
    grid = luma.repeat(2, 0).reshape(16, 3, 16, 2).mean((1, 3))
    return np.concatenate([np.tile(grid.ravel(), 3), np.tile(luma.mean(), 3)])


def test_verification_sees_shape_not_colour(tmp_path):
    """Each photo's completion has its drawing in another one's colours."""
    measure = FeatureDistance(OnnxNetwork(features(tmp_path / "features.onnx"), "features", "unit"))
    y, x = np.indices((40, 40))
    shapes = [np.hypot(y - a, x - b)[..., None] < 9 for a, b in ((12, 12), (28, 12), (12, 28), (28, 28))]
    colours = [(200, 40, 40), (30, 110, 40), (40, 40, 220), (90, 60, 90)]
    real = [np.where(shape, np.uint8(colour), np.uint8(230)) for shape, colour in zip(shapes, colours, strict=True)]
    fake = [np.where(s, np.uint8(c), np.uint8(230)) for s, c in zip(shapes, colours[1:] + colours[:1], strict=True)]
    for pair in zip(fake, real, strict=True):
        measure.add(item(*pair))
    assert measure.generated()["verification"] == 1.0
    means = [np.stack([picture.mean((0, 1)) for picture in pictures]) for pictures in (fake, real)]
    assert verification_accuracy(*means) == 0.0
    # Inside a hole nobody is verified.
    holed = FeatureDistance(measure.network)
    for a, b in zip(fake, real, strict=True):
        holed.add(HeldOut("a", b, a, b, hole=shapes[0][..., 0]))
    assert "verification" not in holed.generated() | holed.real()


def test_few_items_are_said(tmp_path):
    network = OnnxNetwork(features(tmp_path / "features.onnx"), "features")
    measure = FeatureDistance(network)
    measure.add(item(photo(0), photo(1)))
    assert measure.generated() == {}
    assert "two items" in measure.notes()[0]
    measure.add(item(photo(2), photo(3)))
    report = evaluate(iter([item(photo(4), photo(5))]), [measure])
    assert "3 items for 6 dimensions" in report.notes[-1]


def test_what_is_no_network(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    with pytest.raises(EngineFormatError, match="is no network"):
        OnnxNetwork(broken, "features")
    fine = features(tmp_path / "features.onnx")
    broken.write_bytes(fine.read_bytes().replace(b"\x12\x01H", b"\x12\x01\xcb"))  # the axis H, no longer UTF-8
    with pytest.raises(EngineFormatError, match=r"is no network.*decode byte 0xcb"):
        OnnxNetwork(broken, "features")
    with pytest.raises(InputError, match="imagenet, unit"):
        OnnxNetwork(fine, "features", "caffe")


@pytest.mark.parametrize("family", [family for family in FAMILIES if makes_images(family)])
def test_every_setting_of_a_family_is_an_option(family, tmp_path):
    options = dict.fromkeys(family_system(family).SETTINGS, "nonsense")
    command = typer.main.get_command(app).get_command(None, "evaluate")
    given = [f"--{name}={value}" for name, value in options.items()]
    context = command.make_context("evaluate", [str(tmp_path / "c.safetensors"), "--data", str(tmp_path), *given])
    assert options.items() <= context.params.items()


def test_a_family_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match="makes no images"):
        held_out_items(Checkpoint("segmenter", Architecture(), {}), tmp_path, "val", {})


@pytest.mark.parametrize(("family", "name"), [("pix2pix", "styles"), ("pix2pixhd", "derive")])
def test_a_familys_unknown_settings_are_named(tmp_path, family, name):
    with pytest.raises(InputError, match=f"{family} does not know --{name}"):
        held_out_items(Checkpoint(family, None, {}), tmp_path, "val", {name: "x"})


@pytest.mark.parametrize(("direction", "has_labels"), [("AtoB", True), ("BtoA", False)])
def test_label_maps_belong_to_generated_photos_only(tmp_path, direction, has_labels):
    """From photo to labels the generated image shows labels: no segmenter can score it."""
    module = family_system("pix2pix")
    checkpoint = module.untrained(module.Options(**module.PRESETS["smoke"], derive="labels", direction=direction))
    data = scene_data(tmp_path, 1, "val")
    (held_out,) = held_out_items(checkpoint, data, "val", {"size": "64x128"})
    assert (held_out.label_map is not None) == has_labels
    assert held_out.fake_image.shape == (64, 128, 3)
