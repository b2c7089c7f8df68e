"""An engine's input made of a photo or label map: what is told apart, what is refused, and without OpenCV what is."""

import json
from dataclasses import replace

import numpy as np
import pytest

from runtime import Translator
from runtime.engines.labels import LabelSpec
from runtime.engines.recipe import DERIVATIONS, Recipe
from runtime.engines.spec import parse_spec
from runtime.errors import EngineFormatError, InputError, MissingExtraError
from runtime.runners import conditions
from runtime.runners.derivation import derive_input, is_raw
from tests.runtime import tiny_translators

LABELS = LabelSpec.unnamed(5)
RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.integers(0, 256, (40, 60, 3), dtype=np.uint8)
GREY_PHOTO = np.repeat(RANDOM.integers(0, 200, (40, 60, 1), dtype=np.uint8), 3, 2)
DRAWING = np.full((40, 60, 3), 250, np.uint8)
DRAWING[::7] = 90
COLOURED_DRAWING = DRAWING.copy()
COLOURED_DRAWING[::7] = (200, 30, 30)
HOLED = PHOTO.copy()
HOLED[10:25, 10:30] = 127


@pytest.mark.parametrize("derive", ["edges", "soft-edges", "sketch"])
def test_photos_drawings_and_what_is_neither(derive):
    recipe = Recipe(derive)
    assert [is_raw(recipe, picture) for picture in (PHOTO, DRAWING)] == [True, False]
    assert [is_raw(recipe, picture) for picture in (GREY_PHOTO, COLOURED_DRAWING)] == [None, None]


def test_colour_tells_for_grey_and_a_hole_for_incomplete():
    assert [is_raw(Recipe("grey"), picture) for picture in (PHOTO, GREY_PHOTO, DRAWING)] == [True, False, False]
    assert [is_raw(Recipe("incomplete"), picture) for picture in (HOLED, PHOTO)] == [False, None]


def test_luma_is_opencvs():
    cv2 = pytest.importorskip("cv2")
    pixels = np.random.default_rng(1).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    pixels[:256, 0] = np.arange(256, dtype=np.uint8)[:, None]
    made = conditions.grey(pixels, RANDOM)[..., 0]
    np.testing.assert_array_equal(made, cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))


def test_labels_get_their_colours():
    ids = RANDOM.integers(0, 5, (12, 9))
    recipe = Recipe("labels", LABELS)
    np.testing.assert_array_equal(derive_input(recipe, ids), np.array(LABELS.palette, np.uint8)[ids])
    for bad, words in ((ids + 1, "ids 1 … 5, this engine was trained with 0 … 4"), (PHOTO, "expected integer ids")):
        with pytest.raises(InputError, match=words):
            derive_input(recipe, bad)
    with pytest.raises(InputError, match="expected RGB uint8"):
        derive_input(Recipe("grey"), ids)


def test_lines_without_opencv_name_the_extra(monkeypatch):
    def refuse(name):
        raise ModuleNotFoundError("No module named 'cv2'", name="cv2")

    monkeypatch.setattr(conditions, "import_module", refuse)
    for derive in ("edges", "soft-edges", "sketch"):
        with pytest.raises(MissingExtraError, match=r'needs cv2, .* pip install "pix2rt\[derive\]"'):
            derive_input(Recipe(derive), PHOTO)
    assert derive_input(Recipe("grey"), PHOTO).shape == (40, 60, 1)
    assert (derive_input(Recipe("incomplete"), PHOTO) == 127).all(-1).mean() > 0.05


def test_a_recipe_travels_in_the_specification():
    spec = tiny_translators.spec()
    assert parse_spec(spec.to_json(), "e.onnx").recipe is None
    older = {name: value for name, value in json.loads(spec.to_json()).items() if name != "recipe"}
    assert parse_spec(json.dumps(older), "e.onnx") == spec
    for recipe in (Recipe("edges"), Recipe("labels", LABELS)):
        assert parse_spec(replace(spec, recipe=recipe).to_json(), "e.onnx").recipe == recipe


@pytest.mark.parametrize(
    "document",
    [{"derive": "lines", "labels": None}, {"derive": "labels", "labels": None}, {"derive": ["edges"], "labels": None},
     {"derive": "edges"}, {"derive": "edges", "labels": LABELS.to_json()},
     {"derive": "labels", "labels": {"names": 3}}, []],
)  # fmt: skip
def test_recipes_that_make_no_sense_are_damage(document):
    damaged = {**json.loads(tiny_translators.spec().to_json()), "recipe": document}
    with pytest.raises(EngineFormatError, match="damaged specification"):
        parse_spec(json.dumps(damaged), "e.onnx")


def test_a_translator_makes_its_input(tmp_path):
    path = tiny_translators.translator(tmp_path / "plain.onnx")
    with pytest.raises(InputError, match="does not say how its inputs were made"):
        Translator(path).derive(PHOTO)
    assert set(conditions.CONDITIONS) | {"labels"} == set(DERIVATIONS)
