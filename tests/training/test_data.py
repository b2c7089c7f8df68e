"""Data folders: matching, reading, augmentation, order, and what is wrong with a folder is said."""

import zlib

import numpy as np
import pytest
from PIL import Image

from tests.paths import DATA, needs_data
from tests.training.runs import scene_data
from training.class_tables import CITYSCAPES
from training.data import ResumableBatches, steps_per_epoch
from training.data.augmentation import Augmentation, parse_size
from training.data.images import read_map, read_photo, resize_map, resize_photo
from training.data.label_maps import LabelMaps, find_samples
from training.errors import DataError


@pytest.fixture
def folder(tmp_path):
    return scene_data(tmp_path / "scenes", count=2)


def item_of(folder, augmentation=None, label_nc=35, **overrides):
    samples = find_samples(folder, "train", label_nc, True)
    return LabelMaps(samples, label_nc, augmentation or Augmentation(flip=False), **overrides)[0, 0]


def test_items_hold_what_the_files_hold(folder):
    item = item_of(folder)
    stem = "scene_000000.png"
    np.testing.assert_array_equal(item["condition"], np.array(Image.open(folder / "train_label" / stem)))
    np.testing.assert_array_equal(item["inst_map"], np.array(Image.open(folder / "train_inst" / stem)))
    np.testing.assert_array_equal(item["real_image"], np.array(Image.open(folder / "train_img" / stem)))


def test_augmentation_moves_all_arrays_alike():
    # Each array says where its pixel came from, so any disagreement between them is visible.
    rows, columns = np.mgrid[:120, :200].astype(np.int32)
    photo = np.stack([rows, columns, rows * 0], -1).astype(np.uint8)
    augment = Augmentation(crop=(40, 60))
    seen = set()
    for seed in range(20):
        out = augment({"a": rows, "b": columns, "photo": photo}, np.random.default_rng(seed), "item")
        np.testing.assert_array_equal(out["photo"][..., 0], out["a"])
        np.testing.assert_array_equal(out["photo"][..., 1], out["b"])
        assert out["a"].shape == (40, 60)
        seen.add((int(out["a"][0, 0]), bool(out["b"][0, 0] > out["b"][0, 1])))
    assert len(seen) > 10, "the window and the mirror are random"
    assert {mirrored for _, mirrored in seen} == {True, False}


def test_random_scale_keeps_the_crop_inside():
    augment = Augmentation(crop=(64, 128), min_scale=0.2)
    labels = np.random.default_rng(0).integers(0, 5, (100, 200)).astype(np.int32)
    for seed in range(20):
        out = augment({"labels": labels}, np.random.default_rng(seed), "item")["labels"]
        assert out.shape == (64, 128)
        assert set(np.unique(out)) <= set(range(5)), "nearest neighbour invents no ids"


def with_chunk(path, kind, payload):
    """The PNG with the content of its chunk `kind` replaced, and the checksum put right."""
    content = path.read_bytes()
    at = content.index(kind) - 4
    end = at + 12 + int.from_bytes(content[at : at + 4], "big")
    chunk = len(payload).to_bytes(4, "big") + kind + payload + zlib.crc32(kind + payload).to_bytes(4, "big")
    path.write_bytes(content[:at] + chunk + content[end:])


@pytest.mark.parametrize(("kind", "payload"), [(b"eXIf", b"no TIFF at all"), (b"tRNS", bytes(300)), (b"IDAT", b"")])
def test_what_fails_only_as_it_is_converted_is_named(tmp_path, kind, payload):
    """Pillow reads palettes and EXIF entries late, and raises what Python happens to raise."""
    path, exif = tmp_path / "damaged.png", Image.Exif()
    exif[0x0112] = 6
    colour = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8))
    colour.quantize(7).save(path, exif=exif, transparency=bytes(7))
    assert read_photo(path).shape == (14, 9, 3)
    with_chunk(path, kind, payload)
    with pytest.raises(DataError, match=f"{path} cannot be read as an image"):
        read_photo(path)


def test_resizing_of_maps_equals_pillow():
    ids = np.random.default_rng(1).integers(0, 40000, (37, 53)).astype(np.int32)
    for size in ((74, 106), (20, 31), (37, 53)):
        expected = np.array(Image.fromarray(ids).resize(size[::-1], Image.Resampling.NEAREST))
        np.testing.assert_array_equal(resize_map(ids, size), expected)
    assert resize_photo(np.full((8, 8, 3), 7, np.uint8), (4, 16)).shape == (4, 16, 3)


def test_sides_are_cut_to_the_multiple(folder):
    item = item_of(folder, Augmentation(resize=(70, 133), flip=False, multiple=32))
    assert item["condition"].shape == (64, 128)
    assert item["real_image"].shape == (64, 128, 3)


