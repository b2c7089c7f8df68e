"""Poor sketches: what they lose and keep, and the table over families that met the same pairs."""

import numpy as np
import pytest
from PIL import Image

from runtime.errors import InputError
from tests.training.runs import command, face_data, train
from training.checkpoint import load_checkpoint
from training.data.images import read_photo
from training.data.joint import find_photos, joint_image
from training.data.poor_sketches import QUALITIES
from training.errors import DataError
from training.evaluation.appearance import Fidelity
from training.evaluation.sketch_study import sketch_study, write_pairs
from training.state import CHECKPOINT_FILE
from training.systems.contextual_gan.held_out import find_items

SIDE = 16


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return face_data(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def checkpoints(faces, tmp_path_factory):
    """Both families, trained for a moment on the same pairs."""
    root = tmp_path_factory.mktemp("runs")
    pairs = root / "pairs"
    write_pairs(pairs / "train", find_photos(faces, "train"), "xdog", SIDE, "clean")
    train(root / "gan", family="contextual_gan", data=str(faces))
    small = {"n_downsample": 2, "patch_size": 1, "resize": "", "crop": ""}
    train(root / "pix2pix", family="pix2pix", data=str(pairs), **small)
    return {name: root / name / CHECKPOINT_FILE for name in ("gan", "pix2pix")}


def ring(side):
    """A circle of ink about the middle."""
    y, x = np.indices((side, side)) - side / 2
    ink = np.abs(np.hypot(x, y) - side / 3) < 1.5
    return np.where(ink[..., None], 0, 255).astype(np.uint8).repeat(3, -1)


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("side", [16, 64])
def test_poor_sketches_are_seeded_and_new(quality, side):
    sketch = ring(side)
    before = sketch.copy()
    first, again, other = (QUALITIES[quality](sketch, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (sketch == before).all()
    assert first.dtype == np.uint8
    assert first.shape == sketch.shape
    assert (first == again).all()
    assert (first == other).all() == (quality == "clean")


def test_a_sparse_sketch_only_loses_ink():
    sketch = ring(64)
    sparse = QUALITIES["sparse"](sketch, np.random.default_rng(0))
    assert (sparse >= sketch).all()
    share = (sparse < 160).sum() / (sketch < 160).sum()
    assert 0.2 < share <= 0.4


def test_a_distorted_sketch_keeps_its_ink_but_not_its_place():
    sketch = ring(64)
    bent = QUALITIES["distorted"](sketch, np.random.default_rng(0))
    assert (255.0 - bent).sum() == pytest.approx((255.0 - sketch).sum(), rel=0.4)
    moved = (bent < 128) & (sketch > 128)
    assert moved[..., 0].sum() > 0.2 * (sketch[..., 0] < 128).sum()
    # A blank one stays blank to its borders.
    blank = np.full((64, 64, 3), 255, np.uint8)
    assert (QUALITIES["distorted"](blank, np.random.default_rng(0)) == 255).all()


def test_an_empty_sketch_stays_so():
    blank = np.full((16, 16, 3), 255, np.uint8)
    assert (QUALITIES["sparse"](blank, np.random.default_rng(0)) == 255).all()


def test_pairs_hold_the_photo_unchanged(faces, tmp_path):
    photos = find_photos(faces, "val")
    (tmp_path / "stale.png").write_bytes(b"")
    write_pairs(tmp_path, photos, "xdog", SIDE, "sparse")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{path.stem}.png" for path in photos]
    for photo in photos:
        pair, joint = read_photo(tmp_path / f"{photo.stem}.png"), joint_image(photo, "xdog", SIDE)
        assert (pair[:, SIDE:] == joint[:, SIDE:]).all()
        assert (pair[:, :SIDE] >= joint[:, :SIDE]).all()


def test_the_command_writes_pairs(faces, tmp_path):
    result = command("sketches", faces / "val", "--pairs", SIDE, "--style", "photocopy", "-o", tmp_path / "pairs")
    assert result.returncode == 0, result.stderr
    assert "3 pairs in" in result.stdout
    for photo in find_photos(faces, "val"):
        pair = read_photo(tmp_path / "pairs" / f"{photo.stem}.png")
        assert (pair == joint_image(photo, "photocopy", SIDE)).all()


def test_a_style_of_its_own_reads_joint_images_as_they_lie(checkpoints, faces, tmp_path):
    checkpoint = load_checkpoint(checkpoints["gan"])
    write_pairs(tmp_path / "val", find_photos(faces, "val"), "xdog", SIDE, "distorted")
    stored = [item.joint for item in find_items(checkpoint, tmp_path, "val", style="stored")]
    files = sorted((tmp_path / "val").iterdir())
    assert all((joint == read_photo(path)).all() for joint, path in zip(stored, files, strict=True))
    with pytest.raises(InputError, match="style is 'crayon', expected one of"):
        next(find_items(checkpoint, tmp_path, "val", style="crayon"))


@pytest.mark.nightly
def test_the_command_compares_families_on_the_same_pairs(checkpoints, faces, tmp_path):
    study = tmp_path / "study"
    result = command(
        *("sketch-study", *checkpoints.values(), "--data", faces, "--side", SIDE, "--items", 2, "-o", study)
    )
    assert result.returncode == 0, result.stderr
    table = (study / "table.md").read_text("utf-8")
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    names = [row[0].removeprefix("| ") for row in rows]
    assert names == [f"{quality}, {name}" for quality in QUALITIES for name in checkpoints]
    assert "Means over 2 photos of 16×16 pixels, xdog sketches." in table
    for quality in QUALITIES:
        assert Image.open(study / f"{quality}.png").width > 3 * 192
    # The picture beside the table is what was measured, and its real photo is the held-out one.
    picture = read_photo(next((study / "pictures/sparse/pix2pix").iterdir()))
    _, fake, real = np.split(picture, 3, 1)
    photo = find_photos(faces, "val")[0]
    assert (real == joint_image(photo, "xdog", SIDE)[:, SIDE:]).all()
    assert fake.shape == real.shape


def test_the_table_holds_the_means_over_the_pictures(checkpoints, faces, tmp_path):
    loaded = {"pix2pix": load_checkpoint(checkpoints["pix2pix"])}
    photos = find_photos(faces, "val")
    reports = sketch_study(loaded, photos, "xdog", SIDE, tmp_path, lambda checkpoint: [Fidelity()])
    for quality in QUALITIES:
        errors = []
        for path in sorted((tmp_path / "pictures" / quality / "pix2pix").iterdir()):
            _, fake, real = np.split(read_photo(path).astype(float), 3, 1)
            errors.append(10 * np.log10(255**2 / np.square(fake - real).mean()))
        assert len(errors) == len(photos)
        assert reports[f"{quality}, pix2pix"].generated["psnr"] == pytest.approx(np.mean(errors), rel=1e-6)


def test_bad_input_is_named(checkpoints, faces, tmp_path):
    with pytest.raises(DataError, match="no photos"):
        sketch_study({}, [], "xdog", SIDE, tmp_path, lambda checkpoint: [])
    common = ("--data", faces, "-o", tmp_path / "out")
    result = command("sketch-study", checkpoints["gan"], "--style", "crayon", *common)
    assert result.returncode == 2
    assert "--style is 'crayon', expected one of xdog" in result.stderr
    result = command("sketch-study", checkpoints["gan"], checkpoints["gan"], *common)
    assert result.returncode == 2
    assert "folders of the same name" in result.stderr
