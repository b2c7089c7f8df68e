"""ONNX engine → TensorRT or TensorRT-RTX plan: the runtime's builder, given our kernels where it takes them."""

import importlib
from pathlib import Path

import onnx

from cuda_ext.build import ptx
from cuda_ext.onnx_functions import DOMAIN
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.plan import Profile
from runtime.engines.plan_builder import PlanFile, build_plan_file, require_plan_name
from runtime.engines.tensorrt_library import load_tensorrt
from runtime.errors import DeviceError

__all__ = ["Profile", "engine_from_onnx"]


def engine_from_onnx(
    onnx_path: str | Path, output: str | Path, *, flavor: str | None = None, profile: Profile | None = None
) -> PlanFile:
    """Build the plan `output` and its specification `output`.json; arguments and errors as in `build_plan_file`.

    Raises:
        DeviceError: moreover, where the graph has patch-swap: TensorRT's plugin layer, or NVRTC, is not there.
    """
    require_plan_name(Path(output))
    read_spec(onnx_path)
    if load_tensorrt(flavor)[0] == "tensorrt":
        _register_plugins(Path(onnx_path))
    return build_plan_file(onnx_path, output, flavor=flavor, profile=profile)


def _register_plugins(onnx_path: Path) -> None:
    """Where the graph has patch-swap, full TensorRT is to take our kernels in the place of the graph's functions.

    Raises:
        DeviceError: TensorRT's plugin layer, or NVRTC, which compiles the kernels, is not there.
    """
    nodes = onnx.load(onnx_path, load_external_data=False).graph.node
    if not any(node.domain == DOMAIN for node in nodes):
        return
    try:
        ptx()
        importlib.import_module("cuda_ext.plugins")
    except (ImportError, RuntimeError) as error:
        raise DeviceError(
            f"{onnx_path} has patch-swap, whose kernels cannot be given to TensorRT: {error}; "
            "pip install pix2rt[tensorrt,cuda], or take --flavor tensorrt-rtx, which runs the graph's own functions"
        ) from error
