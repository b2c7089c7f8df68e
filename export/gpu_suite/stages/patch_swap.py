"""Patch-swap's CUDA kernels against the form in convolutions, in float16, in turns."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from cuda_ext.bench_forms import Problem, swap_by_convolution
from cuda_ext.ops import patch_match, patch_paste, patch_swap
from export.gpu_suite.forms import attempt
from export.gpu_suite.settings import Settings
from export.gpu_suite.stages import Tell
from export.gpu_suite.torch_calls import wait

_PROBLEMS = (Problem(128, 128, 256, 64), Problem(128, 128, 96, 64), Problem(64, 64, 256, 32))
_TURNS, _WARM_UP = 13, 3


def run(settings: Settings, tell: Tell) -> None:
    """Sizes of inpainting networks."""
    for problem in [Problem(24, 24, 16, 8)] if settings.is_small else _PROBLEMS:
        name = f"{problem.height}×{problem.width}×{problem.channels}, hole {problem.hole}"
        attempt(tell, name, lambda p=problem: _figures(settings, p))  # type: ignore[misc]


def _figures(settings: Settings, problem: Problem) -> dict[str, float]:
    dtype = torch.float16 if settings.device == "cuda" else torch.float32
    features, hole = (torch.from_numpy(array).to(settings.device, dtype) for array in problem.arrays())
    match = patch_match(features, hole)
    forms: dict[str, Callable[[], Tensor]] = {
        "swap": lambda: patch_swap(features, hole),
        "match": lambda: patch_match(features, hole),
        "paste": lambda: patch_paste(features, hole, match),
        "convolution": lambda: swap_by_convolution(features, hole),
    }
    times: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(_TURNS):
        for name, form in forms.items():
            start = time.perf_counter()
            form()
            wait()
            if turn >= _WARM_UP:
                times[name].append(1000 * (time.perf_counter() - start))
    found = {f"{name}_ms": float(np.median(values)) for name, values in times.items()}
    difference = (forms["swap"]() - forms["convolution"]()).abs()
    return found | {
        "ratio": found["convolution_ms"] / found["swap_ms"],
        "tflops": problem.gram_gflop / found["match_ms"],
        "differing": float((difference > 1e-2).float().mean()),
    }
