"""A torch module from arrays to array on a device: eager, and as a CUDA graph."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.gpu_suite.forms import attempt
from export.gpu_suite.settings import Settings
from export.gpu_suite.stages import Tell
from export.gpu_suite.timing import clocked, measure

_WARM_UP = 3


def wait() -> None:
    """For the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def compiled(module: nn.Module, mode: str, settings: Settings) -> nn.Module:
    """`torch.compile` in that mode; in a dry run without generating code."""
    if settings.is_small:
        return torch.compile(module, backend="eager")  # type: ignore[return-value]
    return torch.compile(module, mode=None if mode == "default" else mode)  # type: ignore[return-value]


def tell_torch(settings: Settings, tell: Tell, name: str, module: nn.Module, arrays: Sequence[NDArray[Any]]) -> None:
    """Times of calls as torch queues them, and of the CUDA graph of one."""
    placed = module.to(settings.device)
    placed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pinned = [_pinned(array) for array in arrays]
    with torch.inference_mode():
        attempt(tell, name, lambda: _queued(settings, placed, pinned))
        if settings.device == "cuda":
            attempt(tell, f"{name}, CUDA graph", lambda: _graph(settings, placed, pinned))


def _queued(settings: Settings, module: nn.Module, pinned: Sequence[Tensor]) -> dict[str, Any]:
    placed = [tensor.to(settings.device) for tensor in pinned]

    def call() -> NDArray[np.uint8]:
        output: Tensor = module(*(tensor.to(settings.device, non_blocking=True) for tensor in pinned))
        return output.cpu().numpy()

    output, first_ms = clocked(call)
    return {
        "first_call_ms": first_ms,
        "compute": measure(lambda: module(*placed), settings.seconds, wait),
        "call": measure(call, settings.seconds),
        "spread": float(output.std()),
    }


def _graph(settings: Settings, module: nn.Module, pinned: Sequence[Tensor]) -> dict[str, Any]:
    placed = [tensor.to(settings.device) for tensor in pinned]
    replay, output = captured(lambda: module(*placed))

    def call() -> NDArray[np.uint8]:
        for target, source in zip(placed, pinned, strict=True):
            target.copy_(source, non_blocking=True)
        replay()
        return output.cpu().numpy()

    return {
        "compute": measure(replay, settings.seconds, wait),
        "call": measure(call, settings.seconds),
        "spread": float(call().std()),
    }


def captured(work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
    """What replays the work, and the tensor that it then fills."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = work()
    return graph.replay, output


def _pinned(array: NDArray[Any]) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory() if torch.cuda.is_available() else tensor
