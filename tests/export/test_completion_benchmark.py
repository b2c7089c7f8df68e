"""The report of a completion step against torch eager: it measures real steps of both and says so."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from export.__main__ import app
from export.completion_benchmark import StepTimes, markdown, step_times
from runtime.errors import InputError
from tests.export.test_contextual_gan import TINY, tiny_checkpoint
from tests.tiny_models import save_tiny_checkpoint
from training.checkpoint import save_checkpoint


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> StepTimes:
    path: Path = tmp_path_factory.mktemp("bench") / "tiny.safetensors"
    save_checkpoint(tiny_checkpoint(), path)
    return step_times(path, 3, 1)


def test_both_sides_are_measured(measured: StepTimes) -> None:
    assert len(measured.engine_ms) == len(measured.onnxruntime_ms) == len(measured.torch_ms) == 3
    assert min(measured.engine_ms + measured.onnxruntime_ms + measured.torch_ms) > 0
    # 500 steps take at least as long as 500 of the fastest.
    assert measured.search_s > 0.05 * min(measured.engine_ms)
    assert measured.peak_memory_mb > 10
    assert measured.spec.cost.size == TINY.size


def test_the_ratio_is_that_of_each_turn(measured: StepTimes) -> None:
    times = StepTimes(measured.spec, "native", [1.0, 2.0, 4.0], [2.0, 2.0, 2.0], [3.0, 4.0, 20.0], 1.0, 100.0)
    assert times.speedup == np.median([3, 2, 5])
    text = markdown(times)
    assert "| engine is faster by | 3.00× |" in text
    assert "| engine, step | 2.0 ms (best 1.0) |" in text
    assert "| in ONNX Runtime, step | 2.0 ms (best 2.0) |" in text
    gflop = 2 * measured.spec.cost.macs / 1e9
    assert f"| work of a step | {gflop:.2f} GFLOP |" in text


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--turns is 0"):
        step_times(None, 0, 1)
    other = save_tiny_checkpoint("unet", tmp_path / "unet.safetensors")
    with pytest.raises(InputError, match="holds a pix2pix network, expected contextual_gan"):
        step_times(other, 1, 1)
    assert "torch eager" in CliRunner().invoke(app, ["completion-report", "--help"]).output
