"""`Translator.run` on engines whose output encodes their input: what the engine sees and what the caller gets."""

import re
import threading

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from runtime import Pix2rtError, Translator
from runtime.errors import InputError
from runtime.runners.image_checks import reflect_to
from tests.examples import drawn
from tests.runtime import tiny_translators
from tests.runtime.tiny_translators import expected, reflected

SIZE = HEIGHT, WIDTH = tiny_translators.SIZE


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def translators(tmp_path_factory):
    folder = tmp_path_factory.mktemp("translators")
    options = {
        "rgb": {},
        "grey": {"input_nc": 1, "output_nc": 1},
        "grey_to_rgb": {"input_nc": 1},
        "five": {"input_nc": 5, "output_nc": 2},
        "static": {"size": SIZE, "batch": 1},
        "static_batch": {"size": SIZE, "batch": 3},
        "stochastic": {"seed": True},
        "stochastic_batch": {"seed": True, "size": SIZE, "batch": 3},
        "batch_stats": {"normalization": "batch-stats"},
        "batch_stats_static": {"normalization": "batch-stats", "size": SIZE, "batch": 1},
        "running_stats": {"normalization": "running-stats"},
    }
    make = tiny_translators.translator
    return {
        name: Translator(make(folder / f"{name}.onnx", **chosen), threads=1, device="cpu")
        for name, chosen in options.items()
    }


def test_attributes(translators):
    five = translators["five"]
    assert (five.input_nc, five.output_nc, five.device, five.spec.kind) == (5, 2, "cpu", "translator")
    assert translators["stochastic"].is_stochastic
    assert not five.is_stochastic


@pytest.mark.parametrize(
    ("name", "channels"), [("rgb", (3, 3)), ("grey", (1, 1)), ("grey_to_rgb", (1, 3)), ("five", (5, 2))]
)
def test_every_number_of_channels(translators, name, channels):
    image = noise(20, 33, channels[0])
    translation = translators[name].run(image)
    assert translation.dtype == np.uint8
    assert translation.flags.c_contiguous
    np.testing.assert_array_equal(translation, expected(image, channels[1]))


def test_grey_images_may_lack_the_channel_axis(translators):
    image = noise(20, 33)
    np.testing.assert_array_equal(translators["grey"].run(image), translators["grey"].run(image[..., None]))
    assert translators["grey_to_rgb"].run(image).shape == (20, 33, 3)


@settings(max_examples=drawn(150), deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 9))
def test_any_size(translators, height, width, seed):
    image = noise(height, width, 3, seed=seed)
    np.testing.assert_array_equal(translators["rgb"].run(image), expected(image))
    if height <= HEIGHT and width <= WIDTH:
        np.testing.assert_array_equal(translators["static"].run(image), expected(image, size=SIZE))


@settings(max_examples=drawn(200), deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 40), st.integers(0, 40))
def test_reflection_goes_back_and_forth(height, width, below, right):
    images = noise(2, height, width, 3)
    rows = [reflected(position, height) for position in range(height + below)]
    columns = [reflected(position, width) for position in range(width + right)]
    wanted = images[:, rows][:, :, columns]
    np.testing.assert_array_equal(reflect_to(images, (height + below, width + right)), wanted)


@pytest.mark.parametrize("name", ["rgb", "static", "static_batch", "running_stats", "batch_stats_static"])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_batch_equals_single_calls(translators, name, count):
    images = noise(count, 13, 30, 3)
    batch = translators[name].run(images)
    np.testing.assert_array_equal(batch, np.stack([translators[name].run(image) for image in images]))
    size = None if name in ("rgb", "running_stats") else SIZE
    np.testing.assert_array_equal(batch, np.stack([expected(image, size=size) for image in images]))


def test_statistics_of_the_batch_see_the_whole_batch(translators):
    images = noise(4, 16, 16, 3)
    shift = images[:, -1, -1, -1].astype(int).sum()
    wanted = ((images + shift) % 256).astype(np.uint8)
    np.testing.assert_array_equal(translators["batch_stats"].run(images), wanted)
    assert (translators["batch_stats"].run(images[0]) != wanted[0]).all(), "alone it has other statistics"


