"""What needs a CUDA GPU, all in one go: `python -m pytest -m gpu -rA`. Elsewhere these tests say why they skip."""

import numpy as np
import onnxruntime
import pytest
import torch
from accelerate.state import AcceleratorState

from runtime import Synthesizer
from runtime.__main__ import ASSETS
from runtime.images import read_inst_map, read_label_map
from tests.training.runs import scene_data
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
