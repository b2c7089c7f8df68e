"""Patch-swap as TensorRT AOT plugins `pix2rt::PatchMatch` and `pix2rt::PatchPaste`; importing this registers them.

Needs full TensorRT 10.9 or later (TensorRT-RTX has no plugins) and NVRTC. A network that is parsed afterwards takes the
plugins in place of the functions of the same name. The plan then holds PTX and launch parameters: it runs without this
package. A plugin has one kernel and no workspace, so the match takes the kernel in which a block sees all keys.
"""

from typing import Any

import tensorrt
import tensorrt.plugin as trtp

from cuda_ext import build
from cuda_ext.geometry import SUFFIXES, THREADS, Launch, match_launch, paste_launch

MATCH, PASTE = "pix2rt::PatchMatch", "pix2rt::PatchPaste"
_TYPES = {"fp32": "FP32", "fp16": "FP16"}
# TensorRT reads the annotations of what is registered below, and refuses others than these.
_Outputs = tuple[trtp.TensorDesc]
_Types = list[trtp.AutoTuneCombination]
_Implementation = tuple[str | bytes, str | bytes, trtp.KernelLaunchParams, trtp.SymExprs]


def _describe_match(features: trtp.TensorDesc, hole: trtp.TensorDesc) -> trtp.TensorDesc:
    match = features.like()
    match.dtype = tensorrt.int32
    shape = trtp.ShapeExprs(3)
    for axis, of_features in enumerate((0, 2, 3)):
        shape[axis] = features.shape_expr[of_features]
    match.shape_expr = shape
    return match


def _describe_paste(features: trtp.TensorDesc, hole: trtp.TensorDesc, match: trtp.TensorDesc) -> trtp.TensorDesc:
    return features.like()


def _match_types(features: trtp.TensorDesc, hole: trtp.TensorDesc, outputs: _Outputs) -> _Types:
    return [trtp.AutoTuneCombination(f"{name}, {name}, INT32", "LINEAR") for name in _TYPES.values()]


def _paste_types(
    features: trtp.TensorDesc,
    hole: trtp.TensorDesc,
    match: trtp.TensorDesc,
    outputs: _Outputs,
) -> _Types:
    return [trtp.AutoTuneCombination(f"{name}, {name}, INT32, {name}", "LINEAR") for name in _TYPES.values()]


def _match_kernel(
    features: trtp.TensorDesc,
    hole: trtp.TensorDesc,
    outputs: _Outputs,
    tactic: int,
) -> _Implementation:
    return _implementation(match_launch(_suffix(features), *_sizes(features)))


def _paste_kernel(
    features: trtp.TensorDesc,
    hole: trtp.TensorDesc,
    match: trtp.TensorDesc,
    outputs: _Outputs,
    tactic: int,
) -> _Implementation:
    return _implementation(paste_launch(_suffix(features), *_sizes(features)))


def _sizes(features: Any) -> tuple[Any, Any, Any, Any]:
    count, channels, height, width = (features.shape_expr[axis] for axis in range(4))
    return count, channels, height, width


def _suffix(features: Any) -> str:
    return SUFFIXES[features.dtype == tensorrt.float16]


def _implementation(launch: Launch) -> tuple[str, str, Any, Any]:
    """Kernel name, PTX, launch parameters and the int32 arguments, which TensorRT passes between inputs and outputs."""
    parameters = trtp.KernelLaunchParams()
    parameters.grid_x, parameters.grid_y, parameters.grid_z = launch.grid
    parameters.block_x, parameters.block_y, parameters.block_z = THREADS, 1, 1
    parameters.shared_mem = 0  # all of it is static
    arguments = trtp.SymIntExprs(len(launch.sizes))
    for index, size in enumerate(launch.sizes):
        arguments[index] = trtp.SymInt32(size)
    return launch.kernel, build.ptx().rstrip(b"\0").decode(), parameters, arguments


for _name, _describe, _types, _kernel in (
    (MATCH, _describe_match, _match_types, _match_kernel),
    (PASTE, _describe_paste, _paste_types, _paste_kernel),
):
    trtp.register(_name)(_describe)
    trtp.autotune(_name)(_types)
    trtp.aot_impl(_name)(_kernel)
