"""Our own kernels on the CPU, for engines that carry a program."""

from runtime.engines.backend import Backend, Device, Engine
from runtime.engines.native_engine import NativeEngine
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec
from runtime.errors import UnknownProgramError
from runtime.native.library import missing_reason

_MACS_A_BYTE = 20


def _why_not(source: EngineSource, spec: EngineSpec, device: Device) -> str | None:
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


def _shuns(source: EngineSource, spec: EngineSpec) -> str | None:
    return "ONNX Runtime reads weights faster that are used so little" if _is_mostly_weights(spec) else None


def _is_mostly_weights(spec: EngineSpec) -> bool:
    """Whether reading the weights takes longer than multiplying by them. A search packs them once for all its steps.

    Measured on two AVX-512 cores against the naive export: 11 multiply-adds a byte (U-Net 128) 0.96 times as fast, 31
    (U-Net 256) 1.34, 64 (pix2pixHD at 512×256) 2.5, 257 (at 1024×512) 3.6, 1027 (at 2048×1024) 3.4.
    """
    return spec.kind != "sketch" and spec.cost.macs < _MACS_A_BYTE * spec.cost.weight_bytes


BACKEND = Backend(
    name="native",
    preference=10,
    devices=("cpu",),
    suffixes=(".onnx",),
    why_not=_why_not,
    open=_open,
    shuns=_shuns,
)
