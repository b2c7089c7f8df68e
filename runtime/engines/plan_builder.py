"""ONNX engine → TensorRT or TensorRT-RTX plan.

Networks are strongly typed: the precision is the ONNX file's own. Flags that only some versions have are looked up.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from runtime.engines.build_progress import Progress, monitor
from runtime.engines.device_memory import Cuda
from runtime.engines.external_data import require_one_file
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.plan import NO_GPU, SUFFIX, Plan, PlanOrigin, Profile
from runtime.engines.plan_cache import entry_name, read_entry, write_entry
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec
from runtime.engines.tensorrt_library import Heard, load_tensorrt, log_of
from runtime.errors import DeviceError, InputError, PlanError

_MOST_STYLES = {"min": 1, "opt": 256, "max": 1024}  # axis K
_PART_BYTES = 2**20  # read at once
_ACTIVATION_MEMORY = re.compile(r"Total Activation Memory: (\d+)")


@dataclass(frozen=True)
class PlanFile:
    """One plan written."""

    path: Path
    spec: EngineSpec
    origin: PlanOrigin


def build_plan_file(
    onnx_path: str | Path, output: str | Path, *, flavor: str | None = None, profile: Profile | None = None
) -> PlanFile:
    """Build the plan `output` and its specification `output`.json.

    Args:
        onnx_path: an engine of `python -m export onnx`.
        output: ends in `.engine`.
        flavor: "tensorrt" or "tensorrt-rtx"; None for the installed one, tensorrt first.
        profile: sizes of a dynamic engine; None for `Profile.default`. A static engine takes none.

    Raises:
        MissingFileError, EngineFormatError: no such engine, or not one of pix2rt's.
        InputError: no such flavour, no plan's name, or the profile does not fit.
        DeviceError: the flavour is not installed, or cannot build here.
        PlanError: TensorRT cannot parse or build the graph.
        OutputError: `output` cannot be written.
    """
    output = Path(output)
    require_plan_name(output)
    source = EngineSource.of(onnx_path)
    spec = read_spec(source)
    plan = build_plan(source, spec, flavor=flavor, profile=profile)
    plan.write(output, spec)
    return PlanFile(output, spec, plan.origin)


def require_plan_name(output: Path) -> None:
    """Raise InputError unless it is what a plan's file is called."""
    if output.suffix != SUFFIX:
        raise InputError(
            f"output {output}: a TensorRT plan's name ends in .engine; pass -o {output.with_suffix(SUFFIX)}"
        )


def build_plan(
    source: EngineSource,
    spec: EngineSpec,
    *,
    flavor: str | None = None,
    profile: Profile | None = None,
    gpu: int = 0,
    progress: Progress | None = None,
) -> Plan:
    """Build a plan for GPU `gpu`, or without one for TensorRT-RTX; the rest as in `build_plan_file`."""
    profile = profile_for(source, spec, profile)
    require_one_file(source)  # TensorRT's parser would read whatever files a foreign one names
    name, tensorrt = load_tensorrt(flavor)
    gpu_name = gpu_for(name, gpu)
    with log_of(tensorrt).hearing() as heard:
        data = _Build(tensorrt, name, gpu_name, heard).run(source, spec, profile, progress)
    origin = PlanOrigin(
        flavor=name,
        version=str(tensorrt.__version__),
        gpu=gpu_name,
        onnx_sha256=onnx_sha256(source),
        plan_sha256=hashlib.sha256(data).hexdigest(),
        activation_bytes=_activation_bytes(heard),
    )
    return Plan(str(source), origin, data)


def onnx_sha256(source: EngineSource) -> str:
    """Of an engine's bytes."""
    digest = hashlib.sha256()
    with source.open() as stream:
        while part := stream.read(_PART_BYTES):
            digest.update(part)
    return digest.hexdigest()


def gpu_for(flavor: str, index: int) -> str:
    """The name of the GPU that plans are built on; the calling thread works with it from then on.

    Raises:
        DeviceError: there is none, and the flavour needs one.
    """
    try:
        return Cuda(index).name()
    except DeviceError:
        if flavor == "tensorrt-rtx":
            return NO_GPU
        raise


def profile_for(source: EngineSource, spec: EngineSpec, profile: Profile | None) -> Profile | None:
    """The profile to build with; None for a static engine. Raises InputError where it does not fit the engine."""
    if spec.size and profile:
        raise InputError(
            f"{source} has the fixed size {spec.size[0]}x{spec.size[1]}; --min, --opt, --max are for dynamic engines"
        )
    profile = profile or (None if _is_static(spec) else Profile.default(spec))
    if profile:
        _check_profile(profile, spec.size_multiple)
    return profile


def _is_static(spec: EngineSpec) -> bool:
    return all(isinstance(axis, int) for tensor in spec.inputs for axis in tensor.shape)


