"""Runs the kernels on torch's tensors, on torch's current stream."""

import ctypes
import functools
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from cuda_ext import build, sweep
from cuda_ext.geometry import (
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
    match = features.new_empty(features.shape[:1] + features.shape[2:], dtype=torch.int32)
    if match.numel():
        with torch.cuda.device(features.device):
            (_sweep if suffix == "fp16" else _match_fp32)(_Stream(features.device), features, hole, match)
    return match


def _sweep(stream: "_Stream", features: Tensor, hole: Tensor, match: Tensor) -> None:
    plan = _plan(stream.index, *features.shape)
    workspace = torch.empty(plan.size, dtype=torch.uint8, device=features.device)
    start = workspace.data_ptr()
    at = {name: start + offset for name, offset in plan.offsets.items()}
    at |= {"features": features.data_ptr(), "hole": hole.data_ptr(), "match": match.data_ptr()}
    for launch, inputs, outputs in plan.steps:
        stream.run(launch, [at[name] for name in inputs], [at[name] for name in outputs])


def _match_fp32(stream: "_Stream", features: Tensor, hole: Tensor, match: Tensor) -> None:
    count, channels, height, width = features.shape
    inputs = [features.data_ptr(), hole.data_ptr()]
    splits = _splits(features)
    if splits == 1:
        stream.run(match_launch("fp32", count, channels, height, width), inputs, [match.data_ptr()])
        return
    best = torch.zeros(match.shape, dtype=torch.int64, device=features.device)
    launch = match_split_launch("fp32", count, channels, height, width, splits)
    stream.run(launch, inputs, [best.data_ptr()])
    stream.run(match_finish_launch(match.numel()), [best.data_ptr()], [match.data_ptr()])


@functools.lru_cache(256)
def _plan(device: int, count: int, channels: int, height: int, width: int) -> sweep.Sweep:
    processors: int = torch.cuda.get_device_properties(device).multi_processor_count
    return sweep.plan(count, channels, height, width, sweep.columns_for(_shared_limit(device)), processors)


def _shared_limit(device: int) -> int:
    """Bytes of shared memory that a block may ask for."""
    driver, _ = _module(device)
    attribute = driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
    error, limit = driver.cuDeviceGetAttribute(attribute, device)
    _require(driver, error, "tell how much shared memory a block may have")
    return int(limit)


def launch_paste(features: Tensor, hole: Tensor, match: Tensor) -> Tensor:
    """`ops.patch_paste` on CUDA; the arguments are checked. A match off the map is left out."""
    suffix = _suffix("patch_paste", features)
    features, hole, match = features.contiguous(), _as_features(hole, features), match.contiguous()
    output = torch.empty_like(features)
    if output.numel():
        inputs = [features.data_ptr(), hole.data_ptr(), match.data_ptr()]
        with torch.cuda.device(features.device):
            _Stream(features.device).run(paste_launch(suffix, *features.shape), inputs, [output.data_ptr()])
    return output


def _suffix(name: str, features: Tensor) -> str:
    if features.dtype not in _SUFFIX:
        raise TypeError(
            f"{name}: features is {features.dtype} on CUDA, expected torch.float32 or torch.float16; convert it"
        )
    return _SUFFIX[features.dtype]


def _as_features(hole: Tensor, features: Tensor) -> Tensor:
    """In the features' type, not zero = missing; a smaller type would round what is nearly zero."""
    return hole.contiguous() if hole.dtype == features.dtype else (hole != 0).to(features.dtype).contiguous()


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


class _Stream:
    """torch's current stream on the current device."""

    def __init__(self, device: torch.device) -> None:
        self.index = torch.cuda.current_device()
        self._stream = torch.cuda.current_stream(device).cuda_stream

    def run(self, launch: Launch, inputs: list[int], outputs: list[int]) -> None:
        """One kernel with the addresses of its inputs and outputs."""
        driver, kernel = _kernel(self.index, launch.kernel, launch.shared)
        sizes = (ctypes.c_int * len(launch.sizes))(*launch.sizes)
        pointers = (ctypes.c_void_p * (len(inputs) + len(outputs)))(*inputs, *outputs)
        first, at = ctypes.addressof(pointers), ctypes.addressof(sizes)
        places = [*range(first, first + 8 * len(inputs), 8), *range(at, at + 4 * len(sizes), 4)]
        places += range(first + 8 * len(inputs), first + 8 * len(pointers), 8)
        arguments = (ctypes.c_void_p * len(places))(*places)
        block, shared = (launch.threads, 1, 1), launch.shared
        (error,) = driver.cuLaunchKernel(
            kernel, *launch.grid, *block, shared, self._stream, ctypes.addressof(arguments), 0
        )
        _require(driver, error, f"launch {launch.kernel} with grid {launch.grid}")


@functools.cache
def _kernel(device: int, name: str, shared: int) -> tuple[ModuleType, Any]:
    driver, module = _module(device)
    error, kernel = driver.cuModuleGetFunction(module, name.encode())
    _require(driver, error, f"find {name}")
    if shared:  # beyond 48 KB only what was asked for
        attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        (error,) = driver.cuFuncSetAttribute(kernel, attribute, shared)
        _require(driver, error, f"give {name} {shared} bytes of shared memory")
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