@pytest.mark.parametrize("name", ["stochastic", "stochastic_batch"])
def test_the_seed_reaches_every_image(translators, name):
    images, size = noise(4, 16, 30, 3), SIZE if name == "stochastic_batch" else None
    for seed in (None, 0, 7, np.int64(200)):
        translation = translators[name].run(images, seed=seed)
        wanted = np.stack([expected(image, size=size, seed=int(seed or 0)) for image in images])
        np.testing.assert_array_equal(translation, wanted)
    assert translators[name].run(images[0], seed=2**31 - 1).shape == images[0].shape


@pytest.mark.parametrize("seed", [-1, 2**31, 0.5, True, "7"])
def test_impossible_seeds(translators, seed):
    with pytest.raises(InputError, match="seed is .*0 to 2147483647"):
        translators["stochastic"].run(noise(16, 16, 3), seed=seed)


def test_a_seed_where_nothing_is_drawn(translators):
    with pytest.raises(InputError, match="seed is 3.*draws nothing.*--stochastic"):
        translators["rgb"].run(noise(16, 16, 3), seed=3)


def test_views_in_any_memory_order(translators):
    image = noise(30, 4, 16)[::-1, :3].transpose(2, 0, 1)
    np.testing.assert_array_equal(translators["static"].run(image), expected(image, size=SIZE))


def test_results_are_fresh_and_inputs_left_alone(translators):
    for name in ("rgb", "static", "static_batch"):
        for count in (1, 4):
            images = noise(count, *SIZE, 3)
            before = images.copy()
            first = translators[name].run(images)
            kept = first.copy()
            second = translators[name].run(255 - images)
            np.testing.assert_array_equal(first, kept)
            np.testing.assert_array_equal(images, before)
            assert not np.shares_memory(first, images)
            assert not np.shares_memory(first, second)
            first[:] = 0  # writable, and nobody else's
            np.testing.assert_array_equal(translators[name].run(images), kept)


def test_four_threads_get_the_bytes_of_serial_calls(translators):
    images = [noise(10 + i, 20, 3, seed=i) for i in range(40)]
    serial = [translators["stochastic"].run(image, seed=i) for i, image in enumerate(images)]
    results = [None] * len(images)

    def work(start):
        for i in range(start, len(images), 4):
            results[i] = translators["stochastic"].run(images[i], seed=i)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result, wanted in zip(results, serial, strict=True):
        np.testing.assert_array_equal(result, wanted)


