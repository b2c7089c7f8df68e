"""Pairs: the layouts, both directions, inputs derived from photos, and files that do not fit."""

import numpy as np
import pytest
import torch
from PIL import Image

from runtime.runners.conditions import CONDITIONS
from training.class_tables import CITYSCAPES
from training.data.augmentation import Augmentation
from training.data.images import read_photo
from training.data.paired import PairedImages, find_pairs
from training.errors import DataError

PLAIN = Augmentation(flip=False)
RNG = np.random.default_rng(7)


def picture(path, height=20, width=24, mode="RGB", seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (height, width) if mode == "L" else (height, width, len(mode))
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels, mode).save(path)
    return pixels


def items(root, channels=(3, 3), augmentation=PLAIN, epoch=0, **how):
    dataset = PairedImages(find_pairs(root, "train", how.get("derive", "")), channels, augmentation, **how)
    return [{k: v.numpy() for k, v in dataset[epoch, i].items()} for i in range(len(dataset))]


# --- layouts


def test_side_by_side(tmp_path):
    both = picture(tmp_path / "train" / "a.png")
    (item,) = items(tmp_path)
    assert np.array_equal(item["input_image"], both[:, :12])
    assert np.array_equal(item["real_image"], both[:, 12:])
    (swapped,) = items(tmp_path, direction="BtoA")
    assert np.array_equal(swapped["input_image"], item["real_image"])
    assert np.array_equal(swapped["real_image"], item["input_image"])


@pytest.mark.parametrize("names", [("train_A", "train_B"), ("trainA", "trainB")])
def test_two_folders(tmp_path, names):
    first = [picture(tmp_path / names[0] / f"{n}.png", seed=n) for n in range(3)]
    second = [picture(tmp_path / names[1] / f"{n}.png", seed=n + 9) for n in range(3)]
    for item, a, b in zip(items(tmp_path), first, second, strict=True):
        assert np.array_equal(item["input_image"], a)
        assert np.array_equal(item["real_image"], b)


def test_photos_directly_in_the_folder(tmp_path):
    photo = picture(tmp_path / "a.png")
    (item,) = items(tmp_path, (1, 3), derive="grey")
    assert np.array_equal(item["real_image"], photo)
    assert item["input_image"].shape == (20, 24, 1)


def test_label_maps_become_their_colours(tmp_path):
    ids = RNG.integers(0, 35, (20, 24), np.uint8)
    for column, pixels in (("label", ids), ("img", np.repeat(ids[..., None], 3, 2))):
        (tmp_path / f"train_{column}").mkdir()
        Image.fromarray(pixels).save(tmp_path / f"train_{column}" / "a.png")
    (item,) = items(tmp_path, derive="labels", augmentation=Augmentation(resize=(40, 48), flip=False))
    doubled = ids.repeat(2, 0).repeat(2, 1)
    assert np.array_equal(item["label_map"], doubled)
    assert np.array_equal(item["input_image"], np.array(CITYSCAPES.palette, np.uint8)[doubled])


def test_channels_are_converted(tmp_path):
    picture(tmp_path / "train_A" / "a.png", mode="L")
    colour = picture(tmp_path / "train_B" / "a.png")
    (item,) = items(tmp_path, (3, 1))
    assert item["input_image"].shape == (20, 24, 3)
    assert (item["input_image"].min(2) == item["input_image"].max(2)).all()
    luma = colour @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    assert np.abs(item["real_image"][..., 0] - luma).max() <= 1


# --- derived inputs


def test_same_draw_same_item(tmp_path):
    picture(tmp_path / "a.png", 64, 64)
    jitter = Augmentation(resize=(72, 72), crop=(64, 64))
    for derive in CONDITIONS:
        first, again = (items(tmp_path, (3, 3), jitter, derive=derive, epoch=3)[0] for _ in range(2))
        assert all(np.array_equal(first[key], again[key]) for key in first), derive
        other = items(tmp_path, (3, 3), jitter, derive=derive, epoch=4)[0]
        assert not np.array_equal(first["real_image"], other["real_image"])


def test_the_input_is_made_of_the_very_window(tmp_path):
    """Jitter first, then the derivation: input and output must agree pixel for pixel."""
    picture(tmp_path / "a.png", 64, 64)
    (item,) = items(tmp_path, (1, 3), Augmentation(resize=(72, 72), crop=(64, 64)), derive="grey")
    luma = item["real_image"] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(item["input_image"][..., 0] - luma).max() <= 1


