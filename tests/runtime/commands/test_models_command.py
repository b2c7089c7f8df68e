"""`pix2rt models`, and names in the place of paths in every command that takes an engine."""

import json

import numpy as np
import pytest
from PIL import Image

from runtime.commands import ASSETS
from runtime.media.images import read_photo
from tests.runtime import tiny_translators
from tests.runtime.commands.test_command_line import run


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "engines").mkdir()
    tiny_translators.translator(tmp_path / "engines" / "day2night.onnx")
    monkeypatch.setenv("PIX2RT_MODELS", str(tmp_path / "engines"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_list():
    result = run("models")
    assert result.exit_code == 0
    for words in ("edges2photo", "street.encoder", "style_encoder", "2048×1024", "Apache-2.0", "PIX2RT_MODELS=FOLDER"):
        assert words in result.stdout, words
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_ones_own_and_a_damaged_one(own):
    (own / "engines" / "cut.onnx").write_bytes(b"\x08\x08")
    result = run("models")
    assert result.exit_code == 0
    assert "yours" in result.stdout
    assert "opened" in result.stdout
    assert "cut.onnx" in result.stderr
    listed = {entry["name"]: entry for entry in json.loads(run("models", "--json").stdout)}
    assert listed["day2night"]["path"] == str(own / "engines" / "day2night.onnx")
    assert (listed["day2night"]["kind"], listed["day2night"]["ships"]) == ("translator", False)
    assert listed["street"]["size"] == [1024, 2048]
    assert "cut.onnx" in listed["cut"]["failure"]


def test_commands_take_names(own):
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(picture).save("photo.png")
    result = run("translate", "day2night", "photo.png", "-o", "night.png")
    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(read_photo(own / "night.png"), tiny_translators.expected(picture))
    assert str(ASSETS / "faces.onnx") in run("info", "faces").stdout.replace("\n", "")
    result = run("bench", "day2night", "--against", "day2night", "--runs", 1, "--warmup", 1, "--json", "report.json")
    assert result.exit_code == 0, result.stderr
    (report,) = json.loads((own / "report.json").read_text("utf-8"))["reports"]
    assert [engine["path"] for engine in report["engines"]] == [str(own / "engines" / "day2night.onnx")] * 2


@pytest.mark.parametrize("command", [("info",), ("translate", "photo.png", "-o", "x.png"), ("build",), ("bench",)])
def test_commands_name_the_nearest(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(command[0], "edges2foto", *command[1:])
    assert result.exit_code == 2
    assert "there are edges2photo, " in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_by_name(tmp_path, monkeypatch):
    """A name that nobody has shows that the option is looked up."""
    result = run("synthesize", "street", "x.png", "-o", "y.png", "--encoder", "street.encodr")
    assert result.exit_code == 2
    assert "there are street.encoder, street" in result.stderr