class _Build:
    """One build. What TensorRT calls back must outlive it, so it is kept here."""

    def __init__(self, tensorrt: ModuleType, flavor: str, gpu: str, heard: Heard) -> None:
        self._tensorrt, self._heard = tensorrt, heard
        self._is_rtx = flavor == "tensorrt-rtx"
        self._timing = entry_name(flavor, str(tensorrt.__version__), gpu, suffix=".timing")
        self._builder = _builder(tensorrt, heard)

    def run(self, source: EngineSource, spec: EngineSpec, profile: Profile | None, progress: Progress | None) -> bytes:
        tensorrt, builder = self._tensorrt, self._builder
        network = builder.create_network(_network_flags(tensorrt))
        parser = tensorrt.OnnxParser(network, log_of(tensorrt).logger)
        if not (parser.parse(source.data) if source.data is not None else parser.parse_from_file(str(source.path))):
            raise PlanError(f"TensorRT {tensorrt.__version__} cannot parse {source}: {_parser_errors(parser)}")
        config = builder.create_builder_config()
        if spec.precision == "fp32" and hasattr(tensorrt.BuilderFlag, "TF32"):
            config.clear_flag(tensorrt.BuilderFlag.TF32)  # TF32 keeps 10 bits of the mantissa: not what fp32 promises
        if profile:
            self._set_profile(config, spec, profile)
        if self._is_rtx:
            # Memory that it would allocate while it runs could not be captured in a CUDA graph.
            config.set_flag(tensorrt.BuilderFlag.REQUIRE_USER_ALLOCATION)
        else:
            self._read_timings(config)
        watch = monitor(tensorrt, progress)
        config.progress_monitor = watch
        plan = builder.build_serialized_network(network, config)
        if watch.interrupted:
            raise watch.interrupted
        if plan is None:
            raise PlanError(f"TensorRT {tensorrt.__version__} cannot build {source}: {self._heard.reason()}")
        if not self._is_rtx:
            self._keep_timings(config)
        return bytes(plan)

    def _set_profile(self, config: Any, spec: EngineSpec, profile: Profile) -> None:
        bounds = self._builder.create_optimization_profile()
        for tensor in spec.inputs:
            shapes = []
            for which in ("min", "opt", "max"):
                count, height, width = getattr(profile, which)
                axes = {"N": count, "H": height, "W": width, "K": _MOST_STYLES[which]}
                shapes.append([axis if isinstance(axis, int) else axes[axis] for axis in tensor.shape])
            bounds.set_shape(tensor.name, *shapes)
        if config.add_optimization_profile(bounds) < 0:
            raise InputError(f"TensorRT refuses the sizes {profile}: {self._heard.reason()}; give others")

    def _read_timings(self, config: Any) -> None:
        """What earlier builds measured; TensorRT-RTX measures nothing, and would want a GPU for it."""
        cache = config.create_timing_cache(read_entry(self._timing))
        if cache is None or not config.set_timing_cache(cache, False):
            cache = config.create_timing_cache(b"")  # of another driver: measured anew
            if not config.set_timing_cache(cache, False):
                raise DeviceError(f"TensorRT takes no timing cache: {self._heard.reason()}")

    def _keep_timings(self, config: Any) -> None:
        cache = config.get_timing_cache()
        if cache is not None:
            write_entry(self._timing, bytes(cache.serialize()))


def _builder(tensorrt: ModuleType, heard: Heard) -> Any:
    """Where there is no driver it is a null pointer, which the binding refuses, or an object that must not be used."""
    try:
        builder = tensorrt.Builder(log_of(tensorrt).logger)
    except TypeError as error:
        raise DeviceError(f"TensorRT {tensorrt.__version__} cannot build on this machine: {heard.reason()}") from error
    if heard.errors():
        raise DeviceError(f"TensorRT {tensorrt.__version__} cannot build on this machine: {heard.reason()}")
    return builder


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


def _activation_bytes(heard: Heard) -> int | None:
    found = [match for _, message in heard.lines if (match := _ACTIVATION_MEMORY.search(message))]
    return int(found[-1][1]) if found else None


def _check_profile(profile: Profile, multiple: int) -> None:
    for axis in range(3):
        low, best, high = (shape[axis] for shape in (profile.min, profile.opt, profile.max))
        if not 1 <= low <= best <= high:
            raise InputError(
                f"--min {_x(profile.min)}, --opt {_x(profile.opt)}, --max {_x(profile.max)} must not decrease"
            )
    for shape in (profile.min, profile.opt, profile.max):
        if shape[1] % multiple or shape[2] % multiple:
            raise InputError(
                f"profile size {_x(shape)}: height and width must be multiples of {multiple} for this engine"
            )


def _x(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
