"""Figures inside holes against independent forms, OpenCV's methods, and the study's command."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from runtime.errors import InputError
from tests.training.runs import command
from tests.training.tiny_onnx import features
from training.checkpoint import Checkpoint, save_checkpoint
from training.data.holed import HeldOutPhotos, common_size, middle_part
from training.data.images import find_photos
from training.data.photo_folder import write_texture
from training.errors import DataError
from training.evaluation.appearance import Appearance, Fidelity, hole_psnr, hole_ssim
from training.evaluation.evaluate import evaluate, held_out_items
from training.evaluation.features import FeatureDistance, image_distance
from training.evaluation.inpainting_methods import CheckpointFeatures, NetworkFill, Trained, navier_stokes, telea
from training.evaluation.inpainting_study import load_trained
from training.evaluation.onnx_network import OnnxNetwork
from training.networks.infer_match_translate import Architecture, build
from training.system import HeldOut

TINY = Architecture(infer_ngf=4, n_blocks=1, feature_widths=(4, 4, 8), translate_ngf=4, n_levels=2)


def rng(seed=0):
    return np.random.default_rng(seed)


def photo(seed, height=32, width=40):
    return rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def checkpoint(seed=0):
    torch.manual_seed(seed)
    networks = build(TINY)
    for network in networks.values():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.uniform_(layer.weight, 1, 3)
    states = {name: network.state_dict() for name, network in networks.items()}
    return Checkpoint("inpainting", TINY, states, normalization="running-stats")


def box(height=32, width=40):
    hole = np.zeros((height, width), bool)
    hole[9:21, 12:30] = True
    return hole


def test_where_everything_is_missing_the_figures_are_scikits():
    real, fake = photo(0), photo(1)
    everything = np.ones((32, 40), bool)
    assert hole_psnr(real, fake, everything) == pytest.approx(peak_signal_noise_ratio(real, fake, data_range=255))
    whole = structural_similarity(real, fake, channel_axis=2, data_range=255)
    assert hole_ssim(real, fake, everything) == pytest.approx(whole, abs=1e-12)


def test_a_box_is_judged_as_if_cut_out():
    """PSNR of the cut pixels; SSIM of the cut with the three pixels around it that its windows reach."""
    real, fake = photo(0), photo(1)
    cut = np.s_[9:21, 12:30]
    assert hole_psnr(real, fake, box()) == pytest.approx(peak_signal_noise_ratio(real[cut], fake[cut], data_range=255))
    wider = np.s_[6:24, 9:33]
    expected = structural_similarity(real[wider], fake[wider], channel_axis=2, data_range=255)
    assert hole_ssim(real, fake, box()) == pytest.approx(expected, abs=1e-12)
    corner = np.zeros((32, 40), bool)
    corner[:2, :2] = True
    assert -1 <= hole_ssim(real, fake, corner) <= 1


def test_what_is_known_does_not_count():
    real, fake = photo(0), photo(1)
    hole = box()
    other_real, other_fake = (np.where(hole[..., None], image, photo(seed)) for image, seed in ((real, 2), (fake, 3)))

    def figures(real, fake):
        items = [HeldOut("a", fake, fake, real, hole=hole)]
        return evaluate(iter(items), [Fidelity(), Appearance()])

    first, second = figures(real, fake), figures(other_real, other_fake)
    assert "psnr" not in first.generated
    for key in ("hole_psnr", "sharpness", "chroma", "overlap_l", "overlap_a", "overlap_b"):
        assert first.generated[key] == pytest.approx(second.generated[key], rel=1e-12)
    assert first.notes == ["Sharpness, chroma and overlaps are those inside the holes."]


def test_sharpness_is_that_of_the_hole():
    """Columns everywhere; half of them are gone in the hole."""
    real = np.zeros((24, 33, 3), np.uint8)
    real[:, ::2] = 255
    fake = real.copy()
    fake[:, 17:] = 0
    hole = np.zeros((24, 33), bool)
    hole[4:20, 9:26] = True
    measure = Appearance()
    measure.add(HeldOut("a", fake, fake, real, hole=hole))
    assert measure.generated()["sharpness"] == pytest.approx(0.5)
    flat = Appearance()
    flat.add(HeldOut("a", fake, np.where(hole[..., None], np.uint8(90), real), real, hole=hole))
    assert flat.generated()["sharpness"] == 0, "the hole's outline is no detail"


def test_features_count_with_their_share_of_the_hole():
    first, second = rng(0).normal(size=(5, 8, 10)), rng(1).normal(size=(5, 8, 10))
    hole = box()
    expected, weights = 0.0, 0.0
    for row in range(8):
        for column in range(10):
            weight = hole[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].mean()
            a, b = (m[:, row, column] / np.linalg.norm(m[:, row, column]) for m in (first, second))
            expected, weights = expected + weight * np.square(a - b).sum(), weights + weight
    assert image_distance([first], [second], hole) == pytest.approx(expected / weights)
    everywhere = image_distance([first], [second], np.ones((32, 40), bool))
    assert everywhere == pytest.approx(image_distance([first], [second]))


def test_vectors_have_one_place_for_the_whole_hole(tmp_path):
    measure = FeatureDistance(OnnxNetwork(features(tmp_path / "f.onnx"), "features", "unit"))
    item = HeldOut("a", photo(0), photo(0), photo(1), hole=box())
    assert measure.add(item)["feature_distance"] > 0
    same = HeldOut("b", photo(0), photo(1), photo(1), hole=box())
    assert measure.add(same)["feature_distance"] == 0


def test_opencv_keeps_what_is_known_and_continues_an_even_picture():
    ramp = np.broadcast_to(np.linspace(40, 200, 40, dtype=np.uint8)[None, :, None], (32, 40, 3)).copy()
    for fill in (telea, navier_stokes):
        given = np.where(box()[..., None], np.uint8(255), ramp)
        made = fill(given, box())
        np.testing.assert_array_equal(made[~box()], ramp[~box()])
        assert np.abs(made[box()].astype(int) - ramp[box()]).mean() < 15, "255 would be 135 off"
        blind = fill(np.where(box()[..., None], np.uint8(0), ramp), box())
        np.testing.assert_array_equal(made, blind)


def test_networks_fill_the_hole_alone_and_do_not_look_into_it():
    trained = checkpoint()
    ways = {
        "whole": NetworkFill(trained, 1),
        "two scales": NetworkFill(trained, 2),
        "no swap": NetworkFill(trained, 1, swap=False),
        "coarse": NetworkFill(trained, 1, coarse=True),
        "iterations": NetworkFill(trained, 1, 2),
    }
    image, hole = photo(4, 32, 48), box(32, 48)
    made = {name: fill(image, hole) for name, fill in ways.items()}
    for name, fill in ways.items():
        np.testing.assert_array_equal(made[name][~hole], image[~hole])
        hidden = np.where(hole[..., None], np.uint8(0), image)
        np.testing.assert_array_equal(fill(hidden, hole), made[name])
    assert len({picture.tobytes() for picture in made.values()}) == len(ways)


def test_a_size_the_networks_do_not_take_is_refused(tmp_path):
    trained = Trained("a", tmp_path / "a.safetensors", checkpoint())
    trained.require_size((32, 48), 2)
    with pytest.raises(InputError, match=r"multiples of 16 and at least 32 at 2 scales, received 40×48"):
        trained.require_size((40, 48), 2)


def test_the_checkpoints_features_are_those_of_its_network(tmp_path):
    trained = checkpoint()
    (found,) = CheckpointFeatures(Trained("a", tmp_path / "a.safetensors", trained))(photo(0, 16, 24))
    image = torch.from_numpy(photo(0, 16, 24)).permute(2, 0, 1)[None].float() / 127.5 - 1
    np.testing.assert_allclose(found, trained.build()["features"](image).numpy(), rtol=1e-4, atol=1e-6)
    assert found.shape == (1, 8, 4, 6)


def test_photos_come_at_one_size_with_the_same_holes(tmp_path):
    for number, size in enumerate([(600, 700), (512, 900)]):
        Image.fromarray(photo(number, *size)).save(tmp_path / f"{number}.png")
    paths = find_photos(tmp_path, "val")
    assert common_size(paths) == (512, 512)
    photos = HeldOutPhotos(paths, (64, 96), ("boxes", "strokes"), 3)
    assert [item.image.shape for item in photos] == [(64, 96, 3)] * 2
    assert [item.name for item in photos[:1]] == ["0"]
    again = HeldOutPhotos(paths, (64, 96), ("boxes", "strokes"), 3)
    assert all(np.array_equal(a.hole, b.hole) for a, b in zip(photos, again, strict=True))
    assert not np.array_equal(photos[0].hole, HeldOutPhotos(paths, (64, 96), ("boxes", "strokes"), 4)[0].hole)
    Image.fromarray(photo(2, 300, 800)).save(tmp_path / "2.png")
    assert common_size(find_photos(tmp_path, "val")) == (256, 256)
    with pytest.raises(DataError, match="holes oval"):
        HeldOutPhotos(paths, None, ("oval",))


def test_the_middle_is_cut_to_the_sizes_proportions():
    picture = photo(0, 20, 40)
    np.testing.assert_array_equal(middle_part(picture, (20, 20)), picture[:, 10:30])
    np.testing.assert_array_equal(middle_part(picture, (10, 40)), picture[5:15])
    shrunk = middle_part(picture, (10, 10)).astype(float)
    means = picture[:, 10:30].reshape(10, 2, 10, 2, 3).mean((1, 3))
    assert np.abs(shrunk - means).max() <= 0.5
    assert middle_part(picture, (80, 80)).shape == (80, 80, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    for seed in range(3):
        write_texture(root / "data", "val", seed, 72)
    save_checkpoint(checkpoint(0), root / "narrow.safetensors")
    save_checkpoint(checkpoint(1), root / "runs" / "long" / "checkpoint.safetensors")
    return root


def test_the_command_writes_table_figures_and_grid(folder):
    out = folder / "out"
    paths = (folder / "narrow.safetensors", folder / "runs" / "long" / "checkpoint.safetensors")
    common = ("--data", folder / "data", "-o", out, "--hole", "centre", "--iterations", 2)
    result = command("inpainting-study", *paths, *common, "--size", "64x64", "--grid-items", 2)
    assert result.returncode == 0, result.stderr
    titles = ["Telea", "Navier-Stokes"]
    for name in ("narrow", "long"):
        titles += [f"{name}: Image2Feature", f"{name}: no swap", name, f"{name}, 2 iterations"]
    lines = (out / "table.md").read_text("utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ")]
    assert [row[0].removeprefix("| ") for row in rows] == ["method", *titles]
    assert "Items 3, size 64x64, holes centre, scales 1, features the feature network of narrow." in lines

    document = json.loads((out / "figures.json").read_text())
    assert list(document["rows"]) == titles
    hole = np.zeros((64, 64), bool)
    hole[16:48, 16:48] = True
    photos = [middle_part(np.asarray(Image.open(path)), (64, 64)) for path in find_photos(folder / "data", "val")]
    figures = [hole_psnr(image, telea(image, hole), hole) for image in photos]
    assert document["rows"]["Telea"]["generated"]["hole_psnr"] == pytest.approx(np.mean(figures))
    assert rows[1][1] == f"{np.mean(figures):.2f}"

    pictures = sorted((out / "pictures" / "narrow-no-swap").glob("*.png"))
    assert len(pictures) == 3
    first = np.asarray(Image.open(pictures[0]))
    assert first.shape == (64, 192, 3)
    np.testing.assert_array_equal(first[:, :64][~hole], photos[0][~hole])
    np.testing.assert_array_equal(first[:, 64:128][~hole], photos[0][~hole])
    np.testing.assert_array_equal(first[:, 128:], photos[0])
    grid = Image.open(out / "grid.png")
    assert grid.width > 12 * 192
    assert 2 * 192 < grid.height < 3 * 192


def test_wrong_checkpoints_and_names_are_refused(folder, tmp_path):
    torch.manual_seed(0)
    with pytest.raises(InputError, match="would both be called 'narrow'; rename one"):
        load_trained([folder / "narrow.safetensors"] * 2)
    result = command("untrained", "segmenter", "smoke", "-o", tmp_path / "s.safetensors")
    assert result.returncode == 0, result.stderr
    with pytest.raises(InputError, match="holds a network of family segmenter, expected inpainting"):
        load_trained([tmp_path / "s.safetensors"])
    common = ("--data", folder / "data", "-o", tmp_path / "out")
    result = command("inpainting-study", folder / "narrow.safetensors", *common, "--size", "60x64")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "multiples of 8" in result.stderr


def test_evaluate_judges_the_hole(folder):
    settings = {"holes": "centre", "size": "64x64"}
    items = list(held_out_items(checkpoint(), folder / "data", "val", settings))
    assert len(items) == 3
    report = evaluate(iter(items), [Fidelity(), Appearance()])
    for item in items:
        assert item.hole is not None
        assert item.hole.sum() == 32 * 32
        np.testing.assert_array_equal(item.fake_image[~item.hole], item.real_image[~item.hole])
    inside = [10 * np.log10(255**2 / _mse(item)) for item in items]
    assert report.generated["hole_psnr"] == pytest.approx(np.mean(inside))


def _mse(item):
    return np.mean((item.real_image[item.hole].astype(float) - item.fake_image[item.hole]) ** 2)
