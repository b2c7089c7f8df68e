"""ONNX Runtime, on the CPU or a CUDA GPU. It takes long to import, so that waits for the first engine."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from runtime.engines.backend import Backend, Device, Engine
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec


@cache
def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def _why_not(source: EngineSource, spec: EngineSpec, device: Device) -> str | None:
    if device.type == "cuda" and not _is_installed("onnxruntime-gpu") and _is_installed("onnxruntime"):
        return "the installed onnxruntime has no CUDA: pip uninstall onnxruntime, then pip install onnxruntime-gpu"
    return None


def _open(source: EngineSource, spec: EngineSpec, device: Device, threads: int | None) -> Engine:
    from runtime.engines.onnx_cuda_engine import OnnxCudaEngine
    from runtime.engines.onnx_engine import OnnxEngine

    if device.type == "cuda":
        return OnnxCudaEngine(source, spec, device, threads)
    return OnnxEngine(source, spec, str(device), threads)


BACKEND = Backend(
    name="onnxruntime",
    preference=20,
    devices=("cuda", "cpu"),
    suffixes=(".onnx",),
    why_not=_why_not,
    open=_open,
)