@pytest.mark.parametrize("name", ["edges", "soft-edges", "sketch"])
def test_drawings_follow_a_disc(name):
    """A white disc on black: lines at its rim, white paper elsewhere."""
    rows, columns = np.mgrid[:96, :96]
    distance = np.hypot(rows - 47.5, columns - 47.5)
    disc = np.repeat((255 / (1 + np.exp(2 * (distance - 30))))[..., None], 3, 2).astype(np.uint8)
    drawing = CONDITIONS[name](disc, RNG)
    assert drawing.shape == (96, 96, 1)
    assert drawing.dtype == np.uint8
    ink = 255 - drawing[..., 0].astype(int)
    rim = np.abs(distance - 30) < (3 if name != "sketch" else 6)
    assert ink[rim].max() > 200 if name != "sketch" else ink[rim].max() > 100
    assert ink[distance < 15].max() < 30
    if name == "edges":
        assert set(np.unique(drawing)) == {0, 255}
        drawn = [np.degrees(np.arctan2(*(np.argwhere(ink > 0) - 47.5).T)).astype(int) // 30]
        assert len(np.unique(drawn)) >= 12, "the whole rim is drawn"


def test_flat_photos_have_no_lines():
    flat = np.full((32, 32, 3), 90, np.uint8)
    assert (CONDITIONS["edges"](flat, RNG) == 255).all()
    assert (CONDITIONS["soft-edges"](flat, RNG) == 255).all()


def test_incomplete_hides_one_rectangle():
    photo = RNG.integers(128, 256, (50, 80, 3), np.uint8)
    for _ in range(50):
        damaged = CONDITIONS["incomplete"](photo, RNG)
        hole = (damaged != photo).any(2)
        rows, columns = hole.any(1).sum(), hole.any(0).sum()
        assert hole.sum() == rows * columns
        assert 0.24 <= rows / 50 <= 0.51
        assert 0.24 <= columns / 80 <= 0.51
        assert (damaged[hole] == 127).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2)])
def test_derivations_of_tiny_photos(size):
    photo = RNG.integers(0, 256, (*size, 3), np.uint8)
    for condition in CONDITIONS.values():
        made = condition(photo, RNG)
        assert made.shape[:2] == size
        assert made.dtype == np.uint8


# --- files that do not fit


def test_odd_width(tmp_path):
    picture(tmp_path / "train" / "a.png", 20, 25)
    with pytest.raises(DataError, match=r"a\.png is 20×25: a side-by-side pair has an even width.*--derive"):
        items(tmp_path)


def test_pairs_of_different_sizes(tmp_path):
    picture(tmp_path / "train_A" / "a.png", 20, 24)
    picture(tmp_path / "train_B" / "a.png", 20, 26)
    with pytest.raises(DataError, match=r"a: .*train_A.a\.png is 20×24, its partner .*train_B.a\.png is 20×26"):
        items(tmp_path)


def test_images_without_partner(tmp_path):
    picture(tmp_path / "train_A" / "a.png")
    picture(tmp_path / "train_B" / "a.png")
    picture(tmp_path / "train_B" / "lonely.png")
    with pytest.raises(DataError, match="1 of 2 images in .* have no partner: lonely"):
        find_pairs(tmp_path, "train")


def test_no_images(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        find_pairs(tmp_path / "absent", "train")
    with pytest.raises(DataError, match="holds no images"):
        find_pairs(tmp_path, "train")
    (tmp_path / "train_A").mkdir()
    with pytest.raises(DataError, match="train_B does not exist"):
        find_pairs(tmp_path, "train")
    (tmp_path / "train_B").mkdir()
    with pytest.raises(DataError, match="hold no images"):
        find_pairs(tmp_path, "train")


def test_ids_outside_the_class_table(tmp_path):
    for column in ("label", "img"):
        (tmp_path / f"train_{column}").mkdir()
        Image.fromarray(np.full((8, 8), 200, np.uint8)).save(tmp_path / f"train_{column}" / "a.png")
    with pytest.raises(DataError, match="label ids 200 … 200, expected Cityscapes' 0 … 34"):
        items(tmp_path, derive="labels")


def test_unusual_files_are_converted(tmp_path):
    """16 bits, transparency, CMYK and camera orientation, against values computed by hand."""
    Image.fromarray(np.full((4, 6), 0x8040, np.uint16)).save(tmp_path / "deep.png")
    assert (read_photo(tmp_path / "deep.png") == 0x80).all()
    half = np.zeros((4, 6, 4), np.uint8)
    half[..., 3] = 51  # black at 20 % on white
    Image.fromarray(half, "RGBA").save(tmp_path / "clear.png")
    assert np.abs(read_photo(tmp_path / "clear.png").astype(int) - 204).max() <= 1
    Image.new("CMYK", (6, 4), (255, 0, 0, 0)).save(tmp_path / "print.jpg", quality=100)
    assert read_photo(tmp_path / "print.jpg")[..., 0].max() < 40
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90°
    Image.new("RGB", (6, 4)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_photo(tmp_path / "turned.jpg").shape == (6, 4, 3)


def test_items_are_torch_tensors(tmp_path):
    picture(tmp_path / "train" / "a.png")
    item = PairedImages(find_pairs(tmp_path, "train"), (3, 3), PLAIN)[0, 0]
    assert all(isinstance(value, torch.Tensor) and value.dtype == torch.uint8 for value in item.values())