def test_palette_picture_of_labels_is_read_as_ids(folder):
    path = folder / "train_label" / "scene_000000.png"
    ids = np.array(Image.open(path))
    Image.fromarray(CITYSCAPES.colourise(ids)).save(path)
    again = read_map(path, CITYSCAPES)
    np.testing.assert_array_equal(CITYSCAPES.colourise(again.astype(np.uint8)), CITYSCAPES.colourise(ids))


def test_jpeg_of_labels_is_refused(folder):
    path = folder / "train_label" / "scene_000000.png"
    photo = folder / "train_img" / "scene_000000.png"
    path.write_bytes(photo.read_bytes())
    with pytest.raises(DataError, match=r"scene_000000.png: palette image: \d+ colours are not in the class table"):
        item_of(folder)


def test_rgb_pairs(tmp_path):
    for side in "AB":
        (tmp_path / f"train_{side}").mkdir()
        Image.fromarray(np.full((32, 32, 3), ord(side), np.uint8)).save(tmp_path / f"train_{side}" / "x.png")
    samples = find_samples(tmp_path, "train", 0, False)
    item = LabelMaps(samples, 0, Augmentation(flip=False))[0, 0]
    assert item["condition"].unique().tolist() == [ord("A")]
    assert item["real_image"].unique().tolist() == [ord("B")]
    assert item["condition"].shape == (32, 32, 3)


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match="train_label does not exist"):
        find_samples(tmp_path, "train", 35, True)


def test_empty_folder(tmp_path):
    for column in ("label", "inst", "img"):
        (tmp_path / f"train_{column}").mkdir()
    with pytest.raises(DataError, match="train_label holds no images"):
        find_samples(tmp_path, "train", 35, True)


def test_unmatched_stems_are_named(folder):
    (folder / "train_inst" / "scene_000001.png").rename(folder / "train_inst" / "other.png")
    with pytest.raises(DataError, match=r"2 of 3 train items lack .*: other, scene_000001"):
        find_samples(folder, "train", 35, True)


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_corrupt_image_is_named(folder, content):
    path = folder / "train_img" / "scene_000000.png"
    path.write_bytes(path.read_bytes()[:2000] if content is None else content)
    with pytest.raises(DataError, match="scene_000000.png cannot be read as an image"):
        item_of(folder)


def test_ids_beyond_the_table_are_named(folder):
    with pytest.raises(DataError, match=r"scene_000000.png: label ids \d+ … \d+, expected 0 … 9"):
        item_of(folder, label_nc=10)


def test_sizes_that_differ_are_named(folder):
    Image.new("RGB", (64, 64)).save(folder / "train_img" / "scene_000000.png")
    with pytest.raises(DataError, match="scene_000000: real_image is 64×64, the input is 128×256"):
        item_of(folder)


def test_crop_larger_than_the_item(folder):
    with pytest.raises(DataError, match="128×256 pixels are too few for a crop of 512×512"):
        item_of(folder, Augmentation(crop=(512, 512)))


@pytest.mark.parametrize("text", ["512", "axb", "0x4", "1x2x3", "-1x5"])
def test_bad_size(text):
    with pytest.raises(DataError, match="is not HEIGHTxWIDTH"):
        parse_size(text)


def test_order_visits_every_item_once_an_epoch():
    per_epoch = steps_per_epoch(12, 2 * 3)
    ranks = [list(ResumableBatches(12, 3, 0, range(2 * per_epoch), rank, 2)) for rank in range(2)]
    for epoch in range(2):
        draws = [d for rank in ranks for batch in rank[epoch * per_epoch : (epoch + 1) * per_epoch] for d in batch]
        assert sorted(draws) == [(epoch, k) for k in range(12)]
    assert ranks[0][:per_epoch] != [[(0, k) for _, k in batch] for batch in ranks[0][per_epoch:]], (
        "epochs differ in order"
    )


def test_order_depends_on_the_step_alone():
    whole = list(ResumableBatches(7, 2, 3, range(20)))
    assert list(ResumableBatches(7, 2, 3, range(11, 20))) == whole[11:]


def test_data_smaller_than_a_batch():
    batch = next(iter(ResumableBatches(2, 5, 0, range(1))))
    assert len(batch) == 5
    assert {index for _, index in batch} == {0, 1}


@needs_data
def test_cityscapes_names_match():
    samples = find_samples(DATA / "cityscapes_sample", "train", 35, True)
    assert [s.name for s in samples] == [f"aachen_{k:06}_000019" for k in range(8)]
    item = LabelMaps(samples, 35, Augmentation(resize=(256, 512), flip=False))[0, 3]
    assert item["real_image"].shape == (256, 512, 3)
    assert item["inst_map"].max() > 1000
