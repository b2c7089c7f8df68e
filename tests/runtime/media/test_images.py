"""Image files of every kind users have, and damaged ones."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from runtime.errors import ImageFileError, MissingFileError, OutputError, Pix2rtError
from runtime.media.decoding import limit_megapixels
from runtime.media.images import read_inst_map, read_label_map, read_photo, write_image
from tests.examples import drawn
from tests.runtime.tiny_engines import LABELS

IDS = np.random.default_rng(0).integers(0, 4, (9, 14), dtype=np.uint8)


def saved(path, array):
    Image.fromarray(array).save(path)
    return path


def test_grey_and_wide_label_maps(tmp_path):
    for dtype in (np.uint8, np.uint16, np.int32):
        suffix = ".tif" if dtype == np.int32 else ".png"
        path = saved(tmp_path / f"ids{suffix}", IDS.astype(dtype))
        np.testing.assert_array_equal(read_label_map(path, LABELS), IDS)
        np.testing.assert_array_equal(read_inst_map(path), IDS)


def test_palette_images_count_by_index(tmp_path):
    image = Image.fromarray(IDS)
    image.putpalette([200, 1, 1, 0, 90, 9] * 100)
    assert image.mode == "P"
    image.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "p.png", LABELS), IDS)


def test_binary_images_are_ids_0_and_1(tmp_path):
    Image.fromarray(IDS > 1).save(tmp_path / "b.png")
    ids = read_label_map(tmp_path / "b.png", LABELS)
    assert ids.dtype == np.uint8
    np.testing.assert_array_equal(ids, IDS > 1)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colour_pictures_are_translated_and_said_so(tmp_path, mode):
    path = tmp_path / "colour.png"
    Image.fromarray(LABELS.colourise(IDS)).convert(mode).save(path)
    notes = []
    np.testing.assert_array_equal(read_label_map(path, LABELS, notes.append), IDS)
    assert notes == ["it is a colour picture; its colours were translated to class ids"]


def test_colours_outside_the_table(tmp_path):
    path = saved(tmp_path / "photo.png", np.full((4, 4, 3), (17, 17, 18), np.uint8))
    with pytest.raises(ImageFileError, match=r"photo\.png.*#111112"):
        read_label_map(path, LABELS)


@pytest.mark.parametrize("array", [IDS, LABELS.colourise(IDS)])
def test_jpegs_of_labels_are_refused(tmp_path, array):
    path = saved(tmp_path / "labels.jpg", array)
    with pytest.raises(ImageFileError, match=r"labels\.jpg is a JPEG.*PNG"):
        read_label_map(path, LABELS)
    with pytest.raises(ImageFileError, match="JPEG"):
        read_inst_map(path)


def test_modes_that_hold_no_ids(tmp_path):
    path = saved(tmp_path / "float.tif", IDS.astype(np.float32))
    with pytest.raises(ImageFileError, match="floating-point pixels"):
        read_label_map(path, LABELS)
    with pytest.raises(ImageFileError, match="is in colour, expected a PNG of one channel with 8, 16 or 32 bits"):
        read_inst_map(saved(tmp_path / "rgb.png", LABELS.colourise(IDS)))


def test_photos_of_every_mode(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    saved(path, photo)
    np.testing.assert_array_equal(read_photo(path), photo)
    saved(path, np.dstack([photo, np.where(IDS, 255, 0).astype(np.uint8)]))
    np.testing.assert_array_equal(read_photo(path), np.where(IDS[..., None], photo, 255))
    saved(path, photo[..., 0])
    np.testing.assert_array_equal(read_photo(path), np.repeat(photo[..., :1], 3, axis=2))
    saved(path, photo[..., 0].astype(np.uint16) * 256 + 3)
    np.testing.assert_array_equal(read_photo(path), np.repeat(photo[..., :1], 3, axis=2))
    cmyk = tmp_path / "photo.tif"
    Image.fromarray(photo).convert("CMYK").save(cmyk)
    np.testing.assert_array_equal(read_photo(cmyk), photo)


def test_photos_are_turned_upright(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90° to view
    Image.fromarray(photo).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / "turned.png"), np.rot90(photo, -1))


@pytest.mark.parametrize("content", [b"", b"GIF", b"no image at all", b"\x89PNG\r\n\x1a\n" + bytes(50)])
@pytest.mark.parametrize("read", [lambda path: read_label_map(path, LABELS), read_inst_map, read_photo])
def test_files_that_are_no_image(tmp_path, content, read):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match=r"broken\.png is corrupt, empty or no image"):
        read(path)
    with pytest.raises(MissingFileError, match=r"missing\.png does not exist"):
        read(tmp_path / "missing.png")
    with pytest.raises(MissingFileError, match="is a directory"):
        read(tmp_path)


def test_decompression_bombs(tmp_path, monkeypatch):
    path = saved(tmp_path / "bomb.png", np.zeros((300, 300), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    for limit in (0.05, 0.01):  # beyond the limit Pillow warns, beyond twice the limit it raises
        limit_megapixels(limit)
        with pytest.raises(
            ImageFileError, match=rf"bomb\.png has 0\.09 megapixels, more than the {limit} .*MEGAPIXELS=1"
        ):
            read_label_map(path, LABELS)
    limit_megapixels(0.09)
    assert read_label_map(path, LABELS).shape == (300, 300)


def _encoded(kind):
    buffer = io.BytesIO()
    Image.fromarray(IDS if kind == "PNG" else LABELS.colourise(IDS)).save(buffer, format=kind)
    return buffer.getvalue()


@settings(max_examples=drawn(300), deadline=None)
@given(st.sampled_from([_encoded("PNG"), _encoded("JPEG"), _encoded("TIFF")]), st.data())
def test_damaged_bytes_never_escape_the_hierarchy(tmp_path_factory, content, data):
    content = bytearray(content)
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    for read in (lambda path: read_label_map(path, LABELS), read_inst_map, read_photo):
        try:
            assert read(path).ndim in (2, 3)
        except Pix2rtError:
            continue


def test_pngs_are_written_whole_or_not_at_all(tmp_path):
    photo = LABELS.colourise(IDS)
    write_image(tmp_path / "deep" / "photo.png", photo)
    np.testing.assert_array_equal(read_photo(tmp_path / "deep" / "photo.png"), photo)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["photo.png"]
    longest = tmp_path / ("n" * 251 + ".png")
    write_image(longest, photo)
    np.testing.assert_array_equal(read_photo(longest), photo)
    with pytest.raises(OutputError, match="choose a folder you can write to"):
        write_image(tmp_path / "deep" / "photo.png" / "below_a_file.png", photo)
    with pytest.raises(OutputError, match="is a directory"):
        write_image(tmp_path / "deep", photo)


def test_a_message_names_a_file_once(tmp_path):
    (tmp_path / "bad.png").write_text("hello")
    with pytest.raises(ImageFileError) as caught:
        read_label_map(tmp_path / "bad.png", LABELS)
    assert str(caught.value).count("bad.png") == 1
    assert "of no known format" in str(caught.value)
