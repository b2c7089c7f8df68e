"""README says what is true: its example runs, its commands are the ones CI runs."""

import os
import re
import shutil

import numpy as np
from PIL import Image

import runtime
from tests.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
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
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    example = next(block for block in blocks if "StyleEncoder" in block)
    monkeypatch.chdir(tmp_path)
    values: dict = {}
    exec(compile(example, "README.md", "exec"), values)
    editing = next(block for block in blocks if "runtime.Editor(" in block)
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


def test_files_that_readme_names_exist():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


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
