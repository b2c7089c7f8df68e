"""TensorRT and TensorRT-RTX on an NVIDIA GPU. An .onnx engine becomes a plan first, which takes minutes, once."""

from importlib.util import find_spec

from runtime.engines.backend import Backend, Device, Engine
from runtime.engines.plan import FLAVORS, PACKAGES, SUFFIX, Plan, read_origin
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec


def _why_not(source: EngineSource, spec: EngineSpec, device: Device) -> str | None:
    flavors = [read_origin(source).flavor] if source.suffix == SUFFIX else list(FLAVORS)
    known = [flavor for flavor in flavors if flavor in FLAVORS]
    if not any(find_spec(FLAVORS[flavor]) for flavor in known):
        commands = " or ".join(f"pip install {PACKAGES[flavor]}" for flavor in known)
        return f"{' or '.join(flavors)} is not installed; {commands}" if known else f"{flavors[0]} is unknown"
    if not find_spec("cuda"):
        return "cuda-bindings is not installed; pip install 'cuda-bindings>=13'"
    return None


def _open(source: EngineSource, spec: EngineSpec, device: Device, threads: int | None) -> Engine:
    from runtime.engines.device_memory import Cuda
    from runtime.engines.local_plans import local_plan
    from runtime.engines.tensorrt_engine import TensorRtEngine

    if source.suffix == SUFFIX:
        return TensorRtEngine(Plan.read(source), spec, device)
    Cuda(device.index)  # before minutes of building
    notes: list[str] = []
    engine = TensorRtEngine(local_plan(source, spec, device, notify=notes.append), spec, device)
    engine.skipped = tuple(notes)
    return engine


def _shuns(source: EngineSource, spec: EngineSpec) -> str | None:
    return None if source.suffix == SUFFIX else f"it takes long to prepare {source.suffix}"


BACKEND = Backend(
    name="tensorrt",
    preference=10,
    devices=("cuda",),
    suffixes=(SUFFIX, ".onnx"),
    why_not=_why_not,
    open=_open,
    shuns=_shuns,
)
