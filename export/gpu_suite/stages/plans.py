"""TensorRT and TensorRT-RTX, where they are installed: plans of the shipped engines, built, compared and timed."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from export.gpu_suite.forms import attempt
from export.gpu_suite.settings import Settings
from export.gpu_suite.stages import Tell
from export.gpu_suite.stages.networks import CITY
from export.gpu_suite.timing import clocked, measure
from runtime.bench.runners import open_runner, runner_of
from runtime.commands import ASSETS
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.plan import FLAVORS

_NAMES = ("edges2photo", "street", "faces", "inpaint")


def run(settings: Settings, tell: Tell) -> None:
    """What is installed, then every engine."""
    found = {flavor: bool(find_spec(module)) for flavor, module in FLAVORS.items()}
    tell("installed", found)
    if not any(found.values()) or settings.device != "cuda":
        return
    for name in _NAMES:
        attempt(tell, name, lambda n=name: _figures(settings, ASSETS / f"{n}.onnx"))  # type: ignore[misc]
    for precision in ("fp16", "fp32"):
        path = settings.path(f"{CITY}.{precision}.onnx")
        if path.is_file():
            attempt(tell, f"pix2pixHD {precision}", lambda p=path: _figures(settings, p))  # type: ignore[misc]


def _figures(settings: Settings, path: Path) -> dict[str, Any]:
    example = runner_of(read_spec(path)).example(read_spec(path))
    plan, build_ms = clocked(lambda: open_runner(path, settings.device, backend="tensorrt"))
    few: dict[str, Any] = {"iterations": 20, "stop_early": False} if plan.spec.kind == "sketch" else {}
    with plan, open_runner(path, "cpu", backend="onnxruntime") as cpu:
        expected = cpu.run(**example, **few).astype(np.int64)
        difference = np.abs(plan.run(**example, **few).astype(np.int64) - expected)
        return {
            "build_ms": build_ms,
            "levels": int(difference.max()),
            "over_1_level": float(np.mean(difference > 1)),
            "end_to_end": measure(lambda: plan.run(**example, **few), settings.seconds),
        }
