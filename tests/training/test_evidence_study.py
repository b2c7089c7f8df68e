"""What a completion is given: hints beside a sketch, sketches of other styles, and the tables over both."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from tests.training.runs import command, face_data, train
from training.checkpoint import load_checkpoint
from training.data.images import read_photo
from training.data.joint import find_photos, joint_image
from training.evaluation.evidence_study import Study, dabs_of_colour, hint_study, style_study
from training.networks.completion_losses import contextual_loss
from training.networks.layers import to_unit_range
from training.state import CHECKPOINT_FILE
from training.systems.contextual_gan.completion import Search
from training.systems.contextual_gan.held_out import Completer, Item, find_items

SIDE = 16


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return face_data(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def trained(faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    train(folder / "gan", family="contextual_gan", data=str(faces))
    return folder / "gan" / CHECKPOINT_FILE


@pytest.fixture
def checkpoint(trained):
    checkpoint = load_checkpoint(trained)
    for weight in checkpoint.networks["generator"].values():
        weight *= 10 if weight.ndim > 1 else 1  # two steps of training leave everything grey
    return checkpoint


def evaluating(row):
    return nullcontext(lambda name: None)


def study_in(folder, faces, limit=2):
    return Study(faces, "val", limit, Search(iterations=40, learning_rate=0.3), folder)


@pytest.mark.parametrize("given", [0, 1])
def test_a_hint_weighs_the_other_half(given):
    joint = np.zeros((4, 8, 3), np.uint8)
    hint = np.zeros((4, 4), np.uint8)
    hint[1, 2], hint[3, 0] = 255, 51
    known, other = np.split(Item("a", joint, given, hint).weights, 2, 1)[:: 1 - 2 * given]
    assert (known == 1).all()
    assert other[1, 2] == 1
    assert other[3, 0] == pytest.approx(0.2)
    assert np.count_nonzero(other) == 2
    assert Item("a", joint, given).weights.sum() == 16


def test_dabs_lie_where_a_face_has_hair_and_a_cheek():
    dabs = dabs_of_colour(64)
    assert dabs.sum() == 2 * 8 * 8
    assert dabs[5:13, 28:36].all()
    assert dabs[36:44, 19:27].all()
    assert dabs_of_colour(16).sum() == 2 * 2 * 2


def test_a_hint_pulls_the_photo_to_what_it_shows(checkpoint, faces):
    """A search that sees the true photo, too, ends nearer to it than one that sees the sketch alone."""
    completer, search = Completer(checkpoint), Search(iterations=40, learning_rate=0.3)
    item = next(find_items(checkpoint, faces, "val"))
    real = item.joint[:, SIDE:].astype(float)
    errors = []
    for weight in (0, 30, 255):
        hinted = replace(item, hint=np.full((SIDE, SIDE), weight, np.uint8))
        made = hinted.held_out(completer.complete(hinted, search).images[40]).fake_image
        errors.append(np.square(made - real).mean())
    assert errors[0] > errors[1] > errors[2]
    alone = item.held_out(completer.complete(item, search).images[40]).fake_image
    assert np.square(alone - real).mean() == errors[0]


def test_the_table_of_hints_is_about_the_pictures_beside_it(checkpoint, faces, tmp_path):
    study = study_in(tmp_path, faces)
    stale = tmp_path / "pictures" / "dabs-64" / "stale.png"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"")
    reports = hint_study(checkpoint, study, evaluating)
    rows = ["none", "dabs, 16", "dabs, 64", "dabs, 255", "whole photo, 16", "whole photo, 64", "whole photo, 255"]
    assert list(reports) == rows
    outside = ~dabs_of_colour(SIDE)
    for row in rows:
        pictures = sorted((tmp_path / "pictures" / row.replace(", ", "-").replace(" ", "-")).iterdir())
        assert [picture.stem for picture in pictures] == [photo.stem for photo in find_photos(faces, "val")[:2]]
        distances = []
        for picture in pictures:
            _, fake, real = (rgb2lab(part) for part in np.split(read_photo(picture), 3, 1))
            distances.append(np.sqrt(np.square(fake - real).sum(-1))[outside].mean())
        assert reports[row].generated["colour_distance"] == pytest.approx(np.mean(distances))
    table = (tmp_path / "table.md").read_text("utf-8")
    assert [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| ")][1:] == [
        f"| {r}" for r in rows
    ]
    assert "Means over 2 items; 40 steps, N = 10." in table
    assert (tmp_path / "grid.png").exists()


def test_the_contextual_loss_is_that_of_the_sketch_without_its_hint(checkpoint, faces, tmp_path):
    study = study_in(tmp_path, faces, limit=1)
    reports = hint_study(checkpoint, study, evaluating)
    completer = Completer(checkpoint)
    (item,) = study.items(checkpoint)
    plain = completer.complete(item, study.search)
    assert reports["none"].generated["contextual_loss"] == pytest.approx(plain.contextual_loss[-1], rel=1e-5)
    hinted = completer.complete(replace(item, hint=np.full((SIDE, SIDE), 255, np.uint8)), study.search)
    sketches = (to_unit_range(torch.from_numpy(item.joint)[None]), hinted.images[40])
    observed, made = (image[..., :SIDE] for image in sketches)
    alone = contextual_loss(made, observed, torch.ones(1, 1, SIDE, SIDE))
    assert reports["whole photo, 255"].generated["contextual_loss"] == pytest.approx(float(alone), rel=1e-5)
    assert float(alone) != pytest.approx(hinted.contextual_loss[-1], rel=0.01)


def test_every_network_meets_every_style(checkpoint, trained, faces, tmp_path):
    study = study_in(tmp_path, faces)
    reports = style_study({"loud": checkpoint, "quiet": load_checkpoint(trained)}, study, evaluating)
    styles = ("xdog", "fdog", "photocopy")
    assert list(reports) == [f"{style}, {name}" for style in styles for name in ("loud", "quiet")]
    photo = find_photos(faces, "val")[0]
    for style in styles:
        assert (tmp_path / f"{style}.png").exists()
        picture = read_photo(tmp_path / "pictures" / style / "loud" / f"{photo.stem}.png")
        assert (picture[:, :SIDE] == joint_image(photo, style, SIDE)[:, :SIDE]).all()
    assert len({report.generated["contextual_loss"] for report in reports.values()}) == 6


def test_the_commands(trained, faces, tmp_path):
    common = ("--data", faces, "--items", 1, "--iterations", 2)
    result = command("hint-study", trained, *common, "-o", tmp_path / "hints")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "hints" / "table.md").exists()
    result = command("style-study", trained, *common, "-o", tmp_path / "styles")
    assert result.returncode == 0, result.stderr
    assert "| photocopy, gan |" in (tmp_path / "styles" / "table.md").read_text("utf-8")
    result = command("style-study", trained, trained, *common, "-o", tmp_path / "twice")
    assert result.returncode == 2
    assert "folders of the same name" in result.stderr
