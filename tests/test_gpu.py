"""What needs a CUDA GPU, all in one go: `python -m pytest -m gpu -rA -n 0`. Elsewhere these tests say why they skip."""

from importlib import import_module
from importlib.util import find_spec

import numpy as np
import onnxruntime
import pytest
import torch
from accelerate.state import AcceleratorState

from runtime import Inpainter, SketchCompleter, Synthesizer, Translator
from runtime.commands import ASSETS
from runtime.media.images import read_drawing, read_image, read_inst_map, read_label_map, read_photo
from runtime.media.mask_images import read_hole_mask
from tests.training.runs import losses, scene_data, train
from training.loop import Trainer
from training.options import resolve
from training.system import family_system

GIB = 2**30
needs_cuda_runtime = pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers(),
    reason="this onnxruntime has no CUDA; runs where onnxruntime-gpu and a GPU are",
)
needs_cuda_torch = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="this torch has no CUDA; runs where a CUDA build and a GPU are"
)


@pytest.mark.gpu
@needs_cuda_runtime
def test_the_gpu_gives_the_images_of_the_cpu():
    engines = {device: Synthesizer(ASSETS / "street.onnx", device) for device in ("cpu", "cuda")}
    labels = read_label_map(ASSETS / "street_labels.png", engines["cpu"].labels)
    instances = read_inst_map(ASSETS / "street_instances.png")
    photos = {device: engine.run(labels, instances).astype(int) for device, engine in engines.items()}
    assert np.abs(photos["cuda"] - photos["cpu"]).max() <= 1


def _has_gpu_and_tensorrt():
    """TensorRT, cuda-bindings, a driver and a GPU."""
    if not find_spec("cuda") or not (find_spec("tensorrt") or find_spec("tensorrt_rtx")):
        return False
    return int(import_module("cuda.bindings.runtime").cudaGetDeviceCount()[0]) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not _has_gpu_and_tensorrt(), reason="no TensorRT or no GPU; runs where both are")
@pytest.mark.parametrize(
    ("runner", "name", "most_levels"), [(Synthesizer, "street", 1), (Translator, "edges2photo", 1)]
)
def test_plans_give_the_images_of_the_cpu(tmp_path, monkeypatch, runner, name, most_levels):
    """Built on the spot, twice run: as TensorRT queues it, and as the graph that was captured."""
    monkeypatch.setenv("PIX2RT_CACHE", str(tmp_path))
    example = runner.example(runner(ASSETS / f"{name}.onnx", "cpu").spec)
    with (
        runner(ASSETS / f"{name}.onnx", "cpu") as cpu,
        runner(ASSETS / f"{name}.onnx", "cuda", backend="tensorrt") as gpu,
    ):
        expected = cpu.run(**example).astype(int)
        for _ in range(3):
            assert np.abs(gpu.run(**example).astype(int) - expected).max() <= most_levels


@pytest.mark.gpu
@needs_cuda_torch
@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_the_third_stage_fits_a_24_gb_card(tmp_path, precision):
    """Generator, three discriminators and Adam at 2048×1024, two steps."""
    AcceleratorState._reset_state(True)
    data = scene_data(tmp_path / "scenes", 2)
    module = family_system("pix2pixhd")
    given = {"data": str(data), "epochs": 1, "decay_epochs": 0, "precision": precision}
    options = resolve(module.Options, module.PRESETS, "joint", given)
    torch.cuda.reset_peak_memory_stats()
    Trainer(module.create(options), options, tmp_path / "run").run()
    assert torch.cuda.max_memory_allocated() < 22 * GIB


@pytest.mark.gpu
@needs_cuda_runtime
def test_the_gpu_translates_as_the_cpu():
    engines = {device: Translator(ASSETS / "edges2photo.onnx", device) for device in ("cpu", "cuda")}
    drawing = read_image(ASSETS / "edges2photo_input.png", 1, pytest.fail).pixels
    photos = {device: engine.run(drawing).astype(int) for device, engine in engines.items()}
    assert np.abs(photos["cuda"] - photos["cpu"]).max() <= 1


@pytest.mark.gpu
@needs_cuda_torch
@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_pix2pix_trains(tmp_path, precision):
    """The paper's network, twice with one seed: finite losses, and the same first step, as far as cuDNN's choice of
    algorithms lets it be (in float32 on an H100 it differed by 1e-5).
    """
    data = scene_data(tmp_path / "scenes", 4)
    given = {"data": str(data), "derive": "labels", "precision": precision, "save_every": 2, "log_every": 1}
    whole = train(tmp_path / "whole", "labels2photo", "pix2pix", epochs=1, decay_epochs=1, **given)
    train(tmp_path / "parts", "labels2photo", "pix2pix", epochs=1, decay_epochs=1, **given)
    assert losses(tmp_path / "parts")[0] == pytest.approx(losses(tmp_path / "whole")[0], rel=1e-3)
    assert whole.step == 8
    assert all(np.isfinite(list(line.values())).all() for line in losses(tmp_path / "whole"))


@pytest.mark.gpu
@needs_cuda_runtime
def test_the_gpu_fills_holes_as_the_cpu():
    """A near-tie of the match may go the other way, so most pixels must agree, and the known ones all."""
    engines = {device: Inpainter(ASSETS / "inpaint.onnx", device) for device in ("cpu", "cuda")}
    photo = read_photo(ASSETS / "inpaint_photo.jpg")
    hole = read_hole_mask(ASSETS / "inpaint_mask.png", pytest.fail)
    filled = {device: engine.run(photo, hole) for device, engine in engines.items()}
    assert np.array_equal(filled["cuda"][~hole], photo[~hole])
    difference = np.abs(filled["cuda"].astype(int) - filled["cpu"])
    assert np.mean(difference[hole] <= 2) > 0.9


@pytest.mark.gpu
@needs_cuda_runtime
def test_the_gpu_completes_as_the_cpu():
    completers = {device: SketchCompleter(ASSETS / "faces.onnx", device) for device in ("cpu", "cuda")}
    sketch = read_drawing(ASSETS / "faces_sketch.png")
    curves = {}
    for device, completer in completers.items():
        completion = completer.complete(*completer.joint(sketch), iterations=50, stop_early=False)
        curves[device] = completion.contextual_loss[:, 0]
    np.testing.assert_allclose(curves["cuda"], curves["cpu"], rtol=0.01)
