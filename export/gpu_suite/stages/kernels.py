"""Which kernels the time of a call goes to: torch's profiler sees those of the whole process, onnxruntime's too."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from export.gpu_suite.forms import BOUND, attempt, opened
from export.gpu_suite.settings import Settings
from export.gpu_suite.stages import Tell
from export.gpu_suite.stages.networks import CITY, FACES, UNET
from export.gpu_suite.torch_calls import wait
from runtime.bench.runners import runner_of
from runtime.commands import ASSETS

_CALLS, _MOST, _NAME = 5, 25, 140  # calls that are profiled; kernels, and characters of a name, that are told


def run(settings: Settings, tell: Tell) -> None:
    """The networks of released size, then inpainting."""
    names = (f"{CITY}.fp16", f"{UNET}.fp16", f"{FACES}.fp32", f"{CITY}.fp32")
    paths = {name: settings.path(f"{name}.onnx") for name in names}
    if not settings.is_small:
        paths["inpaint"] = ASSETS / "inpaint.onnx"
    for name, path in paths.items():
        attempt(tell, name, lambda p=path: _kernels(settings, p, {}))  # type: ignore[misc]
    channels_last = {"prefer_nhwc": "1"}
    attempt(tell, "city.fp16, channels last", lambda: _kernels(settings, paths[names[0]], channels_last))


def _kernels(settings: Settings, path: Path, options: dict[str, str]) -> dict[str, Any]:
    """Milliseconds and numbers of a call, by kernel, the costliest first."""
    engine = opened(path, settings, BOUND, options)
    runner = runner_of(engine.spec)(engine)
    example = runner.example(engine.spec)
    few = {"iterations": _CALLS, "stop_early": False} if engine.spec.kind == "sketch" else {}
    calls = 1 if few else _CALLS
    for _ in range(2):
        runner.run(**example, **few)
    has_gpu = torch.cuda.is_available()
    activity = ProfilerActivity.CUDA if has_gpu else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiler:
        for _ in range(calls):
            runner.run(**example, **few)
        wait()
    engine.close()
    spent: dict[str, list[float]] = defaultdict(list)
    for event in profiler.events() or ():
        if (event.device_type == DeviceType.CUDA) == has_gpu:
            spent[event.name[:_NAME]].append(event.time_range.elapsed_us())
    ordered = sorted(spent.items(), key=lambda item: -sum(item[1]))
    return {
        "calls": calls,
        "total_ms": sum(map(sum, spent.values())) / calls / 1000,
        "kernels": [[name, sum(times) / calls / 1000, len(times) / calls] for name, times in ordered[:_MOST]],
    }
