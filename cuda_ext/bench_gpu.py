"""Compares patch-swap's kernels with the form in convolutions on one device, in float32 and, on a GPU, in float16."""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import torch
from torch import Tensor

from cuda_ext.bench_forms import Problem, swap_by_convolution
from cuda_ext.ops import patch_swap

_WARM_UP, _IN_A_ROW = 3, 10
_FORMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"convolution": swap_by_convolution, "operator": patch_swap}
PRECISIONS = {"cuda": {"fp16": torch.float16, "fp32": torch.float32}, "cpu": {"fp32": torch.float32}}


def measure(device: str, problem: Problem, runs: int, progress: Callable[[], None]) -> dict[str, Any]:
    """Run both forms `runs` times in turns, each once alone and ten times back to back, after a few calls of each.

    Args:
        device: "cuda", or "cpu" where only the procedure is of interest.
        problem: features and hole.
        runs: turns.
        progress: called after each turn of each precision.

    Raises:
        RuntimeError: there is no such device.

    Returns:
        A JSON-serialisable report, `forms` by precision and form, wall-clock ms until the device is idle; ratios are
        medians over the turns of convolution's time by the form's.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("no CUDA GPU that this torch can use; measure with --device cpu")
    features, hole = (torch.from_numpy(array).to(device) for array in problem.arrays())
    found = {}
    for name, dtype in PRECISIONS[device].items():
        given = features.to(dtype), hole.to(dtype)
        for _ in range(_WARM_UP):
            _turn(given)
        turns = []
        for _ in range(runs):
            turns.append(_turn(given))
            progress()
        found[name] = {form: _figures(form, turns) for form in _FORMS}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "torch": torch.__version__,
        "problem": problem.as_dict(),
        "gram_gflop": problem.gram_gflop,
        "forms": found,
    }


def _turn(given: tuple[Tensor, Tensor]) -> dict[str, tuple[float, float]]:
    return {form: (_ms(run, given, 1), _ms(run, given, _IN_A_ROW)) for form, run in _FORMS.items()}


def _ms(run: Callable[[Tensor, Tensor], Tensor], given: tuple[Tensor, Tensor], calls: int) -> float:
    """Of one of so many calls."""
    start = time.perf_counter()
    for _ in range(calls):
        run(*given)
    if given[0].is_cuda:
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - start) / calls


def _figures(form: str, turns: list[dict[str, tuple[float, float]]]) -> dict[str, float]:
    figures = {}
    for i, kind in enumerate(("alone", "back_to_back")):
        figures[f"{kind}_ms"] = statistics.median(turn[form][i] for turn in turns)
        figures[f"{kind}_ratio"] = statistics.median(turn["convolution"][i] / turn[form][i] for turn in turns)
    return figures
