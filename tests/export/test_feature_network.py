"""The feature network as an engine, and as what `evaluate --features` takes."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from export.errors import ExportError
from export.onnx_from_checkpoint import export_onnx
from runtime.__main__ import app
from training.checkpoint import save_checkpoint
from training.evaluation.features import FeatureDistance
from training.evaluation.onnx_network import OnnxNetwork
from training.options import resolve
from training.system import HeldOut
from training.systems.feature_network import PRESETS, Options, untrained


@pytest.fixture
def checkpoint(tmp_path):
    checkpoint = untrained(resolve(Options, PRESETS, "smoke", {}))
    save_checkpoint(checkpoint, tmp_path / "f.safetensors")
    return checkpoint


@pytest.mark.parametrize(("size", "precision"), [(None, "fp32"), ((24, 40), "fp32"), (None, "fp16")])
def test_engine(checkpoint, tmp_path, size, precision):
    """The network's maps, at a size that the gate did not see."""
    (engine,) = export_onnx(tmp_path / "f.safetensors", tmp_path / "f.onnx", size=size, precision=precision)
    assert engine.spec.kind == "features"
    image = np.random.default_rng(0).integers(0, 256, (*(size or (36, 44)), 3), np.uint8)
    (found,) = OnnxNetwork(engine.path, "features")(image)
    planes = torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32)) / 127.5 - 1
    with torch.inference_mode():
        maps = checkpoint.build()["features"](planes)[0].numpy()
    assert found.shape == (1, 8, image.shape[0] // 4, image.shape[1] // 4)
    np.testing.assert_allclose(found[0], maps, atol={"fp32": 1e-5, "fp16": 2e-2}[precision])
    assert maps.std() > 0.1


def test_info_describes_it_and_bench_does_not_run_it(checkpoint, tmp_path):
    export_onnx(tmp_path / "f.safetensors", tmp_path / "f.onnx")
    described = CliRunner().invoke(app, ["info", str(tmp_path / "f.onnx")])
    assert described.exit_code == 0, described.output
    assert "features (feature_network)" in described.output
    measured = CliRunner().invoke(app, ["bench", str(tmp_path / "f.onnx")])
    assert measured.exit_code == 2
    assert "is a 'features' engine, which `python -m training evaluate` runs; it cannot be measured" in measured.stderr


def test_verification_takes_it(checkpoint, tmp_path):
    (engine,) = export_onnx(tmp_path / "f.safetensors", tmp_path / "f.onnx")
    measure = FeatureDistance(OnnxNetwork(engine.path, "features"))
    rng = np.random.default_rng(0)
    for index in range(4):
        flat = np.full((16, 16, 3), 60 * index, np.uint8)
        near = flat + rng.integers(0, 9, flat.shape, np.uint8)
        measure.add(HeldOut(str(index), flat, near, flat))
    assert measure.generated()["verification"] == 1.0


@pytest.mark.parametrize(
    "flags",
    [
        {"options": {"stochastic": True}},
        {"baseline": True, "size": (64, 64)},
        {"options": {"scales": 2}},
        {"options": {"style_transfer": True}},
    ],
)
def test_what_it_does_not_offer(checkpoint, tmp_path, flags):
    with pytest.raises(ExportError, match="feature_network.*leave it out"):
        export_onnx(tmp_path / "f.safetensors", tmp_path / "f.onnx", **flags)
    assert not (tmp_path / "f.onnx").exists()
