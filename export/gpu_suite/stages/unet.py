"""pix2pix's U-Net at 256×256: ONNX Runtime against torch eager, as it is and as a CUDA graph."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from export.gpu_suite.forms import GRAPH, PLAIN, Tried, attempt
from export.gpu_suite.settings import Settings
from export.gpu_suite.stages import Tell
from export.gpu_suite.stages.networks import UNET
from export.gpu_suite.torch_calls import tell_torch
from export.inference_modules.pixels import to_bytes, unit_range
from training.checkpoint import load_checkpoint


def run(settings: Settings, tell: Tell) -> None:
    """Both precisions of each."""
    for precision in ("fp16", "fp32"):
        path = settings.wait_for(f"{UNET}.{precision}.onnx")
        attempt(tell, f"U-Net {precision}", lambda p=path, k=precision: _tell(settings, tell, p, k))  # type: ignore[misc]
        torch_name = f"U-Net {precision}, torch"
        attempt(tell, torch_name, lambda n=torch_name, k=precision: _tell_torch(settings, tell, n, k))  # type: ignore[misc]


def _tell(settings: Settings, tell: Tell, path: Path, precision: str) -> str:
    Tried(path).tell_forms(settings, tell, f"U-Net {precision}", (GRAPH, PLAIN))
    return "told"


class Translation(nn.Module):
    """Bytes in, bytes out, by the network as it was trained; dropout is off, which favours it."""

    def __init__(self, generator: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.generator, self.dtype = generator.eval().to(dtype), dtype

    def forward(self, image: Tensor) -> Tensor:
        """uint8 [N, H, W, 3] → uint8 [N, H, W, 3]."""
        x = unit_range(image).to(self.dtype, memory_format=torch.channels_last)
        return to_bytes(self.generator(x).float())


def _tell_torch(settings: Settings, tell: Tell, name: str, precision: str) -> str:
    network = load_checkpoint(settings.path(f"{UNET}.safetensors")).build()["generator"]
    module = Translation(network, torch.float16 if precision == "fp16" else torch.float32)
    image = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), np.uint8)
    tell_torch(settings, tell, name, module, (image,))
    return "told"
