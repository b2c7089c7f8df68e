"""Our own kernels on the CPU, for engines that carry a program."""

from runtime.engines.backend import Backend, Device, Engine
from runtime.engines.native_engine import NativeEngine
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec
from runtime.errors import UnknownProgramError
from runtime.native.library import missing_reason


def _why_not(source: EngineSource, spec: EngineSpec, device: Device) -> str | None:
    if spec.kind == "sketch":
        return "its steps run in ONNX Runtime"
    reason = missing_reason()
    if reason is not None:
        return reason
    try:
        NativeEngine(source, spec, threads=1).close()  # nothing of the weights is read: milliseconds
    except UnknownProgramError as error:
        return str(error)
    return None


def _open(source: EngineSource, spec: EngineSpec, device: Device, threads: int | None) -> Engine:
    return NativeEngine(source, spec, threads)


BACKEND = Backend(
    name="native",
    preference=10,
    devices=("cpu",),
    suffixes=(".onnx",),
    why_not=_why_not,
    open=_open,
)
