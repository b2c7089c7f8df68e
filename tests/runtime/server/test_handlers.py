"""A picture in, a picture out: the bytes that the library makes, and its own sentences where it cannot."""

import io

import numpy as np
import pytest
from PIL import Image

from runtime import Inpainter, Translator
from runtime.errors import EngineFormatError, InputError
from runtime.media.decoding import Upload
from runtime.media.images import png_bytes
from runtime.server.inference import Workers
from tests.runtime import tiny_engines, tiny_inpainters, tiny_translators
from tests.runtime.requests import error_of, pixels, png, post

RNG = np.random.default_rng(0)


def photo(size, channels=3):
    return RNG.integers(0, 256, (*size, channels), dtype=np.uint8)


def test_translate_gives_the_bytes_of_the_library(tiny_studio):
    image = photo((20, 24))
    status, body = post(tiny_studio, "/v1/lines/translate", image=png(image))
    assert status == 200
    with Translator(tiny_studio.folder / "lines.onnx") as translator:
        assert np.array_equal(pixels(body), translator.run(image))


def test_inpaint_gives_the_bytes_of_the_library(tiny_studio):
    image, mask = photo(tiny_inpainters.SIZE), np.zeros(tiny_inpainters.SIZE, np.uint8)
    mask[8:20, 8:20] = 255
    status, body = post(tiny_studio, "/v1/holes/inpaint", image=png(image), mask=png(mask), dilate=2, feather=1)
    assert status == 200
    with Inpainter(tiny_studio.folder / "holes.onnx") as inpainter:
        assert np.array_equal(pixels(body), inpainter.run(image, mask, dilate=2, feather=1))


def bomb():
    """A PNG of 20000×20000 white pixels in some hundred kB."""
    stream = io.BytesIO()
    Image.new("1", (20000, 20000), 1).save(stream, format="PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        ("/v1/lines/translate", {}, "image is missing"),
        ("/v1/lines/translate", {"image": "a text"}, "image is a text, expected a file"),
        ("/v1/lines/translate", {"image": b"no picture"}, "image image.png is corrupt, empty or no image"),
        ("/v1/lines/translate", {"image": b""}, "is corrupt, empty or no image"),
        ("/v1/lines/translate", {"image": png(photo((8, 8)))[:-30]}, "is corrupt"),
        ("/v1/lines/translate", {"image": bomb()}, "400 megapixels, more than the 200 that are read"),
        ("/v1/other/translate", {"image": b""}, "no engine 'other' here; those are scene, free, holes, faces, lines"),
        ("/v1/holes/translate", {"image": b""}, "engine holes has no 'translate'; it has inpaint"),
        ("/v1/holes/inpaint", {"image": png(photo((32, 32)))}, "mask is missing"),
        ("/v1/holes/inpaint", {"image": png(photo((32, 32))), "mask": png(photo((8, 8), 1)[..., 0])}, "hole_mask"),
        (
            "/v1/holes/inpaint",
            {"image": png(photo((8, 8))), "mask": png(photo((8, 8))), "dilate": "x"},
            "dilate is 'x'",
        ),
        ("/v1/holes/inpaint", {"image": b"", "mask": b"", "strategy": "magic"}, "strategy is 'magic'"),
        ("/v1/holes/inpaint", {"image": b"", "mask": b"", "feather": "9" * 20}, "expected a whole number"),
        ("/v1/holes/inpaint", {"image": b"", "mask": b"", "feather": "--5"}, "expected a whole number"),
        ("/v1/holes/inpaint", {"image": b"", "mask": b"", "dilate": "5-"}, "expected a whole number"),
    ],
)
def test_what_is_wrong_is_said(tiny_studio, path, fields, message):
    assert message in error_of(post(tiny_studio, path, **fields))


def test_other_methods_and_paths_are_not_there(tiny_studio):
    assert post(tiny_studio, "/api/engines")[0] == 405
    assert post(tiny_studio, "/api/nothing")[0] == 404


def test_ids_that_sixteen_bits_do_not_hold_are_refused():
    assert np.array_equal(pixels(png_bytes(np.array([[0, 65535]], np.int32))), [[0, 65535]])
    with pytest.raises(InputError, match="ids up to 65536"):
        png_bytes(np.array([[0, 65536]], np.int32))
    assert str(Upload("photo a.png", b"")) == "photo a.png"


def test_engines_of_one_name_are_told_apart_and_strangers_are_named(tmp_path):
    paths = [tiny_translators.translator(tmp_path / name / "same.onnx") for name in made_folders(tmp_path, "ab")]
    workers = Workers.open(paths, "cpu", "auto", None)
    assert [worker.name for worker in workers] == ["same", "same-2"]
    workers.close()
    encoder = tiny_engines.style_encoder(tmp_path / "street.encoder.onnx")
    with pytest.raises(EngineFormatError, match=r"encoder.onnx is a 'style_encoder' engine; what is served"):
        Workers.open([encoder], "cpu", "auto", None, kinds=("translator",))


def made_folders(folder, names):
    for name in names:
        (folder / name).mkdir()
    return names