GOOD = noise(16, 16, 3)
BAD_IMAGES = {
    "floats in [0, 1]": ("rgb", GOOD / 255, r"float64.*\(255 \* image\)\.round\(\)\.astype"),
    "floats in [-1, 1]": ("rgb", np.float32(GOOD) / 127.5 - 1, r"float32.*\(127\.5 \* image \+ 127\.5\)\.round\(\)"),
    "floats in [0, 255]": ("rgb", GOOD.astype(float), r"float64.*image\.round\(\)\.astype"),
    "NaN": ("rgb", np.full((16, 16, 3), np.nan), "NaN or infinity"),
    "infinity": ("rgb", np.full((16, 16, 3), np.inf), "NaN or infinity"),
    "large floats": ("rgb", GOOD * 9.0, r"from 0 to 2295: scale them to 0\.\.255"),
    "16 bits": ("rgb", GOOD.astype(np.uint16) << 8, r"uint16.*\(image >> 8\)\.astype\(numpy\.uint8\)"),
    "bytes as int64": ("rgb", GOOD.astype(int), r"int64.*fit.*image\.astype"),
    "negative": ("rgb", -GOOD.astype(int), r"from -255 to 0: scale"),
    "bools": ("rgb", GOOD > 9, r"bool.*255 \* image\.astype"),
    "complex": ("rgb", GOOD * 1j, "complex128.*bytes of a picture"),
    "strings": ("rgb", np.array([["a"]]), "image is <U1"),
    "ragged": ("rgb", [[1, 2], [3]], "image is no array"),
    "None": ("rgb", None, "image is object"),
    "a scalar": ("rgb", np.uint8(1), r"uint8 \[\], expected uint8 \[H, W, 3\] or \[N, H, W, 3\]"),
    "five axes": ("rgb", GOOD[None, None], r"\[1, 1, 16, 16, 3\]"),
    "empty": ("rgb", GOOD[:0], "not empty"),
    "an empty batch": ("rgb", GOOD[None][:0], "not empty"),
    "no channels": ("rgb", GOOD[..., :0], "not empty"),
    "grey for RGB": ("rgb", GOOD[..., 0], r"grey image for an RGB engine: numpy\.repeat\(image\[\.\.\., None\], 3"),
    "one channel for RGB": ("rgb", GOOD[..., :1], r"grey image for an RGB engine: numpy\.repeat\(image, 3"),
    "RGBA": ("rgb", np.dstack([GOOD, GOOD[..., 0]]), r"alpha channel.*image\[\.\.\., :3\]"),
    "channels first": ("rgb", np.moveaxis(GOOD, -1, 0), r"channels come first.*numpy\.moveaxis\(image, -3, -1\)"),
    "a batch, channels first": ("rgb", np.moveaxis(GOOD[None], -1, 1), "channels come first"),
    "RGB for grey": ("grey", GOOD, r'\[H, W\], \[H, W, 1\] or.*colour image for a grey engine: numpy.*convert\("L"\)'),
    "a batch of grey images": ("grey", noise(2, 16, 16), r"\[2, 16, 16\].*\[N, H, W, 1\]"),
    "RGB for five channels": ("five", GOOD, r"\[H, W, 5\].*takes 5 channels"),
    "grey for five channels": ("five", GOOD[..., 0], r"\[H, W, 5\].*takes 5 channels"),
    "taller than the engine": ("static", noise(17, 32, 3), r"17×32, larger than this engine's 16×32.*--dynamic"),
    "wider than the engine": ("static", noise(16, 33, 3), r"16×33, larger than this engine's 16×32.*--dynamic"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_images(translators, name):
    engine, image, message = BAD_IMAGES[name]
    with pytest.raises(InputError, match=message):
        translators[engine].run(image)


@pytest.mark.parametrize("name", [name for name in BAD_IMAGES if re.search("numpy|astype", BAD_IMAGES[name][2])])
def test_the_advice_works(translators, name):
    """What the message says to do is run, as the caller would."""
    engine, image, _ = BAD_IMAGES[name]
    with pytest.raises(InputError) as caught:
        translators[engine].run(image)
    advice = re.search(r"(?:engine: |give |byte: |convert it with )(.*)$", str(caught.value))
    assert advice, str(caught.value)
    converted = eval(advice.group(1), {"numpy": np, "PIL": PIL, "image": image})
    assert translators[engine].run(converted).shape[:2] == (16, 16)


def test_pillow_images_are_arrays(translators):
    np.testing.assert_array_equal(translators["rgb"].run(Image.fromarray(GOOD)), expected(GOOD))


anything = st.one_of(
    st.none(),
    st.integers(),
    st.text(max_size=3),
    st.lists(st.integers(-5, 300), max_size=4),
    hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5)),
    hnp.arrays(np.uint8, st.tuples(st.integers(0, 40), st.integers(0, 40), st.sampled_from([1, 2, 3, 4, 5]))),
)


@settings(max_examples=drawn(300), deadline=None)
@given(st.sampled_from(["rgb", "grey", "five", "static", "stochastic", "batch_stats"]), anything, anything)
def test_any_arguments_give_an_image_or_a_clear_error(translators, name, image, seed):
    try:
        translation = translators[name].run(image, seed=seed)
    except Pix2rtError as error:
        translation, message = None, str(error)
    if translation is None:
        assert re.match(r"image |seed is ", message)
    else:
        shape = np.shape(image) if np.ndim(image) > 2 else (*np.shape(image), 1)
        assert translation.shape == (*shape[:-1], translators[name].output_nc)
