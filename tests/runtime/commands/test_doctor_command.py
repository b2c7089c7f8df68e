"""`pix2rt doctor`: tells what is there, and finds what was broken on purpose."""

import json
from importlib import metadata

import pytest

from runtime.commands import ASSETS
from runtime.engines import health
from runtime.errors import DeviceError
from runtime.native.library import missing_reason
from tests.runtime.commands.test_command_line import run


def report():
    result = run("doctor", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code == 1) == (document["broken"] > 0)
    return {check["name"]: check for check in document["checks"]}


@pytest.fixture
def versions(monkeypatch):
    """Versions that the test decides; the others are those that are installed. None takes a distribution away."""
    decided = {}
    installed = metadata.version

    def version(name):
        if name in decided and decided[name] is None:
            raise metadata.PackageNotFoundError(name)
        return decided.get(name) or installed(name)

    monkeypatch.setattr(metadata, "version", version)
    return decided


def test_an_environment_that_works():
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert "nothing is broken" in result.stdout
    checks = report()
    assert {check["state"] for check in checks.values()} <= {"ok", "absent"}
    for name in ("Python", "pix2rt", "onnxruntime", "native kernels", "NVIDIA driver", "tensorrt", "engines"):
        assert name in checks
    assert {name for name in checks if name.startswith("auto for ")} == {
        f"auto for {path.stem}" for path in ASSETS.glob("*.onnx")
    }
    here = "onnxruntime" if missing_reason() else "native"
    assert checks["auto for faces"]["found"].startswith(f"{here} on ")
    assert all(
        check["advice"] for check in checks.values() if check["name"].startswith("extra") and check["state"] != "ok"
    )


def test_two_onnxruntimes_break_each_other(versions):
    versions |= {"onnxruntime": "1.30.0", "onnxruntime-gpu": "1.29.0"}
    check = report()["onnxruntime"]
    assert check["state"] == "broken"
    assert "onnxruntime-gpu 1.29.0 in the same folder" in check["found"]
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in check["advice"]
    result = run("doctor")
    assert result.exit_code == 1
    assert "1 broken" in result.stdout


def test_packages_that_are_missing_or_old(versions, monkeypatch):
    wanted = ["numpy>=1.26", "pillow>=10.1", "rich>=1", "torch>=2 ; extra == 'export'"]
    monkeypatch.setattr(metadata, "requires", lambda name: wanted)
    versions |= {"numpy": "1.9.3", "pillow": None}
    checks = report()
    assert checks["numpy"] == {
        "name": "numpy", "state": "broken", "found": "1.9.3, older than 1.26", "advice": "pip install 'numpy>=1.26'",
    }  # fmt: skip
    assert (checks["pillow"]["state"], checks["pillow"]["found"]) == ("broken", "not installed")
    assert checks["rich"]["state"] == "ok"
    assert "torch" not in checks


def test_libraries_that_do_not_load(monkeypatch):
    def refuse(flavor):
        raise DeviceError(f"{flavor} does not load (libnvinfer.so.10: cannot open); pip install --force-reinstall it")

    def crash():
        raise OSError("undefined symbol")

    monkeypatch.setattr("runtime.engines.tensorrt_library.load_tensorrt", refuse)
    monkeypatch.setattr("runtime.engines.onnx_engine.available_providers", crash)
    checks = report()
    assert [checks[name]["state"] for name in ("tensorrt", "tensorrt-rtx", "onnxruntime")] == ["broken"] * 3
    assert "libnvinfer" in checks["tensorrt"]["found"]
    assert "undefined symbol" in checks["onnxruntime"]["found"]


def test_kernels_that_were_not_compiled_are_no_fault(monkeypatch):
    monkeypatch.setattr("runtime.native.library.missing_reason", lambda: "the native kernels were not compiled")
    check = report()["native kernels"]
    assert (check["state"], check["found"]) == ("absent", "the native kernels were not compiled")


def test_a_driver_without_the_library(tmp_path, monkeypatch):
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  590.48.01  Mon Dec 8\n")
    monkeypatch.setattr(health, "_DRIVER", tmp_path / "version")

    def refuse(index=0):
        raise DeviceError("cuda-bindings is not installed")

    monkeypatch.setattr("runtime.engines.device_memory.Cuda", refuse)
    checks = report()
    assert checks["NVIDIA driver"]["found"] == "590.48.01"
    assert (checks["GPU"]["state"], checks["GPU"]["found"]) == ("absent", "cuda-bindings is not installed")


def test_engines_that_are_damaged_or_not_there(tmp_path, monkeypatch):
    (tmp_path / "faces.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
    monkeypatch.setattr(health, "ASSETS", tmp_path)
    check = report()["auto for faces"]
    assert check["state"] == "broken"
    assert "faces.onnx" in check["found"]
    monkeypatch.setenv("PIX2RT_MODELS", str(tmp_path / "nowhere"))
    assert "which is no folder" in report()["engines"]["found"]


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(health, "_OLDEST_PYTHON", (99, 1))
    assert report()["Python"]["advice"] == "use 99.1 or newer"
