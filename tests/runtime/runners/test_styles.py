"""`styles=`: keys, precedence, values, the seeded choice, and every message."""

import numpy as np
import pytest

from runtime import StyleEncoder, Synthesizer
from runtime.errors import InputError, StyleError
from tests.runtime import tiny_engines

# Four stripes: sky, two cars, a person. Instance 3 is also the id of the class "person".
LABELS = np.repeat([0, 2, 2, 3], 8).astype(np.uint8)[None].repeat(16, 0)
IDS = np.repeat([0, 3, 26001, 24000], 8).astype(np.int32)[None].repeat(16, 0)


@pytest.fixture(scope="module")
def synthesizer(tmp_path_factory):
    return Synthesizer(tiny_engines.synthesizer(tmp_path_factory.mktemp("engine") / "styled.onnx", styles=True))


def codes(synthesizer, styles=None, ids=IDS, **options):
    """10 · feature 0 + feature 1 of the four stripes."""
    return synthesizer.run(LABELS, ids, styles=styles, **options)[0, ::8, 2].tolist()


def test_index_by_instance_and_by_class(synthesizer):
    assert codes(synthesizer, {3: 1, 26001: 2, "person": 0}) == [0, 34, 56, 78]
    assert codes(synthesizer, {"car": 0, "person": 1}) == [0, 12, 12, 91]
    assert codes(synthesizer, {2: 1, 24000: 1}) == [0, 34, 34, 91]


def test_an_instance_goes_before_its_class(synthesizer):
    assert codes(synthesizer, {26001: 2, "car": 0, "person": 0}) == [0, 12, 56, 78]
    assert codes(synthesizer, {"car": 0, 26001: 2, "person": 0}) == [0, 12, 56, 78]


def test_an_integer_is_an_instance_before_it_is_a_class(synthesizer):
    assert codes(synthesizer, {3: 0, "car": 2, "person": 1}) == [0, 12, 56, 91]


@pytest.mark.parametrize(
    "feature", [[1.5, 2.0], (1.5, 2), np.array([1.5, 2], np.float64), np.array([1.5, 2], np.float16)]
)
def test_a_feature_of_ones_own_fits_any_class(synthesizer, feature):
    assert codes(synthesizer, {"sky": feature, "car": 0, "person": 0}) == [17, 12, 12, 78]


def test_numpy_integers_are_keys_and_values(synthesizer):
    assert codes(synthesizer, {np.int32(26001): np.int64(1), "car": np.uint8(0), "person": 0}) == [0, 12, 34, 78]


def test_the_seed_chooses_and_stays(synthesizer):
    choices = [codes(synthesizer, seed=seed) for seed in range(40)]
    assert choices[7] == codes(synthesizer, seed=7)
    assert {row[0] for row in choices} == {0}  # sky has no styles
    assert {row[1] for row in choices} == {12, 34, 56}
    assert {row[3] for row in choices} == {78, 91}
    assert any(row[1] != row[2] for row in choices)  # two cars choose for themselves


def test_one_instances_style_does_not_depend_on_the_others(synthesizer):
    other_ids = np.where(IDS == 3, 99, IDS)
    for seed in range(20):
        assert codes(synthesizer, seed=seed)[2:] == codes(synthesizer, ids=other_ids, seed=seed)[2:]


def test_the_documented_choice(synthesizer):
    index = np.random.default_rng([5, 26001]).integers(3)
    assert codes(synthesizer, seed=5)[2] == (12, 34, 56)[index]


def test_the_class_of_an_instance_is_that_of_its_first_pixel(synthesizer):
    ids = np.zeros((16, 32), np.int32)
    labels = np.full((16, 32), 3, np.uint8)
    labels[0, 0] = 2
    assert set(synthesizer.run(labels, ids, styles={"car": 1})[..., 2].ravel().tolist()) == {34}


BAD_STYLES = {
    "an unknown instance": ({26002: 0}, r"26002 is not in this image; its classes are 'sky' \(0\).*0, 3, 24000, 26001"),
    "a class that is not there": ({"road": 0}, "'road' is not in this image"),
    "an unknown class": ({"cars": 0}, "unknown class 'cars'.*sky, road, car, person"),
    "a class without styles": ({"sky": 0}, "'sky'.*no styles.*'car', 'person'"),
    "an index out of range": ({26001: 3}, r"instance 26001 \(class 'car'\): style 3 does not exist, choose 0 to 2"),
    "a negative index": ({"car": -1}, "choose 0 to 2"),
    "a feature of wrong length": ({"car": [1.0]}, r"float64 \[1\].*2 finite numbers"),
    "a matrix": ({"car": [[1.0, 2.0]]}, r"\[1, 2\]"),
    "NaN": ({"car": [float("nan"), 0]}, "not finite"),
    "beyond float32": ({"car": [1e39, 0]}, "not finite"),
    "a float": ({"car": 1.0}, "got 1.0, expected an index"),
    "a bool": ({"car": True}, "got True"),
    "a string": ({"car": "red"}, "got 'red'"),
    "None": ({"car": None}, "object"),
    "ragged": ({"car": [[1], [2, 3]]}, "no style"),
    "a float key": ({1.5: 0}, "key 1.5 is neither"),
    "a bool key": ({True: 0}, "key True is neither"),
    "a class twice": ({2: 0, "car": 1}, "'car' twice"),
    "a list": ([0, 1], "styles is a list, expected a dict"),
}


