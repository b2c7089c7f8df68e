"""Networks of released size with initial weights, as checkpoints and engines, for the stages that wait for them.

Nobody's weights travel: speed does not depend on them, and parity is held against the CPU.
"""

import os
import time
from pathlib import Path
from typing import Any

import torch

from export.gpu_suite.forms import attempt
from export.gpu_suite.settings import Settings
from export.gpu_suite.stages import Tell
from export.onnx_from_checkpoint import export_onnx
from export.report import Network, initial_checkpoint
from training.checkpoint import Checkpoint, save_checkpoint
from training.networks import contextual_gan, pix2pix, pix2pixhd

CITY, UNET, FACES = "city", "unet", "faces"


def run(settings: Settings, tell: Tell) -> None:
    """Checkpoints first, which need seconds; then engines, the small ones first."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, (os.cpu_count() or 2) - 4))  # the rest is for stages that measure meanwhile
    for name, checkpoint in _checkpoints(settings).items():
        save_checkpoint(checkpoint, settings.path(f"{name}.safetensors"))
    try:
        for name, size, precision in _engines(settings):
            path = settings.path(f"{name}.{precision}.onnx")
            attempt(tell, path.name, lambda n=name, s=size, p=precision, t=path: _exported(settings, n, s, p, t))  # type: ignore[misc]
    finally:
        torch.set_num_threads(threads)
        settings.path("networks.end").touch()


def _checkpoints(settings: Settings) -> dict[str, Checkpoint]:
    small = settings.is_small
    city = pix2pixhd.Architecture(ngf=32, n_enhancers=1)
    unet, faces = pix2pix.Architecture(), contextual_gan.Architecture()
    if small:
        city = pix2pixhd.Architecture(ngf=4, n_enhancers=1, n_downsample=2, n_blocks=1, n_blocks_local=1)
        unet = pix2pix.Architecture(ngf=4)
        faces = contextual_gan.Architecture(ngf=4, ndf=4)
    torch.manual_seed(0)
    states = {name: network.state_dict() for name, network in contextual_gan.build(faces).items()}
    return {
        CITY: initial_checkpoint(Network("pix2pixhd", CITY, city)),
        UNET: initial_checkpoint(Network("pix2pix", UNET, unet)),
        FACES: Checkpoint("contextual_gan", faces, states, normalization="running-stats"),
    }


def _engines(settings: Settings) -> list[tuple[str, tuple[int, int] | None, str]]:
    return [
        (FACES, None, "fp32"),
        (UNET, (256, 256), "fp32"),
        (UNET, (256, 256), "fp16"),
        (CITY, settings.size, "fp16"),
        (CITY, settings.size, "fp32"),
    ]


def _exported(
    settings: Settings, name: str, size: tuple[int, int] | None, precision: str, path: Path
) -> dict[str, Any]:
    start = time.monotonic()
    (exported, *_) = export_onnx(settings.path(f"{name}.safetensors"), path, size=size, precision=precision)
    return {
        "seconds": time.monotonic() - start,
        "mb": path.stat().st_size / 1e6,
        "parameters": exported.spec.cost.parameters,
        "parity_on_cpu": dict(exported.spec.parity),
        "backends": list(exported.backends),
    }
