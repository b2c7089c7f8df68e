"""A further kind of engine and a further backend are new files alone: nothing shared changes for them."""

import subprocess
import sys
from dataclasses import replace

import pytest

from runtime.engines import backends, kinds
from runtime.engines.registry import entries
from runtime.engines.spec import TensorSpec
from tests.paths import ROOT, copy_folder
from tests.runtime import tiny_engines

KIND = '''"""Photo in, its first pixel out."""

from runtime.engines.kind import Form, Kind

KIND = Kind(
    name="picker",
    inputs={"image": Form("uint8", "NHW3")},
    outputs={"feat_map": Form("float32", "NFHW")},
    runner="runtime.runners.picker:Picker",
)
'''
RUNNER = '''"""Runs a picker."""

from runtime.runners.examples import example_image, example_size
from runtime.runners.runner import Runner


class Picker(Runner):
    """Gives an image's floats."""

    kind = "picker"

    @classmethod
    def example(cls, spec, size=None, *, noise=False, seed=0):
        return {"image": example_image(size or example_size(spec), 3, noise=noise, seed=seed)}

    def run(self, image):
        return self._engine.run({"image": image[None]})["feat_map"][0]
'''
BACKEND = '''"""A backend that answers everything with sevens."""

import numpy as np

from runtime.engines.backend import Backend


class Sevens:
    def __init__(self, spec):
        self.spec, self.device, self.backend, self.skipped = spec, "cpu", "sevens", ()

    def run(self, inputs):
        image = next(iter(inputs.values()))
        return {"feat_map": np.full((1, 3, *image.shape[1:3]), 7, np.float32)}

    def loop(self, inputs, carried):
        raise NotImplementedError

    def close(self):
        pass


BACKEND = Backend(
    name="sevens",
    preference=0,
    devices=("cpu",),
    suffixes=(".onnx",),
    why_not=lambda source, spec, device: None if spec.kind == "picker" else "it only knows pickers",
    open=lambda source, spec, device, threads: Sevens(spec),
)
'''
USE = """
from pathlib import Path
from runtime.bench.runners import open_runner
from runtime.runners.picker import Picker

own = Picker("picker.onnx", backend="onnxruntime")
image = own.example(own.spec, noise=True)["image"]
assert (own.run(image) == image.transpose(2, 0, 1)).all()
with open_runner(Path("picker.onnx")) as found:
    assert (type(found), found.backend) == (Picker, "sevens")
    assert (found.run(image) == 7).all()
"""


@pytest.fixture
def extended(tmp_path):
    """A copy of the runtime with three files more, and an engine of the new kind beside it."""
    runtime = copy_folder(ROOT / "runtime", tmp_path / "runtime", "assets")
    (runtime / "engines" / "kinds" / "picker.py").write_text(KIND)
    (runtime / "runners" / "picker.py").write_text(RUNNER)
    (runtime / "engines" / "backends" / "sevens.py").write_text(BACKEND)
    tiny_engines.style_encoder(tmp_path / "picker.onnx", kind="picker")
    return tmp_path


def run(extended, *arguments):
    return subprocess.run(
        [sys.executable, *arguments], cwd=extended, capture_output=True, encoding="utf-8", errors="replace"
    )


def test_new_files_alone(extended):
    result = run(extended, "-c", USE)
    assert result.returncode == 0, result.stderr


def test_the_commands_know_them(extended):
    result = run(extended, "-m", "runtime", "info", "picker.onnx")
    assert result.returncode == 0, result.stderr
    assert "picker (pix2pixhd)" in result.stdout
    assert "sevens on cpu" in result.stdout
    result = run(extended, "-m", "runtime", "bench", "picker.onnx", "--runs", "1")
    assert result.returncode == 0, result.stderr
    assert "sevens" in result.stdout


def test_a_module_without_its_entry_is_noticed(monkeypatch, tmp_path):
    (tmp_path / "odd.py").write_text("KIND = 5\n")
    monkeypatch.setattr(kinds, "__path__", [str(tmp_path)])
    with pytest.raises(TypeError, match="KIND is a int, expected a Kind"):
        entries(kinds, "KIND", kinds.Kind)


def test_the_names_that_readme_lists():
    readme = (ROOT / "runtime" / "README.md").read_text("utf-8")
    assert all(f"`{name}`" in readme for name in (*kinds.kinds(), *backends.backends()))


def test_a_kinds_letters_are_one_size_throughout(tmp_path):
    spec = tiny_engines.synthesizer_spec(styles=True)
    require = kinds.kinds()["synthesizer"].require
    require(spec)
    with pytest.raises(ValueError, match=r"output image of \[1, 8, 32, 3\], expected 16 for 8"):
        require(replace(spec, outputs=(TensorSpec("image", "uint8", (1, 8, 32, 3)),)))
    with pytest.raises(ValueError, match=r"output image of \[2, 16, 32, 3\], expected 1 for 2"):
        require(replace(spec, outputs=(TensorSpec("image", "uint8", (2, 16, 32, 3)),)))
    with pytest.raises(ValueError, match="expected a name for 16"):
        require(replace(tiny_engines.synthesizer_spec(size=None), outputs=spec.outputs))
