"""The recipe of an engine's input: from training through the checkpoint into the engine, as evaluation has it."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from export.onnx_from_checkpoint import export_onnx
from runtime import Translator
from runtime.__main__ import app
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.recipe import DERIVATIONS
from runtime.media.images import read_photo
from tests.tiny_models import tiny_checkpoint
from training.checkpoint import load_checkpoint, save_checkpoint
from training.class_tables import CITYSCAPES, without_parts
from training.data.scenes import render_scene
from training.systems.pix2pix.held_out import held_out

COLOUR = ("labels", "incomplete")
SIZE = (64, 96)


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes as photos, and as label ids with photos."""
    folder = tmp_path_factory.mktemp("data")
    for part in ("val", "val_label", "val_img"):
        (folder / part).mkdir()
    for number in range(2):
        scene = render_scene(number, SIZE)
        for part in ("val", "val_img"):
            Image.fromarray(scene.photo).save(folder / part / f"{number}.png")
        Image.fromarray(without_parts(scene.label_map, scene.inst_map)).save(folder / "val_label" / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def engine_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, Path]]:
    """Derivation, direction → a checkpoint and its engine, made once."""

    @cache
    def made(derive: str, direction: str = "AtoB") -> tuple[Path, Path]:
        checkpoint = tiny_checkpoint("unet" if derive in COLOUR else "unet_grey")
        path = tmp_path_factory.mktemp("recipe") / "c.safetensors"
        save_checkpoint(replace(checkpoint, recipe={"derive": derive, "direction": direction}), path)
        return path, export_onnx(path, path.with_name("e.onnx"))[0].path

    return made


# Made by the same lines of code as the others; a night runs all.
NIGHTLY = ("soft-edges", "grey", "edges", "sketch")


@pytest.mark.parametrize(
    "derive", [pytest.param(one, marks=pytest.mark.nightly) if one in NIGHTLY else one for one in DERIVATIONS]
)
def test_translate_makes_evaluations_picture(engine_of: Any, derive: str, data: Path, tmp_path: Path) -> None:
    checkpoint, engine = engine_of(derive)
    recipe = read_spec(engine).recipe
    assert recipe
    assert (recipe.derive, recipe.labels) == (derive, CITYSCAPES if derive == "labels" else None)
    source = data / ("val_label" if derive == "labels" else "val")
    wish = ("--derive",) if derive == "incomplete" else ()
    code, _, said = run("translate", engine, source, "-o", tmp_path / "out", *wish)
    assert code == 0, said
    assert ("note" in said) == (derive != "incomplete"), "what was done by itself is told"
    for item in held_out(load_checkpoint(checkpoint), data, "val", {}):
        made = read_photo(tmp_path / "out" / f"{item.name}.png").astype(int)
        assert np.abs(made - item.fake_image).max() <= 1, item.name


def test_an_input_that_is_one_already_is_taken_as_it_is(engine_of: Any, data: Path, tmp_path: Path) -> None:
    _, engine = engine_of("edges")
    translator = Translator(engine)
    drawing = translator.derive(read_photo(data / "val" / "0.png"))
    Image.fromarray(drawing[..., 0]).save(tmp_path / "drawing.png")
    code, _, said = run("translate", engine, tmp_path / "drawing.png", "-o", tmp_path / "photo.png")
    assert (code, "note" in said) == (0, False)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png"), translator.run(drawing))
    code, _, _ = run("translate", engine, data / "val" / "0.png", "--no-derive", "-o", tmp_path / "other.png")
    assert code == 0
    assert (read_photo(tmp_path / "other.png") != read_photo(tmp_path / "photo.png")).any()


def test_coloured_label_maps_give_what_ids_give(engine_of: Any, data: Path, tmp_path: Path) -> None:
    _, engine = engine_of("labels")
    ids = np.asarray(Image.open(data / "val_label" / "0.png"))
    Image.fromarray(CITYSCAPES.colourise(ids)).save(tmp_path / "colours.png")
    assert run("translate", engine, data / "val_label" / "0.png", "-o", tmp_path / "a.png")[0] == 0
    code, _, said = run("translate", engine, tmp_path / "colours.png", "-o", tmp_path / "b.png")
    assert (code, "note" in said) == (0, False)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    code, _, said = run("translate", engine, data / "val" / "0.png", "-o", tmp_path / "c.png")
    assert code != 0
    assert "this engine takes label maps; --no-derive" in said


def test_what_is_not_plain_is_refused(engine_of: Any, data: Path, tmp_path: Path) -> None:
    _, engine = engine_of("sketch")
    grey = read_photo(data / "val" / "0.png").mean(-1).astype(np.uint8) // 2
    Image.fromarray(grey).save(tmp_path / "grey.png")
    code, _, said = run("translate", engine, tmp_path / "grey.png", "-o", tmp_path / "x.png")
    assert code != 0
    assert "is not plain; --derive makes the input of it, --no-derive takes it as it is" in said.replace("\n", "")
    assert not (tmp_path / "x.png").exists()
    for word in ("--derive", "--no-derive"):
        assert run("translate", engine, tmp_path / "grey.png", word, "-o", tmp_path / "x.png")[0] == 0
    (tmp_path / "clip.mp4").write_bytes(b"no matter")
    code, _, said = run("translate", engine, tmp_path / "clip.mp4", "-o", tmp_path / "y.mp4")
    assert code == 2
    assert "which are not made of a video" in said


@pytest.mark.nightly
def test_engines_of_pairs_and_of_the_way_back_have_no_recipe(engine_of: Any, tmp_path: Path) -> None:
    for derive, direction in (("", "AtoB"), ("edges", "BtoA")):
        _, engine = engine_of(derive, direction)
        assert read_spec(engine).recipe is None
    code, _, said = run("translate", engine, tmp_path, "--derive", "-o", tmp_path / "x")
    assert code == 2
    assert "--derive: engine" in said
