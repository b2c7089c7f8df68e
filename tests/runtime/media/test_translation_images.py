"""What a translator gets of image files of every kind, and what the user is told of it."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from runtime.errors import ImageFileError, MissingFileError, Pix2rtError
from runtime.media.images import read_image
from tests.examples import drawn

PHOTO = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)
GREY = PHOTO[..., 0]
# ITU-R 601-2 luma with Pillow's integer weights.
LUMA = ((PHOTO.astype(np.int64) @ [19595, 38470, 7471] + 0x8000) >> 16).astype(np.uint8)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.png"


def read(path, input_nc=3):
    """The pixels and the notes."""
    notes = []
    pixels = read_image(path, input_nc, notes.append).pixels
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == input_nc
    return pixels, " ".join(notes)


def test_what_fits_is_read_as_it_is(path):
    Image.fromarray(PHOTO).save(path)
    pixels, notes = read(path)
    np.testing.assert_array_equal(pixels, PHOTO)
    Image.fromarray(GREY).save(path)
    grey, more = read(path, 1)
    np.testing.assert_array_equal(grey[..., 0], GREY)
    assert notes == more == ""


def test_grey_and_colour_become_each_other(path):
    Image.fromarray(GREY).save(path)
    pixels, notes = read(path)
    np.testing.assert_array_equal(pixels, np.dstack([GREY] * 3))
    assert "it is grey, the engine takes RGB" in notes
    Image.fromarray(PHOTO).save(path)
    pixels, notes = read(path, 1)
    np.testing.assert_array_equal(pixels[..., 0], LUMA)
    assert "it is in colour, the engine takes grey" in notes


def test_black_and_white(path):
    Image.fromarray(GREY > 99).save(path)
    np.testing.assert_array_equal(read(path, 1)[0][..., 0], 255 * (GREY > 99))
    np.testing.assert_array_equal(read(path)[0][..., 1], 255 * (GREY > 99))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_by_the_high_byte(tmp_path, suffix):
    path = tmp_path / f"wide{suffix}"
    Image.fromarray(GREY.astype(np.uint16) * 256 + 255).save(path)
    pixels, notes = read(path, 1)
    np.testing.assert_array_equal(pixels[..., 0], GREY)
    assert notes == "its 16 bits per sample were cut to the high 8"
    pixels, notes = read(path)
    np.testing.assert_array_equal(pixels, np.dstack([GREY] * 3))
    assert "16 bits" in notes
    assert "it is grey" in notes


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_colour_by_the_high_byte(tmp_path, suffix):
    """Written by OpenCV, since Pillow cannot."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / f"wide{suffix}"
    assert cv2.imwrite(str(path), PHOTO[..., ::-1].astype(np.uint16) * 256 + 200)
    pixels, notes = read(path)
    np.testing.assert_array_equal(pixels, PHOTO)
    assert notes == "its 16 bits per sample were cut to the high 8"


@pytest.mark.parametrize("values", [-1, 65536])
def test_32_bits_are_refused(tmp_path, values):
    path = tmp_path / "wide.tif"
    Image.fromarray(np.full((4, 4), values, np.int32)).save(path)
    with pytest.raises(ImageFileError, match=r"wide\.tif has values from .* expected 8 or 16 bits"):
        read(path)
    Image.fromarray(np.zeros((4, 4), np.float32)).save(path)
    with pytest.raises(ImageFileError, match=r"wide\.tif has floating-point pixels"):
        read(path)


def test_transparency_lies_on_white(path):
    alpha = np.zeros(GREY.shape, np.uint8)
    alpha[:, 3:6] = 255
    alpha[:, 6:] = 51
    Image.fromarray(np.dstack([PHOTO, alpha])).save(path)
    pixels, notes = read(path)
    weight = alpha[..., None] / 255
    np.testing.assert_allclose(pixels, PHOTO * weight + 255 * (1 - weight), atol=0.5)
    np.testing.assert_array_equal(pixels[:, :3], 255)
    np.testing.assert_array_equal(pixels[:, 3:6], PHOTO[:, 3:6])
    assert notes == "it is transparent in places; it was laid on white"
    Image.fromarray(np.dstack([GREY, alpha])).save(path)
    pixels, notes = read(path, 1)
    np.testing.assert_allclose(pixels[..., 0], GREY * weight[..., 0] + 255 * (1 - weight[..., 0]), atol=0.5)
    assert notes == "it is transparent in places; it was laid on white"


def test_an_opaque_alpha_channel_needs_no_word(path):
    Image.fromarray(np.dstack([PHOTO, np.full_like(GREY, 255)])).save(path)
    pixels, notes = read(path)
    np.testing.assert_array_equal(pixels, PHOTO)
    assert notes == ""


@pytest.mark.parametrize("transparency", [0, None])
def test_palettes(path, transparency):
    image = Image.fromarray(GREY % 2)
    image.putpalette([200, 1, 1, 0, 90, 9])
    image.save(path, **({} if transparency is None else {"transparency": transparency}))
    pixels, notes = read(path)
    background = (200, 1, 1) if transparency is None else (255, 255, 255)
    np.testing.assert_array_equal(pixels, np.where((GREY % 2)[..., None], (0, 90, 9), background))
    assert ("laid on white" in notes) == (transparency is not None)


