"""ONNX engine → TensorRT or TensorRT-RTX plan: `NAME.engine`, and `NAME.engine.json` that says what it is.

Networks are strongly typed: the precision is the ONNX file's own. Flags that only some versions have are looked up.
"""

import hashlib
import importlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx

from cuda_ext.build import ptx
from cuda_ext.onnx_functions import DOMAIN
from export.errors import ExportError
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.spec import EngineSpec
from runtime.errors import DeviceError
from runtime.files import atomic_path

NO_GPU = "none (built on CPU)"
_MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}  # in the order of preference
_PACKAGES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt-rtx-cu13"}
_ERRORS = ("ERROR", "INTERNAL_ERROR")
_MOST_STYLES = {"min": 1, "opt": 256, "max": 1024}  # axis K
_ACTIVATION_MEMORY = re.compile(r"Total Activation Memory: (\d+)")

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Profile:
    """Sizes (N, H, W) that a plan with free axes accepts, and the one it is tuned for."""

    min: Shape
    opt: Shape
    max: Shape


@dataclass(frozen=True)
class Plan:
    """One plan written. `activation_bytes` is what TensorRT's build log states, None where it states nothing."""

    path: Path
    spec: EngineSpec
    flavor: str
    version: str
    gpu: str
    activation_bytes: int | None


