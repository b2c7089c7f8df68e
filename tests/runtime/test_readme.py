"""runtime/README.md says what is true: its examples run, the suffixes and codecs it lists are those of the code."""

import re

import numpy as np
import pytest
from PIL import Image

from runtime.media.input_files import IMAGE_SUFFIXES
from runtime.runners.windows import STRATEGIES
from tests.paths import ROOT
from tests.runtime import tiny_completers, tiny_engines, tiny_inpainters, tiny_translators

README = (ROOT / "runtime" / "README.md").read_text(encoding="utf-8")


def example(mark):
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if mark in block]
    return compile(block, "runtime/README.md", "exec")


def test_the_completers_example(tmp_path, monkeypatch):
    tiny_completers.completer(tmp_path / "faces.onnx", side=32)
    drawing = np.full((50, 70), 255, np.uint8)
    drawing[20:30, 10:60] = 0
    Image.fromarray(drawing).save(tmp_path / "drawing.png")
    monkeypatch.chdir(tmp_path)
    # The reader's engine makes pictures with something in them; this one makes flat ones, which are no evidence.
    monkeypatch.setattr("runtime.runners.sketch_input._LEAST_CONTRAST", 0)
    values: dict = {}
    exec(example("SketchCompleter"), values)
    assert values["photo"].shape == values["sketch"].shape == (32, 32, 3)
    found, known_mask = values["found"], values["known_mask"]
    np.testing.assert_array_equal(found.image[known_mask > 0], values["observed"][known_mask > 0])
    assert (known_mask[10:20, 10:30] == 0).all()
    assert found.z.shape == (3,)


def test_the_translators_example(tmp_path, monkeypatch):
    tiny_translators.translator(tmp_path / "edges2photo.onnx")
    tiny_translators.translator(tmp_path / "edges2photo.stochastic.onnx", seed=True)
    sketch = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(sketch).save(tmp_path / "sketch.png")
    monkeypatch.chdir(tmp_path)
    values: dict = {}
    exec(example("stochastic"), values)
    np.testing.assert_array_equal(values["photos"][1], tiny_translators.expected(sketch))
    np.testing.assert_array_equal(values["photo"], tiny_translators.expected(sketch, seed=7))


def test_what_all_runners_share(tmp_path, monkeypatch):
    tiny_translators.translator(tmp_path / "edges2photo.onnx")
    monkeypatch.chdir(tmp_path)
    values: dict = {}
    exec(example("warm_up"), values)
    with pytest.raises(ValueError, match="was closed"):
        values["translator"].warm_up()


def test_the_inpainters_example(tmp_path, monkeypatch, capsys):
    tiny_inpainters.inpainter(tmp_path / "inpaint.onnx")
    tiny_inpainters.inpainter(tmp_path / "restyle.onnx", style=True)
    photo = np.random.default_rng(0).integers(0, 256, (150, 170, 3), dtype=np.uint8)
    mask = np.zeros((150, 170), np.uint8)
    mask[30:50, 40:60] = 255
    Image.fromarray(photo).save(tmp_path / "photo.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    monkeypatch.chdir(tmp_path)
    values: dict = {}
    exec(example("Inpainter"), values)
    np.testing.assert_array_equal(values["filled"][mask == 0], photo[mask == 0])
    assert values["many"].shape == (2, 150, 170, 3)
    assert values["painted"].shape == photo.shape
    assert "of its resolution" in capsys.readouterr().out
    for strategy in STRATEGIES:
        assert f"| `{strategy}` |" in README


def test_the_synthesizers_example(tmp_path, monkeypatch):
    """The tiny encoder gives another number of features than the tiny generator takes: the example ends there."""
    tiny_engines.synthesizer(tmp_path / "city.onnx", styles=True)
    tiny_engines.style_encoder(tmp_path / "city.encoder.onnx")
    labels = np.random.default_rng(0).integers(0, 4, tiny_engines.SIZE, dtype=np.uint8)
    labels[0, 0] = 2  # a car, the instance 26001
    Image.fromarray(labels).save(tmp_path / "frame_gtFine_labelIds.png")
    ids = np.where(labels == 2, 26001, labels.astype(int)).astype(np.uint16)
    Image.fromarray(ids).save(tmp_path / "frame_gtFine_instanceIds.png")
    Image.fromarray(np.zeros((*tiny_engines.SIZE, 3), np.uint8)).save(tmp_path / "frame.png")
    monkeypatch.chdir(tmp_path)
    values: dict = {}
    with pytest.raises(ValueError, match="2 finite numbers"):
        exec(example("StyleEncoder"), values)
    assert values["photos"].shape == (2, *tiny_engines.SIZE, 3)
    assert set(values["styles"]) == set(np.unique(ids).tolist())


def test_suffixes_and_codecs():
    for suffix in IMAGE_SUFFIXES:
        assert suffix.strip(".").replace("tiff", "tif") in README
    pytest.importorskip("av")
    from runtime.media.video_writer import CODECS

    rows = re.findall(r"^\| `(\.[^`]*)` \| `([^`]*)`", README, re.MULTILINE)
    assert {suffix: codec for suffixes, codec in rows for suffix in suffixes.split()} == CODECS
