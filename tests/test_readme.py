"""README says what is true: its example runs, its commands are the ones CI runs."""

import os
import re
import shlex
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import runtime
from runtime.__main__ import app
from runtime.commands.verbs import VERBS
from tests.paths import ROOT
from tests.training.junyanz_networks import UNet

PACKAGES = ("runtime", "training", "export", "cuda_ext")
PAGES = [ROOT / "README.md", *sorted(page for package in PACKAGES for page in (ROOT / package).rglob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
API = (ROOT / "runtime" / "front" / "README.md").read_text(encoding="utf-8")
ASSETS = ROOT / "runtime" / "assets"


def test_the_api_example_runs(tmp_path, monkeypatch):
    """Every line, with the shipped engine in the place of the reader's."""
    shutil.copy(ASSETS / "street.onnx", tmp_path / "city.onnx")
    shutil.copy(ASSETS / "street.encoder.onnx", tmp_path / "city.encoder.onnx")
    shutil.copy(ASSETS / "street_labels.png", tmp_path / "frame_gtFine_labelIds.png")
    # The example dresses the car 26001; the shipped map numbers its cars otherwise.
    with Image.open(ASSETS / "street_instances.png") as picture:
        ids = np.array(picture).astype(np.int32)
    cars = ids[ids // 1000 == 26]
    ids[ids == np.bincount(cars).argmax()] = 26001
    Image.fromarray(ids.astype(np.uint16)).save(tmp_path / "frame_gtFine_instanceIds.png")
    Image.fromarray(np.full((*ids.shape, 3), 90, np.uint8)).save(tmp_path / "frame.png")
    for name in ("edges2photo.onnx", "inpaint.onnx", "faces.onnx"):
        shutil.copy(ASSETS / name, tmp_path / name)
    shutil.copy(ASSETS / "faces_sketch.png", tmp_path / "sketch.png")
    shutil.copy(ASSETS / "edges2photo_input.png", tmp_path / "drawing.png")
    blocks = re.findall(r"```python\n(.*?)```", API, re.DOTALL)
    example = next(block for block in blocks if "StyleEncoder" in block)
    monkeypatch.chdir(tmp_path)
    values: dict = {}
    exec(compile(example, "README.md", "exec"), values)
    editing = next(block for block in blocks if "pix2rt.Editor(" in block)
    exec(compile(editing, "README.md", "exec"), values)
    car, editor = values["car"], runtime.Editor.open("street.npz", values["synthesizer"])
    assert np.array_equal(editor.label_map, values["editor"].label_map)
    assert editor.label_map[660, 800] == editor.instances[car].class_id == editor.synthesizer.labels.class_id("car")
    assert 26001 in editor.instances
    assert editor.redo()
    assert 26001 not in editor.instances
    assert values["photo"].shape == (1024, 2048, 3)
    assert values["photo"].dtype == np.uint8
    assert values["image"].shape == (512, 1024, 3)
    known = ~values["hole_mask"]
    known[297:423, 497:643] = False  # what dilate=3 takes
    assert np.array_equal(values["filled"][known], values["image"][known])
    assert values["face"].shape == values["sketch"].shape == (64, 64, 3)
    assert set(values["styles"]) == set(np.unique(ids).tolist())


def anchors(page):
    """Of its headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_exists(page):
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text(encoding="utf-8")):
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_is_one(page):
    """Of those that a line begins with."""
    lines = re.findall(r"^(?:\.venv/bin/)?pix2rt ([a-z][^#\n]*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    for line in lines:
        words, entries = line.split(), VERBS
        while entries and words and not words[0].startswith("-"):
            assert words[0] in entries, line
            entries = entries[words.pop(0)].entries


def test_the_way_from_a_checkpoint_to_a_picture(tmp_path, monkeypatch):
    """README's own lines, but the first, which installs."""
    block = next(block for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) if "facades.onnx" in block)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "facades").mkdir()
    (tmp_path / "drawings").mkdir()
    torch.save(UNet(3, 3, 5, 4, "batch").state_dict(), tmp_path / "facades" / "latest_net_G.pth")
    Image.fromarray(np.full((64, 96, 3), 200, np.uint8)).save(tmp_path / "drawings" / "a.png")
    lines = [shlex.split(line, comments=True) for line in block.splitlines()[1:]]
    assert [line[:2] for line in lines] == [["pix2rt", verb] for verb in ("import", "export", "translate")]
    for line in lines:
        result = CliRunner().invoke(app, line[1:])
        assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "photos" / "a.png") as photo:
        assert photo.size == (96, 64)


def test_ci_runs_the_commands_of_readme():
    """`.ci/run` cuts the commands out of README by these marks."""
    for name in ("demo", "test"):
        block = re.search(rf"<!-- command: {name} -->\n```bash\n(.*?)\n```", README, re.DOTALL)
        assert block, name
        assert ".venv" in block.group(1), "each makes its own environment"
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "readme_command demo" in script.read_text()
    assert "readme_command test" in script.read_text()