def test_a_transparent_colour_of_grey_and_rgb(path):
    """PNG's tRNS chunk: one value counts as transparent."""
    Image.fromarray(GREY).save(path, transparency=int(GREY[0, 0]))
    np.testing.assert_array_equal(read(path, 1)[0][..., 0], np.where(GREY[0, 0] == GREY, 255, GREY))
    Image.fromarray(PHOTO).save(path, transparency=tuple(PHOTO[0, 0].tolist()))
    wanted = PHOTO.copy()
    wanted[0, 0] = 255
    np.testing.assert_array_equal(read(path)[0], wanted)


def test_cmyk(tmp_path):
    path = tmp_path / "print.tif"
    Image.fromarray(PHOTO).convert("CMYK").save(path)
    pixels, notes = read(path)
    np.testing.assert_array_equal(pixels, PHOTO)
    assert notes == "its mode CMYK was converted to RGB without a colour profile"
    np.testing.assert_array_equal(read(path, 1)[0][..., 0], LUMA)


@pytest.mark.parametrize(("orientation", "turn"), [(6, lambda a: np.rot90(a, -1)), (3, lambda a: a[::-1, ::-1])])
def test_images_are_turned_upright(path, orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PHOTO).save(path, exif=exif)
    pixels, notes = read(path)
    np.testing.assert_array_equal(pixels, turn(PHOTO))
    assert notes == ""
    Image.fromarray(GREY.astype(np.uint16) << 8).save(path, exif=exif)
    np.testing.assert_array_equal(read(path, 1)[0][..., 0], turn(GREY))


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_of_several_frames_the_first(tmp_path, suffix):
    path = tmp_path / f"film{suffix}"
    frames = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (40, 120, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if suffix == ".webp" else {}))
    pixels, notes = read(path)
    np.testing.assert_array_equal(pixels, 40)
    assert notes.startswith("it has several frames; the first was taken")


def test_the_preview_in_a_cameras_jpeg_is_no_second_frame(tmp_path):
    path = tmp_path / "camera.jpg"
    image = Image.fromarray(PHOTO)
    image.save(path, format="MPO", save_all=True, append_images=[image.resize((4, 4))])
    assert read(path)[1] == ""


@pytest.mark.parametrize("content", [b"", b"GIF", b"no image at all", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_files_that_are_no_image(path, content):
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match=r"image\.png is corrupt, empty or no image"):
        read(path)
    with pytest.raises(MissingFileError, match="does not exist"):
        read(path.with_name("nothing.png"))


def test_pictures_for_an_engine_of_other_channels(path):
    Image.fromarray(PHOTO).save(path)
    with pytest.raises(
        ImageFileError, match=r"image\.png: this engine takes 5 channels.*\.npy file of uint8 \[H, W, 5\]"
    ):
        read_image(path, 5)


def test_arrays(tmp_path):
    path = tmp_path / "array.npy"
    array = np.random.default_rng(0).integers(0, 256, (4, 6, 5), dtype=np.uint8)
    np.save(path, array)
    np.testing.assert_array_equal(read(path, 5)[0], array)


class Sneaky:
    def __reduce__(self):
        return (print, ("unpickled",))


def test_arrays_that_are_none(tmp_path, capsys):
    path = tmp_path / "array.npy"
    np.save(path, np.array([Sneaky()], object))
    with pytest.raises(ImageFileError, match=r"array\.npy is corrupt, empty or no \.npy file"):
        read(path, 5)
    assert capsys.readouterr().out == "", "nothing is unpickled"
    np.save(path, np.zeros((2, 4, 4, 5), np.uint8))
    with pytest.raises(ImageFileError, match=r"is \[2, 4, 4, 5\], expected uint8 \[H, W, C\]: one picture per file"):
        read(path, 5)
    with path.open("wb") as stream:
        np.savez(stream, a=np.zeros(3))
    with pytest.raises(ImageFileError, match="is an archive"):
        read(path, 5)
    header = b"\x93NUMPY\x01\x00\x76\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000000, 5), }"
    for content in (b"", b"\x93NUMPY", b"text", header.ljust(127) + b"\n" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(ImageFileError, match="corrupt, empty or no"):
            read(path, 5)


def _encoded(kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(np.dstack([PHOTO, GREY]) if kind in ("PNG", "WEBP") else PHOTO).save(buffer, format=kind, **options)
    return buffer.getvalue()


EXIF = Image.Exif()
EXIF[0x0112] = 6
FILES = [
    _encoded("PNG"),
    _encoded("JPEG", exif=EXIF),
    _encoded("TIFF"),
    _encoded("GIF"),
    _encoded("WEBP"),
    _encoded("BMP"),
]


@settings(max_examples=drawn(400), deadline=None)
@given(st.sampled_from(FILES), st.sampled_from([1, 3]), st.data())
def test_damaged_bytes_never_escape_the_hierarchy(tmp_path_factory, content, input_nc, data):
    content = bytearray(content)
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    message = ""
    try:
        read(path, input_nc)
    except Pix2rtError as error:
        message = str(error)
    assert not message or "damaged.png" in message
