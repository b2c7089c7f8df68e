"""pix2pixHD at its released size by torch in float16, channels last: eager, as a CUDA graph, and compiled.

The comparison is generous to torch: bytes go to the GPU and come back, and one-hot classes are made there.
"""

import numpy as np
import torch
from torch import Tensor, nn

from export.gpu_suite.settings import Settings
from export.gpu_suite.stages import Tell
from export.gpu_suite.stages.networks import CITY
from export.gpu_suite.torch_calls import compiled, tell_torch
from export.inference_modules.pix2pixhd import encode
from export.inference_modules.pixels import to_bytes
from training.checkpoint import load_checkpoint
from training.networks.pix2pixhd import Architecture


def run(settings: Settings, tell: Tell, mode: str) -> None:
    """`mode`: "eager", or a mode of torch.compile."""
    checkpoint = load_checkpoint(settings.wait_for(f"{CITY}.safetensors"))
    dtype = torch.float16 if settings.device == "cuda" else torch.float32
    module: nn.Module = Synthesis(checkpoint.build()["generator"], checkpoint.architecture, dtype)
    rng = np.random.default_rng(0)
    height, width = settings.size
    blocks = rng.integers(0, 35, (1, -(-height // 16), -(-width // 16)), np.int32)
    inst_map = np.ascontiguousarray(blocks.repeat(16, 1).repeat(16, 2)[:, :height, :width])
    if mode != "eager":
        module = compiled(module, mode, settings)
    tell_torch(settings, tell, f"pix2pixHD fp16, torch {mode}", module, (inst_map.astype(np.uint8), inst_map))


class Synthesis(nn.Module):
    """Bytes in, bytes out, by the network as it was trained."""

    def __init__(self, generator: nn.Module, architecture: Architecture, dtype: torch.dtype) -> None:
        super().__init__()
        self.generator, self.architecture, self.dtype = generator.eval().to(dtype), architecture, dtype

    def forward(self, label_map: Tensor, inst_map: Tensor) -> Tensor:
        """uint8 [N, H, W], int32 [N, H, W] → uint8 [N, H, W, 3]."""
        x = encode(self.architecture, label_map, inst_map, None, self.dtype)
        return to_bytes(self.generator(x.to(memory_format=torch.channels_last)).float())
