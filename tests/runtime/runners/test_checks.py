"""Bad input: every message names the array, what was received, what was expected and what to do."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runtime import Pix2rtError, Synthesizer
from runtime.errors import InputError, StyleError
from tests.examples import drawn
from tests.runtime import tiny_engines

SIZE = HEIGHT, WIDTH = tiny_engines.SIZE
GOOD = np.zeros(SIZE, np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="module")
def plain(folder):
    return Synthesizer(tiny_engines.synthesizer(folder / "plain.onnx"))


@pytest.fixture(scope="module")
def inst(folder):
    return Synthesizer(tiny_engines.synthesizer(folder / "inst.onnx", inst=True))


@pytest.fixture(scope="module")
def styled(folder):
    return Synthesizer(tiny_engines.synthesizer(folder / "styled.onnx", styles=True))


@pytest.fixture(scope="module")
def dynamic(folder):
    return Synthesizer(tiny_engines.synthesizer(folder / "dynamic.onnx", size=None, batch="N"))


def with_ids(*values, dtype=np.uint8):
    labels = np.zeros(SIZE, dtype)
    labels.flat[: len(values)] = values
    return labels


BAD_LABEL_MAPS = {
    "unknown ids": (
        with_ids(255, 255, 7),
        r"0\.\.3: 7 \(1 pixels\), 255 \(2 pixels\).*255 usually.*unknown=<class id>",
    ),
    "negative ids": (with_ids(-1, dtype=np.int8), r"-1 \(1 pixels\).*licence plates.*unknown="),
    "an instance map": (with_ids(26001, dtype=np.int32), r"26001 \(1 pixels\).*inst_map"),
    "many unknown ids": (with_ids(*range(10, 30)), r"15 \(1 pixels\) and 14 more"),
    "floats": (GOOD.astype(np.float32), r"float32.*integers.*astype"),
    "bools": (GOOD.astype(bool), "bool"),
    "strings": (np.array([["a"]]), "label_map is <U1"),
    "objects": ([[object()]], "label_map is object"),
    "ragged": ([[1, 2], [3]], "no array"),
    "a colour picture": (np.zeros((*SIZE, 3), np.uint8), r"\[16, 32, 3\].*palette.*JPEG.*Pillow|PIL"),
    "pictures with alpha": (np.zeros((2, *SIZE, 4), np.uint8), "colour picture"),
    "a scalar": (np.uint8(1), r"shape \[\]"),
    "a row": (np.zeros(5, np.uint8), r"shape \[5\].*\[H, W\] or \[N, H, W\]"),
    "four axes": (np.zeros((1, 1, 5, 5), np.uint8), r"\[1, 1, 5, 5\]"),
    "empty": (np.zeros((0, 32), np.uint8), "not empty"),
    "an empty batch": (np.zeros((0, *SIZE), np.uint8), "not empty"),
    "None": (None, "label_map"),
}


@pytest.mark.parametrize("name", BAD_LABEL_MAPS)
def test_bad_label_maps(plain, name):
    label_map, message = BAD_LABEL_MAPS[name]
    with pytest.raises(InputError, match=message):
        plain.run(label_map)


@pytest.mark.parametrize("unknown", [-1, 4, 255, 1.0, True, "road"])
def test_unknown_must_be_a_class_id(plain, unknown):
    with pytest.raises(InputError, match=r"unknown is .*0 to 3"):
        plain.run(GOOD, unknown=unknown)


@pytest.mark.parametrize("seed", [-1, 0.5, None, True, "7"])
def test_seed_must_be_a_natural_number(plain, seed):
    with pytest.raises(InputError, match="seed is "):
        plain.run(GOOD, seed=seed)


def test_sizes_of_a_static_engine(plain):
    with pytest.raises(InputError, match=r"15×32.*exactly 16×32.*pad=True"):
        plain.run(GOOD[:15])
    for pad in (False, True):
        with pytest.raises(InputError, match=r"17×32, larger than this engine's 16×32.*never scales"):
            plain.run(np.zeros((17, 32), np.uint8), pad=pad)


def test_sizes_of_a_dynamic_engine(dynamic):
    with pytest.raises(InputError, match=r"15×32.*multiples of 8.*pad=True.*16×32"):
        dynamic.run(GOOD[:15])


def test_the_smallest_side(folder):
    path = tiny_engines.synthesizer(folder / "smallest.onnx", size=None, batch="N", smallest=16)
    synthesizer = Synthesizer(path)
    with pytest.raises(InputError, match=r"8×32.*multiples of 8, at least 16; pass pad=True.*16×32"):
        synthesizer.run(GOOD[:8])
    np.testing.assert_array_equal(synthesizer.run(GOOD[:8], pad=True), synthesizer.run(GOOD)[:8])


def test_a_missing_inst_map(inst):
    with pytest.raises(InputError, match=r"inst_map is missing.*edges_from_labels=True"):
        inst.run(GOOD)


def test_an_inst_map_that_nobody_wants(plain, inst):
    with pytest.raises(InputError, match="does not use instances"):
        plain.run(GOOD, GOOD)
    with pytest.raises(InputError, match="both inst_map and edges_from_labels"):
        inst.run(GOOD, GOOD, edges_from_labels=True)


BAD_INST_MAPS = {
    "another size": (GOOD[:, :16], r"inst_map has shape \[16, 16\], expected \[16, 32\] as label_map"),
    "a batch": (GOOD[None], r"\[1, 16, 32\], expected \[16, 32\]"),
    "floats": (GOOD.astype(np.float64), "float64.*int32"),
    "negative": (with_ids(-2, dtype=np.int16), "from -2 to 0.*renumber"),
    "too large": (with_ids(2**31, dtype=np.int64), "2147483648, expected 0 to 2147483647"),
    "a picture": (np.zeros((*SIZE, 3), np.uint8), "colour picture"),
}


@pytest.mark.parametrize("name", BAD_INST_MAPS)
def test_bad_inst_maps(inst, name):
    inst_map, message = BAD_INST_MAPS[name]
    with pytest.raises(InputError, match=message):
        inst.run(GOOD, inst_map)


def test_styles_for_an_engine_without_features(inst):
    with pytest.raises(StyleError, match="no style features"):
        inst.run(GOOD, GOOD, styles={"car": 0})


def test_errors_are_the_builtins_that_callers_expect(plain):
    with pytest.raises(ValueError, match="label_map"):
        plain.run(GOOD.astype(float))


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.integers(-5, 300), max_size=4),
    hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)),
    hnp.arrays(st.sampled_from([np.uint8, np.int16, np.int64]), st.just(SIZE), elements=st.integers(0, 5)),
)
style_maps = st.one_of(
    anything,
    st.dictionaries(st.one_of(st.integers(-1, 5), st.sampled_from(["car", "road", ""]), st.floats()), anything),
)


@settings(max_examples=drawn(400), deadline=None)
@given(anything, anything, style_maps, anything, anything, st.booleans(), st.booleans())
def test_any_arguments_give_an_image_or_a_clear_error(styled, label_map, inst_map, styles, seed, unknown, edges, pad):
    options = {"styles": styles, "seed": seed, "unknown": unknown, "edges_from_labels": edges, "pad": pad}
    try:
        image = styled.run(label_map, inst_map, **options)
    except Pix2rtError as error:
        image, message = None, str(error)
    if image is None:
        assert re.search(r"label_map|inst_map|style|seed|unknown", message)
    else:
        assert image.shape == (*np.shape(label_map), 3)


@settings(max_examples=drawn(200), deadline=None)
@given(
    hnp.arrays(np.uint8, SIZE, elements=st.integers(0, 5)),
    hnp.arrays(np.int32, SIZE, elements=st.integers(0, 4)),
    style_maps,
    st.integers(0, 2**70),
)
def test_any_styles_on_good_maps(styled, label_map, inst_map, styles, seed):
    try:
        image = styled.run(label_map, inst_map, styles=styles, seed=seed, unknown=2)
    except StyleError as error:
        image, message = None, str(error)
    if image is None:
        assert "style" in message
    else:
        np.testing.assert_array_equal(image[..., 0], np.where(label_map > 3, 2, label_map))
