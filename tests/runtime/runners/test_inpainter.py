"""`Inpainter.run` on engines whose output encodes what they saw: what is exact, and what an engine gets to see."""

import re
import threading
import tracemalloc

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runtime import Inpainter, Pix2rtError
from runtime.errors import EngineFormatError, InputError
from runtime.runners.windows import STRATEGIES
from tests.examples import drawn
from tests.runtime import tiny_inpainters, tiny_translators
from tests.runtime.tiny_inpainters import expected
from tests.runtime.tiny_translators import reflected

SIZE = HEIGHT, WIDTH = tiny_inpainters.SIZE


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def box(shape, top, left, bottom, right):
    mask = np.zeros(shape, np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


@pytest.fixture(scope="module")
def inpainters(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inpainters")
    options = {
        "static": {},
        "batch": {"batch": 3},
        "dynamic": {"size": None, "batch": "N"},
        "style": {"style": True},
    }
    make = tiny_inpainters.inpainter
    return {
        name: Inpainter(make(folder / f"{name}.onnx", **chosen), threads=1, device="cpu")
        for name, chosen in options.items()
    }


def test_attributes(inpainters):
    static, dynamic = inpainters["static"], inpainters["dynamic"]
    assert (static.window, dynamic.window, static.device, static.spec.kind) == (SIZE, SIZE, "cpu", "inpainter")
    assert (static.uses_style, inpainters["style"].uses_style) == (False, True)


def random_case(rng):
    """An image of any size with up to five holes: rectangles, discs and noise."""
    height, width = rng.integers(12, 140, 2)
    mask = np.zeros((height, width), np.uint8)
    rows, columns = np.indices(mask.shape)
    for _ in range(rng.integers(1, 6)):
        y, x, size = rng.integers(0, height), rng.integers(0, width), rng.integers(1, 50)
        kind = rng.integers(3)
        if kind == 0:
            mask[y : y + size, x : x + rng.integers(1, 50)] = rng.integers(1, 256)
        elif kind == 1:
            mask[(rows - y) ** 2 + (columns - x) ** 2 < size**2 / 4] = 255
        else:
            mask[y : y + size, x : x + size][rng.random(mask[y : y + size, x : x + size].shape) < 0.3] = 1
    return noise(height, width, 3, seed=int(rng.integers(1000))), mask


def test_known_pixels_are_exact_on_500_random_pairs(inpainters):
    rng = np.random.default_rng(0)
    completed_by, refused = dict.fromkeys(STRATEGIES, 0), []
    for number in range(500):
        image, mask = random_case(rng)
        strategy = STRATEGIES[number % 4]
        engine = inpainters[("static", "dynamic", "batch")[number % 3]]
        dilate, feather = (int(value) for value in rng.integers(0, 4, 2)) if number % 2 else (0, 0)
        near = scipy.ndimage.maximum_filter(mask > 0, 2 * max(dilate, feather) + 1, mode="constant")
        if near.all():
            continue
        before = image.copy()
        try:
            completed = engine.run(image, mask, strategy=strategy, dilate=dilate, feather=feather)
        except InputError as error:
            reason = f"{strategy}: {error}"
            refused.append(reason)
            continue
        completed_by[strategy] += 1
        np.testing.assert_array_equal(completed[~near], image[~near])
        np.testing.assert_array_equal(image, before)
        assert completed.shape == image.shape
        assert completed.dtype == np.uint8
        # The hole is filled, not left: what lay in it has no influence.
        other = np.where(mask[..., None] > 0, 255 - image, image)
        again = engine.run(other, mask, strategy=strategy, dilate=dilate, feather=feather)
        np.testing.assert_array_equal(again, completed)
    assert all(re.match("(crop|pad): .*(larger than this engine's|no context is left in it)", r) for r in refused)
    assert min(completed_by.values()) > 40, completed_by
    assert completed_by["auto"] > 115


def test_the_engines_own_size(inpainters):
    image, mask = noise(*SIZE, 3), box(SIZE, 3, 5, 20, 30)
    for strategy in STRATEGIES:
        np.testing.assert_array_equal(inpainters["static"].run(image, mask, strategy=strategy), expected(image, mask))
    np.testing.assert_array_equal(inpainters["dynamic"].run(image, mask), expected(image, mask))


def test_truth_values_and_any_byte_mark_a_hole(inpainters):
    image, mask = noise(*SIZE, 3), box(SIZE, 3, 5, 20, 30)
    wanted = expected(image, mask)
    for given_mask in (mask > 0, mask // 255, (mask > 0).tolist()):
        np.testing.assert_array_equal(inpainters["static"].run(image, given_mask), wanted)


def shown(image, mask, rows, columns):
    """What the tiny engine makes of the given rows and columns, which may reach beyond the border."""
    rows = [reflected(row, image.shape[0]) for row in rows]
    columns = [reflected(column, image.shape[1]) for column in columns]
    return expected(image[np.ix_(rows, columns)], mask[np.ix_(rows, columns)])


def test_crop_takes_a_window_about_each_group_of_holes(inpainters):
    image, mask = noise(100, 200, 3), np.zeros((100, 200), np.uint8)
    mask[10:20, 20:30] = mask[15:25, 40:50] = 255  # together in one window
    mask[80:90, 150:186] = 255  # as wide as leaves an eighth on both sides
    mask[98:, 198:] = 255  # at the corner
    completed = inpainters["static"].run(image, mask, strategy="crop")
    windows = [(1, 11, slice(0, 40), slice(0, 100)), (68, 144, slice(75, 95), slice(140, 190))]
    windows.append((100 - HEIGHT, 200 - WIDTH, slice(96, 100), slice(190, 200)))
    wanted = image.copy()
    for top, left, rows, columns in windows:
        answer = image.copy()
        part = shown(image, mask, range(top, top + HEIGHT), range(left, left + WIDTH))
        answer[top : top + HEIGHT, left : left + WIDTH] = part
        hole = np.zeros_like(mask, bool)
        hole[rows, columns] = mask[rows, columns] > 0
        wanted[hole] = answer[hole]
    np.testing.assert_array_equal(completed, wanted)
    np.testing.assert_array_equal(inpainters["static"].run(image, mask), wanted)  # auto does the same


def test_padding_reflects_and_does_not_mistake_reflected_holes_for_context(inpainters):
    image, mask = noise(20, 30, 3), box((20, 30), 0, 4, 9, 12)  # all 12 rows below the image, beside it 3 and 15
    completed = inpainters["static"].run(image, mask, strategy="pad")
    wanted = shown(image, mask, range(32), range(-3, 45))[:20, 3:33]
    np.testing.assert_array_equal(completed, wanted)
    for strategy in ("auto", "crop"):
        np.testing.assert_array_equal(inpainters["static"].run(image, mask, strategy=strategy), wanted)
    # The engine of any size goes to the next multiple of 16 only: 2 columns.
    wide = inpainters["dynamic"].run(image, mask)
    np.testing.assert_array_equal(wide, shown(image, mask, range(32), range(30 + 2))[:20, :30])


def test_resize_averages_known_pixels_only(inpainters):
    """At half resolution, with holes of whole blocks, the mean of the known pixels is the mean of their block means."""
    image, mask = noise(2 * HEIGHT, 2 * WIDTH, 3), box((2 * HEIGHT, 2 * WIDTH), 10, 20, 50, 60)
    known = mask == 0
    blocks = image.reshape(HEIGHT, 2, WIDTH, 2, 3).mean(axis=(1, 3))
    small = (blocks + 0.5).astype(np.uint8)
    level = expected(small, mask[::2, ::2])[15, 20]
    completed = inpainters["static"].run(image, mask, strategy="resize")
    np.testing.assert_array_equal(completed[known], image[known])
    np.testing.assert_array_equal(completed[20:40, 30:50], np.broadcast_to(level, (20, 20, 3)))


def test_a_long_image_needs_no_memory_for_its_reflections(inpainters):
    """A window as wide as the image is as high in proportion: here 13 334 rows of which 12 are there."""
    image, mask = noise(12, 20_000, 3), box((12, 20_000), 3, 100, 5, 9000)
    tracemalloc.start()
    completed = inpainters["static"].run(image, mask, strategy="resize")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(completed[mask == 0], image[mask == 0])
    assert peak < 100e6, peak  # the whole window: 2.4 GB in float32


def test_auto_scales_down_for_a_hole_too_large_to_crop(inpainters):
    image, mask = noise(150, 200, 3), box((150, 200), 60, 80, 90, 130)
    notes = []
    completed = inpainters["static"].run(image, mask, notify=notes.append)
    known = mask == 0
    np.testing.assert_array_equal(completed[known], image[known])
    (note,) = notes
    assert "1/2.1 of its resolution" in note  # 50 of 2 · 48 / 2.083… columns
    assert np.ptp(completed[65:85, 90:120], axis=(0, 1)).max() == 0  # the mean, everywhere
    with pytest.raises(InputError, match="a hole is H×W = 30×50, larger than this engine's 32×48.*--strategy"):
        inpainters["static"].run(image, mask, strategy="crop")
    with pytest.raises(InputError, match=r"image is H×W = 150×200, larger than .*strategy='crop', 'resize' or 'auto'"):
        inpainters["static"].run(image, mask, strategy="pad")


@pytest.mark.parametrize("name", ["static", "batch", "dynamic"])
def test_a_batch_equals_single_calls(inpainters, name):
    rng = np.random.default_rng(1)
    images, masks = noise(5, 70, 90, 3), np.zeros((5, 70, 90), np.uint8)
    for mask in masks[:4]:  # the last has no hole
        y, x = rng.integers(0, 40, 2)
        mask[y : y + rng.integers(1, 30), x : x + rng.integers(1, 60)] = 1
        mask[60:, 80:] = 1
    notes = []
    batch = inpainters[name].run(images, masks, feather=1, notify=notes.append)
    singles = [inpainters[name].run(image, mask, feather=1) for image, mask in zip(images, masks, strict=True)]
    np.testing.assert_array_equal(batch, np.stack(singles))
    assert "nothing is missing, image 4 was returned" in notes[-1]


def test_nothing_missing_is_said_and_gives_a_copy(inpainters):
    image, notes = noise(20, 300, 3), []
    completed = inpainters["static"].run(image, np.zeros((20, 300), bool), dilate=5, notify=notes.append)
    np.testing.assert_array_equal(completed, image)
    assert not np.shares_memory(completed, image)
    assert notes == ["hole_mask is 0 everywhere: nothing is missing, image was returned as it is"]


def test_dilation_and_feathering(inpainters):
    image, mask = noise(*SIZE, 3), box(SIZE, 10, 20, 14, 28)
    grown = box(SIZE, 7, 17, 17, 31)
    filled = expected(image, grown)
    np.testing.assert_array_equal(inpainters["static"].run(image, mask, dilate=3), filled)
    feathered = inpainters["static"].run(image, mask, dilate=3, feather=2)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            distance = max(10 - y, y - 13, 20 - x, x - 27, 0)
            alpha = 1.0 if distance <= 1 else {2: 2 / 3, 3: 1 / 3}.get(distance, 0.0)
            wanted = np.floor(alpha * filled[y, x] + (1 - alpha) * image[y, x] + 0.5)
            assert np.abs(feathered[y, x] - wanted).max() <= (1 if 0 < alpha < 1 else 0), (y, x)
    np.testing.assert_array_equal(
        inpainters["static"].run(image, mask, feather=3), inpainters["static"].run(image, mask, dilate=3, feather=3)
    )


def test_windows_of_full_resolution_need_no_note(inpainters):
    image, mask, notes = noise(4 * SIZE[0], 4 * SIZE[1], 3), np.zeros((4 * SIZE[0], 4 * SIZE[1]), bool), []
    mask[50:56, 60:66] = True
    inpainters["static"].run(image, mask, strategy="crop", notify=notes.append)
    inpainters["static"].run(
        image[: SIZE[0], : SIZE[1]], mask[40 : 40 + SIZE[0], 50 : 50 + SIZE[1]], notify=notes.append
    )
    assert notes == []


def test_style_repaints_the_marked_region_or_everything(inpainters):
    engine, image, style = inpainters["style"], noise(*SIZE, 3), noise(*SIZE, 3, seed=1)
    mask = box(SIZE, 10, 20, 14, 28)
    np.testing.assert_array_equal(engine.run(image, mask, style=style), np.where(mask[..., None] > 0, style, image))
    np.testing.assert_array_equal(engine.run(image, style=style), style)
    np.testing.assert_array_equal(engine.run(image[None], style=style)[0], style)
    # A style of other proportions: the largest part of its middle, at the engine's size.
    wide = np.zeros((64, 300, 3), np.uint8)
    wide[:, 102:198] = style.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(engine.run(image, style=wide), style)
    tall = np.zeros((200, 96, 3), np.uint8)
    height = round(96 * SIZE[0] / SIZE[1])
    top = (200 - height) // 2
    tall[top : top + height] = 90
    assert (engine.run(image, style=tall) == 90).all()
    small = np.full((5, 7, 3), 90, np.uint8)
    assert (engine.run(image, style=small) == 90).all()
    large = noise(3 * HEIGHT, 3 * WIDTH, 3)
    assert engine.run(large, style=np.full_like(style, 7)).tolist() == np.full_like(large, 7).tolist()
    notes = []
    engine.run(noise(1, 5000, 3), style=style, notify=notes.append)
    assert notes == ["image: a hole was completed at 1/104.2 of its resolution"]


def test_views_and_threads(inpainters):
    images = noise(3, 60, 8, 50)[::-1].transpose(1, 3, 2, 0)[:, :, ::2]  # [60, 50, 4, 3]
    image, mask = images[:, :, 0], np.asfortranarray(box((60, 50), 4, 4, 20, 30))
    wanted = inpainters["static"].run(np.ascontiguousarray(image), mask)
    np.testing.assert_array_equal(inpainters["static"].run(image, mask), wanted)
    pictures = [noise(60, 50, 3, seed=i) for i in range(20)]
    serial = [inpainters["static"].run(picture, mask) for picture in pictures]
    results = [None] * len(pictures)

    def work(start):
        for i in range(start, len(pictures), 4):
            results[i] = inpainters["static"].run(pictures[i], mask)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(results, serial)


GOOD, HOLE = noise(40, 50, 3), box((40, 50), 4, 4, 20, 20)
BAD = {
    "another size": ("static", GOOD, HOLE[:-1], {}, r"hole_mask is uint8 \[39, 50\], expected .*\[40, 50\].*crop"),
    "transposed": ("static", GOOD, HOLE.T, {}, r"\[50, 40\], expected uint8 or bool \[40, 50\].*sides are swapped"),
    "one channel": ("static", GOOD, HOLE[..., None], {}, r"drop its last axis with hole_mask\[\.\.\., 0\]"),
    "three channels": ("static", GOOD, np.dstack([HOLE] * 3), {}, r"it has channels: use hole_mask\.any\(axis=-1\)"),
    "a mask for a batch": ("static", GOOD[None], HOLE, {}, "each image.*numpy.broadcast_to"),
    "one for two": ("static", np.stack([GOOD, GOOD]), HOLE[None], {}, "each image.*numpy.broadcast_to"),
    "another size, in a batch": ("static", GOOD[None], HOLE[None, 1:], {}, "scale it by nearest neighbour"),
    "floats": ("static", GOOD, HOLE / 255, {}, "float64.*hole_mask > 0.5"),
    "ints": ("static", GOOD, HOLE.astype(int), {}, "int64.*hole_mask != 0"),
    "NaN": ("static", GOOD, np.where(HOLE, np.nan, 0), {}, "NaN or infinity"),
    "strings": ("static", GOOD, np.full(HOLE.shape, "a"), {}, "<U1.*bytes or truth values"),
    "None": ("static", GOOD, None, {}, r"hole_mask is missing; give uint8 or bool \[40, 50\]"),
    "ragged": ("static", GOOD, [[1], [1, 2]], {}, "hole_mask is no array"),
    "an image of floats": ("static", GOOD / 255, HOLE, {}, r"image is float64.*\(255 \* image\)"),
    "an image with NaN": ("static", np.full(GOOD.shape, np.nan), HOLE, {}, "image is float64.*NaN"),
    "a grey image": ("static", GOOD[..., 0], HOLE, {}, "grey image for an RGB engine"),
    "everything missing": ("static", GOOD, HOLE | 1, {}, "marks every pixel of image .*no context.*--invert-mask"),
    "missing after dilation": ("static", GOOD, HOLE, {"dilate": 40}, "with dilate and feather.*no context is left"),
    "one of a batch": ("static", np.stack([GOOD, GOOD]), np.stack([HOLE, HOLE | 1]), {}, "every pixel of image 1"),
    "smaller than a patch": ("static", GOOD[:11], HOLE[:11], {}, r"H×W = 11×50, smaller than one patch of 12×12"),
    "a window full of holes": ("static", noise(32, 200, 3), box((32, 200), 0, 0, 32, 48), {"strategy": "crop"},
                               "H×W = 32×48 at this engine's 32×48: no context"),
    "a strategy": ("static", GOOD, HOLE, {"strategy": "tile"}, "strategy is 'tile', expected one of auto, crop, res"),
    "a negative margin": ("static", GOOD, HOLE, {"dilate": -1}, "dilate is -1, expected a number of pixels from 0"),
    "a fraction": ("static", GOOD, HOLE, {"feather": 0.5}, "feather is 0.5, expected"),
    "a truth value": ("static", GOOD, HOLE, {"feather": True}, "feather is True, expected"),
    "a style for completion": ("static", GOOD, HOLE, {"style": GOOD}, "style is given.*--style-transfer"),
    "no style": ("style", GOOD, HOLE, {}, "style is missing, but this engine repaints"),
    "a grey style": ("style", GOOD, HOLE, {"style": GOOD[..., 0]}, r"style has .*numpy\.repeat\(style\["),
    "a style of floats": ("style", GOOD, HOLE, {"style": GOOD / 255}, r"style is float64.*\(255 \* style\)"),
    "two styles": ("style", GOOD, HOLE, {"style": np.stack([GOOD, GOOD])}, "style has 2 images, expected one"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input(inpainters, name):
    engine, image, mask, options, message = BAD[name]
    with pytest.raises(InputError, match=message):
        inpainters[engine].run(image, mask, **options)


def test_other_engines_are_refused(tmp_path):
    with pytest.raises(EngineFormatError, match="is a 'translator' engine, expected 'inpainter'"):
        Inpainter(tiny_translators.translator(tmp_path / "t.onnx"))
    with pytest.raises(EngineFormatError, match=r"image of \[1, 32, 48, 4\], expected 3 for 4"):
        Inpainter(tiny_inpainters.inpainter(tmp_path / "four.onnx", channels=4))


anything = st.one_of(
    st.none(),
    st.integers(-2, 300),
    st.text(max_size=3),
    hnp.arrays(
        st.sampled_from([np.uint8, np.bool_, np.float32, np.int16]),
        st.lists(st.sampled_from([0, 1, 3, 14, 20]), max_size=4).map(tuple),
    ),
)


@settings(max_examples=drawn(300), deadline=None)
@given(anything, anything, st.sampled_from(["static", "dynamic", "style"]), st.sampled_from([*STRATEGIES, "x"]))
def test_any_arguments_give_an_image_or_a_clear_error(inpainters, image, mask, name, strategy):
    style = GOOD if name == "style" else None
    try:
        completed, message = inpainters[name].run(image, mask, strategy=strategy, style=style), ""
    except Pix2rtError as error:
        completed, message = None, str(error)
    if completed is None:
        assert re.match(r"image |hole_mask |strategy |style |a hole |holes ", message)
    else:
        assert completed.shape == np.shape(image)
