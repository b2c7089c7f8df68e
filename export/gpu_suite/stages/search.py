"""Sketch completion: 500 steps of the shipped and of the paper's network, and the same steps by torch."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from export.gpu_suite.forms import GRAPH, GRAPH_WITHOUT_PINNED, PLAIN, Tried, attempt, opened
from export.gpu_suite.settings import Settings
from export.gpu_suite.stages import Tell
from export.gpu_suite.stages.networks import FACES
from export.gpu_suite.timing import measure
from export.gpu_suite.torch_calls import captured, wait
from export.inference_modules.pixels import unit_range
from runtime import SketchCompleter
from runtime.commands import ASSETS
from runtime.engines.onnx_engine import OnnxEngine
from runtime.engines.onnx_metadata import read_spec
from training.checkpoint import load_checkpoint
from training.networks.completion_losses import contextual_loss, perceptual_loss

_STEPS, _FEW_STEPS, _COMPARED = 500, 20, 50
_OTHER = {"learning_rate": 0.05, "momentum": 0.5, "perceptual_weight": 0.1, "z_limit": 0.5}


def run(settings: Settings, tell: Tell) -> None:
    """Whole searches, parity with the CPU, then single steps."""
    paper = settings.wait_for(f"{FACES}.fp32.onnx")
    for name, path in (("shipped", ASSETS / "faces.onnx"), ("paper's", paper)):
        for form in (GRAPH, GRAPH_WITHOUT_PINNED, PLAIN):
            key = f"{name} network, {form}"
            attempt(tell, key, lambda p=path, f=form: _search(settings, p, f))  # type: ignore[misc]
    attempt(tell, "paper's network, parts of a step", lambda: Tried(paper).figures(settings, GRAPH))
    attempt(tell, "paper's network, torch eager", lambda: _torch(settings, as_graph=False))
    if settings.device == "cuda":
        attempt(tell, "paper's network, torch eager, CUDA graph", lambda: _torch(settings, as_graph=True))


def _search(settings: Settings, path: Path, form: str) -> dict[str, Any]:
    completer = SketchCompleter(opened(path, settings, form))
    steps = _FEW_STEPS if settings.is_small else _STEPS
    joint = completer.joint(SketchCompleter.example(completer.spec)["image"])
    completer.complete(*joint, iterations=2)
    start = time.perf_counter()
    completer.complete(*joint, iterations=steps, stop_early=False)
    took = 1000 * (time.perf_counter() - start)
    cpu = SketchCompleter(OnnxEngine(path, read_spec(path)))
    compared = min(_COMPARED, steps)
    worst = []
    for options in ({}, _OTHER):  # the second one: is what a graph captured still read anew
        curves = [c.complete(*joint, iterations=compared, stop_early=False, **options) for c in (cpu, completer)]  # type: ignore[arg-type]
        one, two = (curve.contextual_loss for curve in curves)
        worst.append(float(np.max(np.abs(one - two) / np.abs(one))))
    return {"steps": steps, "total_ms": took, "step_ms": took / (steps + 1), "relative_to_cpu": worst}


def _torch(settings: Settings, *, as_graph: bool) -> dict[str, Any]:
    checkpoint = load_checkpoint(settings.path(f"{FACES}.safetensors"))
    networks = {name: network.eval().to(settings.device) for name, network in checkpoint.build().items()}
    for network in networks.values():
        network.requires_grad_(False)
    height, width = checkpoint.architecture.size
    observed = unit_range(torch.randint(0, 256, (1, height, width, 3), device=settings.device))
    known = torch.ones(1, 1, height, width, device=settings.device)
    z = torch.rand(1, checkpoint.architecture.z_nc, device=settings.device).requires_grad_()
    velocity = torch.zeros_like(z)

    def step() -> Tensor:
        joint_image = networks["generator"](z)
        contextual = contextual_loss(joint_image, observed, known)
        loss = contextual + 0.01 * perceptual_loss(networks["discriminator"](joint_image))
        (gradient,) = torch.autograd.grad(loss.sum(), z)
        with torch.no_grad():
            velocity.mul_(0.9).sub_(gradient, alpha=0.1)
            z.add_(velocity).clamp_(-1, 1)
        return contextual

    call: Any = step
    if as_graph:
        call, _ = captured(step)
    return {"step": measure(call, settings.seconds, wait)}
