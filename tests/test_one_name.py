"""`import pix2rt`: the runtime's own objects, and training and export; from an installation of either kind, too."""

import os
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import export.api
import pix2rt
import runtime
import training.api
from runtime.errors import InputError, MissingExtraError
from runtime.extras import extra_needed
from tests.paths import ROOT, copy_folder
from tests.tiny_models import save_tiny_checkpoint
from training.errors import TrainingError

FRONT = ROOT / "runtime" / "front"
LIGHT = """
import sys
import pix2rt
pix2rt.training, pix2rt.export, dir(pix2rt)
print(sorted({"torch", "onnx", "PIL", "typer", "numpy"} & set(sys.modules)))
"""


def test_the_objects_are_the_same():
    for name in runtime.__all__:
        assert getattr(pix2rt, name) is getattr(runtime, name), name
    assert set(dir(pix2rt)) >= {*runtime.__all__, "export", "training", "errors"}
    assert import_module("pix2rt.errors").InputError is InputError
    assert pix2rt.export.onnx is export.api.onnx
    assert pix2rt.training.train is training.api.train
    with pytest.raises(AttributeError, match="module 'pix2rt' has no attribute 'Translater'"):
        pix2rt.Translater  # noqa: B018


def test_every_function_is_offered():
    for module, api in ((pix2rt.export, export.api), (pix2rt.training, training.api)):
        own = {name for name, value in vars(api).items() if getattr(value, "__module__", "") == api.__name__}
        assert set(module.__all__) == {name for name in own if not name.startswith("_")}


def test_nothing_heavy_is_loaded():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(FRONT)))}
    result = subprocess.run([sys.executable, "-c", LIGHT], env=environment, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.nightly
def test_the_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIX2RT_EXAMPLE_PRESET", "smoke")
    values = runpy.run_path(str(FRONT / "example.py"))
    assert values["checkpoint"] == Path("example/run/checkpoint.safetensors")
    assert values["engine"].spec.kind == "translator"
    assert values["photo"].shape == values["street"].shape == (64, 128, 3)
    assert sorted(path.name for path in Path("example").glob("*.*")) == ["edges2photo.onnx", "photo.png", "street.png"]
    assert [row.failure for row in pix2rt.export.validate(values["checkpoint"], [values["engine"].path])] == [""]
    report = pix2rt.training.evaluate(values["checkpoint"], values["photos"], "train", output="pictures")
    assert len(report.items) == 8 == len(list(Path("pictures").iterdir()))


def test_options_that_are_none(tmp_path):
    with pytest.raises(TrainingError, match="epoch is no option of pix2pix; near it are epochs"):
        pix2rt.training.train("pix2pix", "smoke", tmp_path, epoch=3)
    with pytest.raises(TrainingError, match="unknown family 'pix2pics'"):
        pix2rt.training.train("pix2pics", "smoke", tmp_path)
    with pytest.raises(TrainingError, match="unknown preset 'smok'"):
        pix2rt.training.train("pix2pix", "smok", tmp_path)
    checkpoint = save_tiny_checkpoint("unet", tmp_path / "c.safetensors")
    with pytest.raises(ValueError, match="--scales is no option of pix2pix"):
        pix2rt.export.onnx(checkpoint, tmp_path / "e.onnx", scales=2)
    with pytest.raises(ValueError, match=r"ends in \.safetensors"):
        pix2rt.export.import_weights(checkpoint, tmp_path / "c.pth")
    assert set(pix2rt.training.presets("pix2pix")) >= {"edges2photo", "smoke"}
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


def test_an_extra_that_is_missing():
    words = r'x needs torchy, .*: pip install "pix2rt\[export\]"'
    with pytest.raises(MissingExtraError, match=words), extra_needed("x", "export"):
        raise ModuleNotFoundError("No module named 'torchy'", name="torchy.nn")
    assert issubclass(MissingExtraError, ImportError)
    with pytest.raises(ModuleNotFoundError, match="own"), extra_needed("x", "export"):
        raise ModuleNotFoundError("own", name="runtime.nothing")


def test_another_runtime_in_the_way_is_named(tmp_path):
    """In a folder that has a package of this name, which Python finds first."""
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "__init__.py").touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(FRONT)))}
    line = [sys.executable, "-c", "import pix2rt"]
    result = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert f"ImportError: pix2rt needs its package runtime and found {tmp_path / 'runtime'}" in result.stderr


# --- installed -------------------------------------------------------------------------------------------------------

INSTALLED = """
import importlib.metadata, pathlib, site, sys
target = sys.argv.pop(1)
# An editable installation of this environment would go before the one to be tested.
sys.meta_path[:] = [finder for finder in sys.meta_path if "Editable" not in repr(finder)]
for name in [name for name in sys.modules if name.startswith("__editable___pix2rt")]:
    del sys.modules[name]
sys.path.insert(0, target)
site.addsitedir(target)
import pix2rt, runtime, export.api
assert pix2rt.Translator is runtime.Translator
assert pix2rt.export.onnx is export.api.onnx
assert pathlib.Path(pix2rt.__file__).resolve().is_relative_to(sys.argv[1]), pix2rt.__file__
assert pathlib.Path(runtime.__file__).resolve().is_relative_to(sys.argv[1]), runtime.__file__
(script,) = importlib.metadata.distribution("pix2rt").entry_points.select(group="console_scripts")
sys.argv[1:] = ["models"]
script.load()()
"""


@pytest.mark.parametrize("kind", ["wheel", "editable"])
@pytest.mark.nightly
def test_an_installation_has_the_name(kind, tmp_path):
    """Built without network and compiler; a folder of the user's called `runtime` is not in the way of the command."""
    pytest.importorskip("pip")
    source = tmp_path / "source"
    source.mkdir()
    for name in ("runtime", "training", "export", "cuda_ext"):
        copy_folder(ROOT / name, source / name, "*.so", "native/src")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    target = tmp_path / "site"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    where = ["--editable", str(source)] if kind == "editable" else [str(source)]
    line = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(target)]
    result = subprocess.run([*line, *where], env=clean, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    (tmp_path / "work" / "runtime").mkdir(parents=True)
    (tmp_path / "work" / "runtime" / "__init__.py").touch()
    expected = source if kind == "editable" else target
    line = [sys.executable, "-P", "-c", INSTALLED, str(target), str(expected.resolve())]
    work = tmp_path / "work"
    result = subprocess.run(line, env=clean, cwd=work, capture_output=True, text=True, errors="replace", timeout=120)
    assert result.returncode == 0, result.stderr
    assert "edges2photo" in result.stdout