def default_profile(spec: EngineSpec) -> Profile:
    """From two multiples a side to 1024×2048, one at a time, tuned for 512×1024; rounded up to the size multiple."""
    m = spec.size_multiple

    def fit(height: int, width: int) -> Shape:
        return 1, -(-height // m) * m, -(-width // m) * m

    return Profile(fit(2 * m, 2 * m), fit(512, 1024), fit(1024, 2048))


def profile_from(spec: EngineSpec, smallest: Shape | None, best: Shape | None, largest: Shape | None) -> Profile:
    """The profile of what was given; what was not given is `default_profile`'s, brought between what was."""
    default = default_profile(spec)
    low = smallest or _each(min, default.min, *filter(None, (best, largest)))
    high = largest or _each(max, default.max, *filter(None, (smallest, best)))
    return Profile(low, best or _each(min, _each(max, default.opt, low), high), high)


def _each(choose: Callable[..., int], *shapes: Shape) -> Shape:
    count, height, width = (choose(axis) for axis in zip(*shapes, strict=True))
    return count, height, width


def engine_from_onnx(
    onnx_path: str | Path, output: str | Path, *, flavor: str | None = None, profile: Profile | None = None
) -> Plan:
    """Build the plan `output` and its specification `output`.json.

    Args:
        onnx_path: an engine of `export_onnx`.
        output: ends in `.engine`.
        flavor: "tensorrt" or "tensorrt-rtx"; None for the installed one, tensorrt first.
        profile: sizes of a dynamic engine; None for `default_profile`. A static engine takes none.

    Raises:
        MissingFileError, EngineFormatError: no such engine, or not one of pix2rt's.
        DeviceError: the flavour is not installed, or cannot build here.
        ExportError: TensorRT cannot parse or build the graph, or the profile does not fit.
    """
    output = Path(output)
    if output.suffix != ".engine":
        raise ExportError(
            f"output {output}: a TensorRT plan's name ends in .engine; pass -o {output.with_suffix('.engine')}"
        )
    spec = read_spec(onnx_path)
    if spec.size and profile:
        raise ExportError(
            f"{onnx_path} has the fixed size {spec.size[0]}x{spec.size[1]}; --min, --opt, --max are for dynamic engines"
        )
    profile = profile or (None if spec.size else default_profile(spec))
    if profile:
        _check_profile(profile, spec.size_multiple)
    name, tensorrt = _import(flavor)
    log = _Log()
    if name == "tensorrt":
        _register_plugins(Path(onnx_path))
    plan = _build(tensorrt, log, Path(onnx_path), spec, profile)
    built = Plan(output, spec, name, str(tensorrt.__version__), gpu_name(), log.activation_bytes())
    _write(built, plan, Path(onnx_path))
    return built


def gpu_name() -> str:
    """The first GPU's name as the driver states it; `NO_GPU` without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return NO_GPU
    result = subprocess.run(
        [program, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    names = result.stdout.strip().splitlines()
    return names[0].strip() if result.returncode == 0 and names else NO_GPU


class _Log:
    """What TensorRT said, from its logger."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def logger(self, tensorrt: ModuleType) -> Any:
        lines = self.lines

        class Logger(tensorrt.ILogger):  # type: ignore[name-defined, misc]
            def log(self, severity: Any, message: str) -> None:
                if severity.name != "VERBOSE":
                    lines.append((severity.name, message))

        return Logger()

    def has_errors(self) -> bool:
        return any(severity in _ERRORS for severity, _ in self.lines)

    def errors(self) -> str:
        found = [message for severity, message in self.lines if severity in _ERRORS]
        return "; ".join(found[-5:]) or "it gave no reason"

    def activation_bytes(self) -> int | None:
        found = [match for _, message in self.lines if (match := _ACTIVATION_MEMORY.search(message))]
        return int(found[-1][1]) if found else None


def _import(flavor: str | None) -> tuple[str, ModuleType]:
    if flavor is not None and flavor not in _MODULES:
        raise ExportError(f"--flavor {flavor!r} is not one of {', '.join(_MODULES)}")
    for name in (flavor,) if flavor else _MODULES:
        try:
            return name, importlib.import_module(_MODULES[name])
        except ImportError:
            continue
    wanted = flavor or " or ".join(_MODULES)
    commands = " or ".join(f"pip install {_PACKAGES[name]}" for name in ((flavor,) if flavor else _PACKAGES))
    raise DeviceError(f"{wanted} is not installed; {commands}")


def _build(tensorrt: ModuleType, log: _Log, onnx_path: Path, spec: EngineSpec, profile: Profile | None) -> bytes:
    builder = _builder(tensorrt, log)
    network = builder.create_network(_network_flags(tensorrt))
    parser = tensorrt.OnnxParser(network, builder.logger)
    if not parser.parse_from_file(str(onnx_path)):
        raise ExportError(f"TensorRT {tensorrt.__version__} cannot parse {onnx_path}: {_parser_errors(parser)}")
    config = builder.create_builder_config()
    if spec.precision == "fp32" and hasattr(tensorrt.BuilderFlag, "TF32"):
        config.clear_flag(tensorrt.BuilderFlag.TF32)  # TF32 keeps 10 bits of the mantissa: not what fp32 promises
    if profile:
        config.add_optimization_profile(_optimization_profile(builder, spec, profile))
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ExportError(f"TensorRT {tensorrt.__version__} cannot build {onnx_path}: {log.errors()}")
    return bytes(plan)


def _builder(tensorrt: ModuleType, log: _Log) -> Any:
    """Where there is no driver it is a null pointer, which the binding refuses, or an object that must not be used."""
    try:
        builder = tensorrt.Builder(log.logger(tensorrt))
    except TypeError as error:
        raise DeviceError(f"TensorRT {tensorrt.__version__} cannot build on this machine: {log.errors()}") from error
    if log.has_errors():
        raise DeviceError(f"TensorRT {tensorrt.__version__} cannot build on this machine: {log.errors()}")
    return builder


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


def _network_flags(tensorrt: ModuleType) -> int:
    """Strong typing; TensorRT versions that know nothing else may lack the flag."""
    flag = getattr(tensorrt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _parser_errors(parser: Any) -> str:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    return (
        "; ".join(f"node {e.node_name() or e.node()} {e.node_operator()}: {e.desc()}" for e in errors)
        or "no reason given"
    )


def _optimization_profile(builder: Any, spec: EngineSpec, profile: Profile) -> Any:
    bounds = builder.create_optimization_profile()
    for tensor in spec.inputs:
        shapes = []
        for which in ("min", "opt", "max"):
            count, height, width = getattr(profile, which)
            axes = {"N": count, "H": height, "W": width, "K": _MOST_STYLES[which]}
            shapes.append([axis if isinstance(axis, int) else axes[axis] for axis in tensor.shape])
        bounds.set_shape(tensor.name, *shapes)
    return bounds


def _check_profile(profile: Profile, multiple: int) -> None:
    for axis in range(3):
        low, best, high = (shape[axis] for shape in (profile.min, profile.opt, profile.max))
        if not 1 <= low <= best <= high:
            raise ExportError(
                f"--min {_x(profile.min)}, --opt {_x(profile.opt)}, --max {_x(profile.max)} must not decrease"
            )
    for shape in (profile.min, profile.opt, profile.max):
        if shape[1] % multiple or shape[2] % multiple:
            raise ExportError(
                f"profile size {_x(shape)}: height and width must be multiples of {multiple} for this engine"
            )


def _x(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _write(built: Plan, plan: bytes, onnx_path: Path) -> None:
    with onnx_path.open("rb") as stream:
        onnx_sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    document = json.loads(built.spec.to_json())
    document["tensorrt"] = {
        "flavor": built.flavor,
        "version": built.version,
        "gpu": built.gpu,
        "onnx_sha256": onnx_sha256,
        "plan_sha256": hashlib.sha256(plan).hexdigest(),
        "activation_bytes": built.activation_bytes,
    }
    specification = built.path.with_name(f"{built.path.name}.json")
    with atomic_path(built.path) as plan_file, atomic_path(specification) as specification_file:
        plan_file.write_bytes(plan)
        specification_file.write_text(json.dumps(document, indent=1), encoding="utf-8")
