"""Runs the kernels on torch's tensors, on torch's current stream."""

import ctypes
import functools
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from cuda_ext import build
from cuda_ext.geometry import (
    THREADS,
    Launch,
    match_finish_launch,
    match_launch,
    match_split_launch,
    paste_launch,
)

_SUFFIX = {torch.float32: "fp32", torch.float16: "fp16"}


def launch_match(features: Tensor, hole: Tensor) -> Tensor:
    """`ops.patch_match` on CUDA; the arguments are checked."""
    suffix = _suffix("patch_match", features)
    features, hole = features.contiguous(), _as_features(hole, features)
    count, channels, height, width = features.shape
    match = features.new_empty((count, height, width), dtype=torch.int32)
    if not match.numel():
        return match
    splits = _splits(features)
    if splits == 1:
        _run(match_launch(suffix, count, channels, height, width), features.device, (features, hole), match)
        return match
    best = torch.zeros(match.shape, dtype=torch.int64, device=features.device)
    _run(match_split_launch(suffix, count, channels, height, width, splits), features.device, (features, hole), best)
    _run(match_finish_launch(match.numel()), features.device, (best,), match)
    return match


def launch_paste(features: Tensor, hole: Tensor, match: Tensor) -> Tensor:
    """`ops.patch_paste` on CUDA; the arguments are checked. A match off the map is left out."""
    suffix = _suffix("patch_paste", features)
    features, hole, match = features.contiguous(), _as_features(hole, features), match.contiguous()
    output = torch.empty_like(features)
    if output.numel():
        _run(paste_launch(suffix, *features.shape), features.device, (features, hole, match), output)
    return output


def _suffix(name: str, features: Tensor) -> str:
    if features.dtype not in _SUFFIX:
        raise TypeError(
            f"{name}: features is {features.dtype} on CUDA, expected torch.float32 or torch.float16; convert it"
        )
    return _SUFFIX[features.dtype]


def _as_features(hole: Tensor, features: Tensor) -> Tensor:
    return (hole != 0).to(features.dtype).contiguous()


def _splits(features: Tensor) -> int:
    """Parts of the key rows that blocks share, so that about two blocks per multiprocessor have queries.

    A quarter of the map is taken for the hole: reading the true one would wait for the GPU.
    """
    count, _, height, width = features.shape
    grid = match_launch("fp32", count, 1, height, width).grid
    busy = max(1, grid[0] * grid[1] * count // 4)
    processors: int = torch.cuda.get_device_properties(features.device).multi_processor_count
    splits: int = min(2 * processors // busy, (height - 2) // 16)
    return max(1, splits)


def _run(launch: Launch, device: torch.device, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    with torch.cuda.device(device):
        index = torch.cuda.current_device()
        driver, kernel = _kernel(index, launch.kernel)
        pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (*inputs, output)]
        values: list[Any] = [*pointers[:-1], *(ctypes.c_int(size) for size in launch.sizes), pointers[-1]]
        arguments = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        stream = torch.cuda.current_stream(device).cuda_stream
        (error,) = driver.cuLaunchKernel(kernel, *launch.grid, THREADS, 1, 1, 0, stream, ctypes.addressof(arguments), 0)
        _require(driver, error, f"launch {launch.kernel} with grid {launch.grid}")


@functools.cache
def _kernel(device: int, name: str) -> tuple[ModuleType, Any]:
    driver, module = _module(device)
    error, kernel = driver.cuModuleGetFunction(module, name.encode())
    _require(driver, error, f"find {name}")
    return driver, kernel


@functools.cache
def _module(device: int) -> tuple[ModuleType, Any]:
    capability = torch.cuda.get_device_capability(device)
    if capability < build.MINIMUM_CAPABILITY:
        raise RuntimeError(
            f"GPU {device}, {torch.cuda.get_device_name(device)}, has compute capability "
            f"{capability[0]}.{capability[1]}, the patch-swap kernels need 8.0 (Ampere) or later; run them on the CPU"
        )
    compiled = build.ptx()
    from cuda.bindings import driver

    error, module = driver.cuModuleLoadData(compiled)
    _require(driver, error, "load the patch-swap kernels")
    return driver, module


def _require(driver: ModuleType, error: Any, action: str) -> None:
    if error != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(
            f"the CUDA driver cannot {action}: {error.name}; if it is older than the installed nvidia-cuda-nvrtc, "
            "update it or install the nvidia-cuda-nvrtc of its version"
        )
