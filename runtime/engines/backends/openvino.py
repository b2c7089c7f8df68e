"""OpenVINO on the CPU: there to be compared with, so only where it is named."""

from importlib.util import find_spec

from runtime.engines.backend import Backend, Device, Engine
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec


def _why_not(source: EngineSource, spec: EngineSpec, device: Device) -> str | None:
    return None if find_spec("openvino") else "openvino is not installed; pip install openvino"


def _open(source: EngineSource, spec: EngineSpec, device: Device, threads: int | None) -> Engine:
    from runtime.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(source, spec, threads)


BACKEND = Backend(
    name="openvino",
    preference=30,
    devices=("cpu",),
    suffixes=(".onnx",),
    why_not=_why_not,
    open=_open,
    shuns=lambda source, spec: "it is there to be compared with",
    is_yardstick=True,
)
