"""junyanz' U-Net checkpoint, imported and exported, against what the original network gave in every mode."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from export.engine_from_onnx import Profile, engine_from_onnx
from export.onnx_from_checkpoint import export_onnx
from runtime.engines.engine import open_engine
from runtime.native.library import missing_reason
from tests.export.reference import psnr, run
from tests.paths import GOLDEN, needs_golden
from tests.runtime.program_reference import run_file
from tests.tolerances import FLOATS, GREY_LEVELS, PSNR_DB
from training.checkpoint import save_checkpoint
from training.imports.detection import import_checkpoint

pytestmark = needs_golden
SOURCE = GOLDEN / "pix2pix_unet128"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("golden") / "golden.safetensors"
    save_checkpoint(import_checkpoint(SOURCE / "latest_net_G.pth"), path)
    return path


@pytest.mark.parametrize(
    ("mode", "size"),  # the original's batch statistics are those of two images, a static engine takes one
    [
        pytest.param("per-image", (128, 128), marks=pytest.mark.nightly),
        ("per-image", None),
        pytest.param("running-stats", (128, 128), marks=pytest.mark.nightly),
        ("running-stats", None),
        pytest.param("batch-stats", None, marks=pytest.mark.nightly),
    ],
)
def test_engine_gives_what_the_original_network_gave(
    mode: str, size: tuple[int, int] | None, checkpoint: Path, tmp_path: Path
) -> None:
    (engine,) = export_onnx(checkpoint, tmp_path / "e.onnx", size=size, normalization=mode)
    with np.load(SOURCE / "expected.npz") as archive:
        image, expected = archive["image"], archive[f"output_{mode.replace('-', '_')}"]
    model = onnx.load(engine.path)
    model.graph.output.append(onnx.helper.make_tensor_value_info("fake_image", onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    calls = [image] if size is None else [image[:1], image[1:]]
    floats = np.concatenate([session.run(["fake_image"], {"image": call})[0] for call in calls])
    np.testing.assert_allclose(floats, expected, rtol=0, atol=FLOATS["engine"])
    programs = np.concatenate([run_file(engine.path, {"image": call})["fake_image"] for call in calls])
    np.testing.assert_allclose(programs, expected, rtol=0, atol=FLOATS["engine"])
    wanted = np.clip(127.5 * expected + 127.5, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    assert engine.backends == (("onnxruntime",) if missing_reason() else ("onnxruntime", "native"))
    for backend in engine.backends:
        opened = open_engine(engine.path, "cpu", backend=backend, threads=2)
        pixels = np.concatenate([opened.run({"image": call})["translation"] for call in calls])
        assert np.abs(pixels.astype(int) - wanted).max() <= GREY_LEVELS["fp32"]


def test_half_precision_and_plan(checkpoint: Path, tmp_path: Path) -> None:
    (engine,) = export_onnx(checkpoint, tmp_path / "e.onnx", precision="fp16", normalization="batch-stats")
    with np.load(SOURCE / "expected.npz") as archive:
        image, expected = archive["image"], archive["output_batch_stats"]
    wanted = np.clip(127.5 * expected + 127.5, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    assert psnr(wanted, run(engine, {"image": image})) >= PSNR_DB["fp16"]
    pytest.importorskip("tensorrt_rtx")
    profile = Profile((1, 128, 128), (1, 128, 128), (2, 256, 256))
    plan = engine_from_onnx(engine.path, tmp_path / "e.engine", flavor="tensorrt-rtx", profile=profile)
    assert plan.path.stat().st_size > 0
