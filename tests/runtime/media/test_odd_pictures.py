"""Pictures as users have them: colour profiles, ids in three channels, 12 bits in 16, damaged palettes, streams."""

import io
import struct
import subprocess
import sys
import tracemalloc
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, ImageCms

from runtime.engines.labels import LabelSpec
from runtime.errors import ImageFileError
from runtime.media.images import read_drawing, read_image, read_inst_map, read_label_map, read_photo, write_image
from runtime.media.mask_images import read_hint, read_hole_mask, read_weights
from tests.paths import CASES, ROOT, needs_cases
from tests.runtime.tiny_engines import LABELS

PHOTO = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)
GREY = PHOTO[..., 0]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def profile_of(space, gamma=1.8):
    """A small ICC profile whose space is grey, with a tone curve of `gamma`."""
    assert space == b"GRAY"
    curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + struct.pack(">Iiii", 0, 63190, 65536, 54061)
    tags = ((b"wtpt", white), (b"kTRC", curve), (b"cprt", b"text" + bytes(8)), (b"desc", b"text" + bytes(8)))
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags:
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content
    size = struct.pack(">I", offset + len(body))
    head = size + b"lcms\x02\x10\x00\x00mntr" + space + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    return (head + struct.pack(">iii", 63190, 65536, 54061)).ljust(128, b"\0") + table + body


def saved(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def read(path, channels=3):
    notes = []
    return read_image(path, channels, notes.append), " ".join(notes)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_a_profile_is_read_with_its_picture(tmp_path, suffix):
    image, notes = read(saved(tmp_path / f"p{suffix}", PHOTO, icc_profile=SRGB))
    assert image.profile == SRGB
    assert notes == ""


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_profile_is_written_with_the_result(tmp_path, suffix):
    write_image(tmp_path / f"p{suffix}", PHOTO, SRGB)
    assert Image.open(tmp_path / f"p{suffix}").info["icc_profile"] == SRGB
    write_image(tmp_path / f"q{suffix}", PHOTO)
    assert "icc_profile" not in Image.open(tmp_path / f"q{suffix}").info


def test_a_grey_profile(tmp_path):
    """Kept for a grey engine; an RGB engine gets sRGB, as no RGB picture may carry a grey profile."""
    grey = profile_of(b"GRAY")
    path = saved(tmp_path / "g.png", GREY, icc_profile=grey)
    image, notes = read(path, 1)
    assert (image.profile, notes) == (grey, "")
    image, notes = read(path, 3)
    assert image.profile is None
    assert "was converted to sRGB by its colour profile" in notes
    linear = (GREY / 255.0) ** 1.8
    wanted = 255 * np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(image.pixels - wanted[..., None]).max() <= 2


def test_a_profile_of_other_pixels_or_none(tmp_path):
    for number, (array, profile) in enumerate(((PHOTO, profile_of(b"GRAY")), (GREY, SRGB), (PHOTO, b"x" * 200))):
        path = saved(tmp_path / f"{number}.png", array, icc_profile=profile)
        image, notes = read(path, 1 if array.ndim == 2 else 3)
        np.testing.assert_array_equal(image.pixels.squeeze(), array)
        assert image.profile is None
        assert notes == "its colour profile is damaged or for another kind of pixels, and was dropped"


def test_cmyk_with_and_without_a_profile(tmp_path):
    inks = Image.fromarray(PHOTO).convert("CMYK")
    for name, profile in (("none", None), ("damaged", b"\0" * 16 + b"CMYK" + b"\0" * 16 + b"acsp" + b"\0" * 100)):
        inks.save(tmp_path / f"{name}.tif", icc_profile=profile)
        image, notes = read(tmp_path / f"{name}.tif")
        np.testing.assert_array_equal(image.pixels, PHOTO)
        assert image.profile is None
        assert "its mode CMYK was converted to RGB without a colour profile" in notes


@needs_cases
def test_the_photo_with_a_profile():
    image, notes = read(CASES / "images" / "p3_photo.jpg")
    assert image.profile == Image.open(CASES / "images" / "p3_photo.jpg").info["icc_profile"]
    assert notes == ""


def test_three_equal_channels_are_ids(tmp_path):
    ids = (np.arange(126, dtype=np.uint8) % 4).reshape(9, 14)
    path = saved(tmp_path / "ids.png", np.dstack([ids] * 3))
    notes = []
    np.testing.assert_array_equal(read_label_map(path, LABELS, notes.append), ids)
    np.testing.assert_array_equal(read_inst_map(path, notes.append), ids)
    assert [note.split(";")[0] for note in notes] == [
        "it has three equal channels, not colours of the class table",
        "it has three equal channels",
    ]
    grey_table = LabelSpec(("black", "white"), ((0, 0, 0), (255, 255, 255)))
    path = saved(tmp_path / "colours.png", np.dstack([255 * (ids > 1)] * 3).astype(np.uint8))
    np.testing.assert_array_equal(read_label_map(path, grey_table), ids > 1)  # colours of the table go first


@needs_cases
def test_the_ids_of_three_channels():
    notes = []
    wanted = np.asarray(Image.open(CASES / "images" / "ids.png"))
    labels = LabelSpec.unnamed(8)
    np.testing.assert_array_equal(read_label_map(CASES / "images" / "ids_rgb.png", labels, notes.append), wanted)
    assert read_inst_map(CASES / "images" / "inst_rgb_grey.png", notes.append).shape == wanted.shape
    assert len(notes) == 2


@pytest.mark.parametrize(("bits", "highest"), [(8, 255), (10, 1023), (12, 3700)])
def test_fewer_bits_in_16(tmp_path, bits, highest):
    values = np.linspace(0, highest, 126).astype(np.uint16).reshape(9, 14)
    image, notes = read(saved(tmp_path / "camera.png", values), 1)
    np.testing.assert_array_equal(image.pixels[..., 0], values >> (bits - 8))
    assert notes == f"its values need {bits} of their 16 bits; they were scaled by that range"
    notes = []
    np.testing.assert_array_equal(read_drawing(tmp_path / "camera.png", notes.append)[..., 0], values >> (bits - 8))
    assert "16 bits" in notes[0]


def test_16_bits_that_are_full_or_empty(tmp_path):
    for highest in (0, 4096, 65535):
        values = np.linspace(0, highest, 126).astype(np.uint16).reshape(9, 14)
        image, notes = read(saved(tmp_path / "scan.png", values), 1)
        np.testing.assert_array_equal(image.pixels[..., 0], values >> 8)
        assert notes == "its 16 bits per sample were cut to the high 8"


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@pytest.mark.parametrize("palette", [b"\x01", b"\x01\x02", bytes(4), bytes(2000), b""])
@pytest.mark.parametrize("transparency", [b"", b"\x00" * 300])
def test_damaged_palettes(tmp_path, palette, transparency):
    """Decoding passes, converting fails."""
    path = tmp_path / "palette.png"
    header = struct.pack(">IIBBBBB", 4, 4, 8, 3, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(range(0, 160, 40)) for _ in range(4)))
    content = [chunk(b"IHDR", header), chunk(b"PLTE", palette), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    if transparency:
        content.insert(2, chunk(b"tRNS", transparency))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(content))
    readers = [read_photo, read_drawing, read_weights, read_hint, lambda p: read_hole_mask(p, print), read_inst_map]
    for reader in (*readers, lambda p: read_label_map(p, LABELS), lambda p: read_image(p, 1).pixels):
        with suppress(ImageFileError):  # nothing else; some decoders mend what others refuse
            assert reader(path).shape[:2] == (4, 4)


