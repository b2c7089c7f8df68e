"""Engines by name: what ships, a folder of the user's, and names that nobody knows."""

import os
from pathlib import Path

import numpy as np
import pytest

import runtime
from runtime.engines.engine import engine_spec
from runtime.engines.names import ASSETS, engine_path, models, nearest_first
from runtime.engines.source import EngineSource
from runtime.errors import EngineFormatError, MissingFileError
from tests.runtime import tiny_translators


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder of two engines of the user's, of which one has the name of one that ships."""
    folder = tmp_path / "engines"
    folder.mkdir()
    tiny_translators.translator(folder / "day2night.onnx")
    tiny_translators.translator(folder / "edges2photo.onnx")
    (folder / "day2night.engine").write_bytes(b"a plan of the same name")
    (folder / ".hidden.onnx").write_bytes(b"")
    (folder / "notes.txt").write_text("no engine")
    monkeypatch.setenv("PIX2RT_MODELS", str(folder))
    return folder


def test_every_engine_that_ships_has_a_name_and_a_purpose():
    assert {model.path for model in models().values()} == set(ASSETS.glob("*.onnx"))
    assert all(model.purpose and model.licence and model.ships for model in models().values())


def test_a_runner_opens_a_name():
    translator = runtime.Translator("edges2photo", device="cpu")
    assert translator.spec == engine_spec(ASSETS / "edges2photo.onnx")
    assert EngineSource.of(Path("street")).path == ASSETS / "street.onnx"


def test_ones_own_engines_go_before_those_that_ship(own):
    assert list(models()) == ["day2night", "edges2photo", "street", "street.encoder", "inpaint", "faces"]
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    for name in ("day2night", "edges2photo"):
        np.testing.assert_array_equal(runtime.Translator(name).run(photo), tiny_translators.expected(photo))
    assert not models()["edges2photo"].ships


def test_a_plan_has_a_name_where_no_onnx_has_it(own):
    (own / "day2night.onnx").unlink()
    assert engine_path("day2night") == own / "day2night.engine"


def test_a_folder_is_not_in_the_way_but_a_file_is(tmp_path, monkeypatch):
    """Runs and data like to have the engine's name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces").mkdir()
    assert engine_path("faces") == ASSETS / "faces.onnx"
    (tmp_path / "street").write_bytes(b"a file")
    assert engine_path("street") == Path("street")
    with pytest.raises(EngineFormatError, match="unknown kind of file"):
        runtime.Synthesizer("street")


@pytest.mark.parametrize("path", ["./faces", "faces/", "folder/faces", "faces.onnx", "faces.engine", "-", "", ".."])
def test_what_is_a_path_stays_one(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if path not in ("./faces", "faces/"):  # pathlib takes both for the bare name
        assert engine_path(path) == Path(path)
    assert engine_path(Path(tmp_path, "faces")) == tmp_path / "faces"


def test_unknown_names_list_the_nearest_first():
    with pytest.raises(MissingFileError, match="engine 'edges2foto' does not exist.* there are edges2photo, street"):
        runtime.Translator("edges2foto")
    assert nearest_first("Inpant", models())[0] == "inpaint"
    with pytest.raises(MissingFileError, match="there are faces, "):
        engine_path("face")


def test_the_name_is_told_where_its_file_was_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFileError, match=r"is called faces, without \.onnx"):
        runtime.SketchCompleter("faces.onnx")
    with pytest.raises(MissingFileError, match=r"does not exist; check the spelling and the working directory \(.*\)$"):
        runtime.SketchCompleter("mine.onnx")
    with pytest.raises(MissingFileError, match="is a directory"):
        runtime.SketchCompleter(tmp_path)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "ein Zug"])
def test_absurd_names_are_unknown(name):
    with pytest.raises((MissingFileError, ValueError), match="does not exist|null"):
        runtime.Translator(name)


def test_a_folder_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("PIX2RT_MODELS", os.devnull)
    with pytest.raises(MissingFileError, match=f"PIX2RT_MODELS is '{os.devnull}', which is no folder"):
        engine_path("street")
    assert engine_path("street.onnx") == Path("street.onnx")