@pytest.mark.parametrize("name", BAD_STYLES)
def test_bad_styles(synthesizer, name):
    styles, message = BAD_STYLES[name]
    with pytest.raises(StyleError, match=message):
        synthesizer.run(LABELS, IDS, styles=styles)


def test_an_engine_with_features_but_no_bank_paints_zeros(tmp_path):
    from runtime.engines.spec import StyleBank

    path = tiny_engines.synthesizer(tmp_path / "bankless.onnx", styles=True, bank=StyleBank(2, {}))
    synthesizer = Synthesizer(path)
    assert codes(synthesizer) == [0, 0, 0, 0]
    with pytest.raises(StyleError, match="those that have are none"):
        codes(synthesizer, {"car": 0})


def test_encoder_means_are_styles(tmp_path, synthesizer):
    """The tiny encoder's features are the pixels; two of its three values steer the tiny generator."""
    photo = np.random.default_rng(0).integers(0, 12, (16, 32, 3), dtype=np.uint8)
    means = StyleEncoder(tiny_engines.style_encoder(tmp_path / "e.onnx")).run(photo, IDS)
    assert sorted(means) == [0, 3, 24000, 26001]
    for instance, mean in means.items():
        assert mean.dtype == np.float32
        np.testing.assert_allclose(mean, photo[instance == IDS].mean(axis=0), rtol=1e-6)
    styles = {instance: mean[:2] for instance, mean in means.items()}
    expected = [int(np.float32(10) * styles[i][0] + styles[i][1]) for i in (0, 3, 26001, 24000)]
    assert codes(synthesizer, styles) == expected


def test_encoder_pads_and_accepts_static_batches(tmp_path):
    photo = np.random.default_rng(1).integers(0, 256, (13, 30, 3), dtype=np.uint8)
    regions = np.random.default_rng(2).integers(0, 3, (13, 30))
    for size, batch in ((tiny_engines.SIZE, 1), (tiny_engines.SIZE, 2), (None, "N")):
        encoder = StyleEncoder(tiny_engines.style_encoder(tmp_path / "e.onnx", size=size, batch=batch))
        means = encoder.run(photo, regions, pad=True)
        for region, mean in means.items():
            np.testing.assert_allclose(mean, photo[regions == region].mean(axis=0), rtol=1e-6)


def test_bad_photos(tmp_path):
    encoder = StyleEncoder(tiny_engines.style_encoder(tmp_path / "e.onnx"))
    photo = np.zeros((16, 32, 3), np.uint8)
    for bad in (photo[..., 0], photo.astype(np.float32), photo[:0], np.zeros((16, 32, 4), np.uint8), None, "photo"):
        with pytest.raises(InputError, match=r"photo (is|has) .*uint8 \[H, W, 3\]"):
            encoder.run(bad, IDS)
    with pytest.raises(InputError, match=r"regions has shape \[8, 32\], expected \[16, 32\] as photo has"):
        encoder.run(photo, IDS[:8])
    with pytest.raises(InputError, match="photo is H×W = 8×32"):
        encoder.run(photo[:8], IDS[:8])


def test_a_style_goes_with_the_id_and_not_with_its_place_in_the_map(synthesizer):
    """An instance of a smaller id comes: every other one keeps the style that its seed and id give it."""
    before = [codes(synthesizer, seed=seed) for seed in range(20)]
    ids = IDS.copy()
    ids[8:, :8] = 1  # in the sky, which has no styles
    assert [codes(synthesizer, ids=ids, seed=seed) for seed in range(20)] == before


def test_batches_of_photos(tmp_path):
    encoder = StyleEncoder(tiny_engines.style_encoder(tmp_path / "e.onnx"))
    photos = np.random.default_rng(0).integers(0, 256, (3, *LABELS.shape, 3), np.uint8)
    together = encoder.run(photos, np.stack([IDS, IDS.T.reshape(IDS.shape), IDS]))
    for index, styles in enumerate(together):
        alone = encoder.run(photos[index], IDS if index != 1 else IDS.T.reshape(IDS.shape))
        assert styles.keys() == alone.keys()
        for region, feature in styles.items():
            np.testing.assert_array_equal(feature, alone[region])
    with pytest.raises(InputError, match=r"regions has shape \[16, 32\], expected \[3, 16, 32\] as photo has"):
        encoder.run(photos, IDS)