@pytest.mark.parametrize("header", [b"{'descr': '|u1', 'shape': (3, (((", b"((((" * 900, b"{'a': \x00}", b"'''", b"\\"])
def test_arrays_with_headers_that_are_no_python(tmp_path, header):
    path = tmp_path / "array.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    with pytest.raises(ImageFileError, match=r"array\.npy is corrupt, empty or no \.npy file"):
        read_image(path, 5)


def test_a_profile_without_its_mark_is_dropped(tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "p.png", icc_profile=SRGB[:36] + b"none" + SRGB[40:])
    notes = []
    assert read_image(tmp_path / "p.png", 3, notes.append).profile is None
    assert "its colour profile is damaged" in notes[0]


def test_the_middle_of_a_lossy_mask_lies_between_two_greys(tmp_path):
    greys = np.repeat(np.repeat(np.array([[0, 127, 128, 255]], np.uint8), 8, axis=0), 8, axis=1)
    Image.fromarray(greys).convert("RGB").save(tmp_path / "m.webp", lossless=True)  # no reader can tell that it is
    np.testing.assert_array_equal(read_hole_mask(tmp_path / "m.webp", print), greys >= 128)
    np.testing.assert_array_equal(read_hole_mask(tmp_path / "m.webp", print, is_inverted=True), greys < 128)


def test_inverted_masks_are_noted(tmp_path):
    mask = np.zeros((20, 20), np.uint8)
    mask[5:9, 5:9] = 255
    notes = []
    read_hole_mask(saved(tmp_path / "m.png", mask), notes.append)
    read_hole_mask(saved(tmp_path / "i.png", 255 - mask), notes.append, is_inverted=True)
    assert notes == []
    np.testing.assert_array_equal(read_hole_mask(tmp_path / "i.png", notes.append), mask == 0)
    assert "pass --invert-mask" in notes.pop()
    np.testing.assert_array_equal(read_hole_mask(tmp_path / "m.png", notes.append, is_inverted=True), mask == 0)
    assert "leave --invert-mask out" in notes.pop()


def test_pillow_says_nothing_by_itself(tmp_path):
    """It logs of a damaged TIFF, and logging without handlers prints."""
    path = saved(tmp_path / "t.tif", PHOTO)
    content = path.read_bytes()
    entry = content.index(struct.pack("<HHI", 277, 3, 1))  # samples per pixel
    path.write_bytes(content[: entry + 8] + struct.pack("<H", 2048) + content[entry + 10 :])
    code = f"from runtime.media.images import read_photo\nread_photo({str(path)!r})"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "t.tif is corrupt, empty or no image" in result.stderr
    assert "More samples" not in result.stderr


def test_a_damaged_icc_never_escapes(tmp_path):
    """Every byte of a profile changed in turn, in the two kinds of pictures that are converted by it."""
    grey = profile_of(b"GRAY")
    for position in range(len(grey)):
        damaged = bytearray(grey)
        damaged[position] ^= 0xFF
        buffer = io.BytesIO()
        Image.fromarray(GREY).save(buffer, format="PNG", icc_profile=bytes(damaged))
        (tmp_path / "g.png").write_bytes(buffer.getvalue())
        assert read_image(tmp_path / "g.png", 3).pixels.shape == PHOTO.shape


def test_a_length_beyond_the_file_takes_no_memory(tmp_path):
    """A chunk says that it has 2 GB; asked for so much, a file object sets it aside before it reads."""
    write_image(tmp_path / "photo.png", PHOTO)
    content = (tmp_path / "photo.png").read_bytes()
    begin = content.index(b"IDAT") - 4
    damaged = content[:begin] + struct.pack(">I", 2**31 - 1) + content[begin + 4 :]
    (tmp_path / "photo.png").write_bytes(damaged)
    tracemalloc.start()
    with suppress(ImageFileError):
        read_image(tmp_path / "photo.png", 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * 2**20
