"""The report of an engine against torch eager: it measures both, and only what belongs together."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from export.__main__ import app
from export.eager_benchmark import EagerTimes, eager_times, markdown
from export.errors import ExportError
from export.onnx_from_checkpoint import export_onnx
from runtime.commands import ASSETS
from runtime.errors import InputError
from tests.tiny_models import save_tiny_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("eager")
    for variant in ("unet", "features"):
        path = save_tiny_checkpoint(variant, folder / f"{variant}.safetensors")
        export_onnx(path, folder / f"{variant}.onnx")
    return folder


@pytest.mark.parametrize("variant", ["unet", "features", "features.encoder"])
def test_both_sides_are_measured(folder: Path, variant: str) -> None:
    checkpoint = folder / f"{variant.partition('.')[0]}.safetensors"
    times = eager_times(checkpoint, folder / f"{variant}.onnx", (64, 96), turns=3, threads=1)
    assert len(times.engine_ms) == len(times.torch_ms) == 3
    assert min(times.engine_ms + times.torch_ms) > 0
    assert times.size == (64, 96)


def test_the_ratio_is_that_of_each_turn(folder: Path) -> None:
    spec = eager_times(folder / "unet.safetensors", folder / "unet.onnx", (64, 64), turns=1).spec
    times = EagerTimes(spec, "native", (64, 96), [1.0, 2.0, 4.0], [3.0, 4.0, 20.0])
    assert times.speedup == np.median([3, 2, 5])
    text = markdown(times)
    assert "| image | 96×64 |" in text
    assert "| engine, native | 2.0 ms (best 1.0) |" in text
    assert "| torch eager | 4.0 ms (best 3.0) |" in text
    assert "| engine is faster by | 3.00× (2.00 to 5.00) |" in text


def test_bad_requests_are_refused(folder: Path) -> None:
    unet, engine = folder / "unet.safetensors", folder / "unet.onnx"
    with pytest.raises(InputError, match="--turns is 0"):
        eager_times(unet, engine, turns=0)
    with pytest.raises(InputError, match=r"unet\.onnx was not made of .*features\.safetensors"):
        eager_times(folder / "features.safetensors", engine)
    with pytest.raises(ExportError, match="65x64"):
        eager_times(unet, engine, (65, 64))
    shutil.copy(ASSETS / "inpaint.onnx", folder / "inpaint.onnx")
    with pytest.raises(InputError, match="was not made of"):
        eager_times(unet, folder / "inpaint.onnx")


def test_the_command_prints_the_table(folder: Path) -> None:
    words = ["eager-report", str(folder / "unet.safetensors"), str(folder / "unet.onnx"), "--size", "64x64"]
    result = CliRunner().invoke(app, [*words, "--turns", "1"])
    assert result.exit_code == 0, result.output
    assert "| engine is faster by |" in result.stdout
    assert "pix2rt report eager" in CliRunner().invoke(app, ["eager-report", "--help"]).output
