"""A model repository for Triton Inference Server: an engine as a model, bytes in and bytes out.

Sources: the model configuration of Triton's documentation (model_config.proto).
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from export.errors import ExportError
from runtime.engines.engine import engine_spec
from runtime.engines.plan import SUFFIX, read_origin
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec, TensorSpec
from runtime.errors import InputError
from runtime.files import atomic_path, require_file

_TYPES = {
    "uint8": "TYPE_UINT8",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float32": "TYPE_FP32",
    "float16": "TYPE_FP16",
}
_FILES = {".onnx": ("onnxruntime_onnx", "model.onnx"), SUFFIX: ("tensorrt_plan", "model.plan")}
DEVICES = ("auto", "cpu", "gpu")
_FREE_AXES = {"K": 64, "F": 3}  # of a warm-up, beside its size: instances, features


@dataclass(frozen=True)
class Serving:
    """How Triton is to run a model.

    Attributes:
        instances: copies of it on each device.
        device: "auto", "cpu" or "gpu".
        max_batch: most images of a call that Triton makes of several requests; for engines whose batch is free.
        delay_us: how long a request waits for others.
        threads: CPU threads of each instance; None for ONNX Runtime's own choice.
    """

    instances: int = 1
    device: str = "auto"
    max_batch: int = 8
    delay_us: int = 1000
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise InputError(f"--device is {self.device!r}, expected one of {', '.join(DEVICES)}")


def triton_model(
    engine: Path, repository: Path, serving: Serving, *, name: str | None = None, version: int = 1
) -> Path:
    """Lay an engine out as REPOSITORY/NAME/VERSION/model.onnx or model.plan, with its config.pbtxt.

    Args:
        engine: an ONNX engine, or a plan of TensorRT of the version that Triton has.
        repository: folder of models; what else it holds stays.
        serving: how it is to run.
        name: of the model; the engine's if not given.
        version: of the model.

    Returns:
        The model's folder.

    Raises:
        ExportError: the version is there already, or the engine cannot be a model.
        InputError: the name is none that Triton takes.
    """
    source = require_file(engine, "engine")
    spec = engine_spec(source)
    name = name or source.stem
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise InputError(f"--name is {name!r}, expected letters, digits, points, - and _; give one")
    if source.suffix == SUFFIX and read_origin(EngineSource.of(source)).flavor != "tensorrt":
        raise ExportError(f"engine {source} is a plan of TensorRT-RTX, which Triton does not run; give the .onnx")
    folder = repository / name
    platform, file = _FILES[source.suffix]
    target = folder / str(version) / file
    if target.exists():
        raise ExportError(f"{target} is there already; give another --version, or remove that one")
    config = model_config(spec, name, platform, serving)
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
    with atomic_path(folder / "config.pbtxt") as temporary:
        temporary.write_text(config, encoding="utf-8")
    return folder


def model_config(spec: EngineSpec, name: str, platform: str, serving: Serving) -> str:
    """The text of config.pbtxt."""
    is_batched = batches(spec)
    lines = [f'name: "{name}"', f'platform: "{platform}"', f"max_batch_size: {serving.max_batch if is_batched else 0}"]
    for what, tensors in (("input", spec.inputs), ("output", spec.outputs)):
        lines += [line for tensor in tensors for line in _tensor(what, tensor, is_batched)]
    kind = f"KIND_{serving.device.upper()}"
    lines += ["instance_group {", f"  count: {serving.instances}", f"  kind: {kind}", "}"]
    if is_batched:
        lines += ["dynamic_batching {", f"  max_queue_delay_microseconds: {serving.delay_us}", "}"]
    lines += _warm_up(spec, is_batched)
    facts = {"pix2rt.kind": spec.kind, "pix2rt.family": spec.family, "pix2rt.size_multiple": str(spec.size_multiple)}
    if serving.threads:
        facts["intra_op_thread_count"] = str(serving.threads)
    for key, value in facts.items():
        lines += ["parameters {", f'  key: "{key}"', f'  value {{ string_value: "{value}" }}', "}"]
    return "\n".join(lines) + "\n"


def batches(spec: EngineSpec) -> bool:
    """Whether Triton may make one call of several requests: the batch is free, and no image sees its neighbours."""
    firsts = {tensor.shape[0] for tensor in (*spec.inputs, *spec.outputs)}
    return len(firsts) == 1 and isinstance(next(iter(firsts)), str) and spec.normalization != "batch-stats"


def _dims(shape: Sequence[int | str], is_batched: bool) -> str:
    sizes = [str(axis if isinstance(axis, int) else -1) for axis in shape[1 if is_batched else 0 :]]
    return f"[ {', '.join(sizes)} ]"


def _tensor(what: str, tensor: TensorSpec, is_batched: bool) -> list[str]:
    dims = _dims(tensor.shape, is_batched)
    return [
        f"{what} {{",
        f'  name: "{tensor.name}"',
        f"  data_type: {_TYPES[tensor.dtype]}",
        f"  dims: {dims}",
        "}",
    ]


def _warm_up(spec: EngineSpec, is_batched: bool) -> list[str]:
    """One call with zeros, at the engine's size, or where that is free at the one that its cost was counted at."""
    height, width = spec.size or spec.cost.size
    free = {"H": height, "W": width} | _FREE_AXES
    lines = ["model_warmup {", '  name: "zeros"', f"  batch_size: {int(is_batched)}"]
    for tensor in spec.inputs:
        shape = [axis if isinstance(axis, int) else free.get(axis, 1) for axis in tensor.shape]
        lines += [
            "  inputs {",
            f'    key: "{tensor.name}"',
            f"    value {{ data_type: {_TYPES[tensor.dtype]} dims: {_dims(shape, is_batched)} zero_data: true }}",
            "  }",
        ]
    return [*lines, "}"]
