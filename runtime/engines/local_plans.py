"""Plans built where they run, once: kept in the cache, and built anew when engine, TensorRT, GPU or sizes change."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from runtime.engines.backend import Device
from runtime.engines.build_progress import Progress
from runtime.engines.plan import SUFFIX, Plan, Profile
from runtime.engines.plan_builder import build_plan, gpu_for, onnx_sha256, profile_for
from runtime.engines.plan_cache import cache_folder, keep_within_bound, locked, used
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec
from runtime.engines.tensorrt_library import load_tensorrt
from runtime.errors import EngineFormatError, OutputError

WAIT_S = 3600.0  # for another process that builds the same plan


def local_plan(
    source: EngineSource,
    spec: EngineSpec,
    device: Device,
    *,
    flavor: str | None = None,
    profile: Profile | None = None,
    progress: Progress | None = None,
    notify: Callable[[str], None] | None = None,
) -> Plan:
    """The plan of an ONNX engine for the GPU of this machine, from the cache if it is there.

    Args:
        source: the ONNX engine.
        spec: its specification.
        device: the GPU.
        flavor: as in `build_plan_file`.
        profile: likewise.
        progress: hears how far a build is.
        notify: hears where the cache cannot be written, and the plan is built for this process alone; without it that
            raises OutputError.

    Raises:
        DeviceError, PlanError, InputError: as in `build_plan_file`; or another process builds for over an hour.
        OutputError: the cache cannot be written.
    """

    def build() -> Plan:
        return build_plan(source, spec, flavor=flavor, profile=profile, gpu=device.index, progress=progress)

    path = plan_path(source, spec, device, flavor=flavor, profile=profile)
    found = _kept(path, source)
    if found:
        return found
    try:
        with locked(path, WAIT_S):
            found = _kept(path, source)  # another process may have built it meanwhile
            if found:
                return found
            plan = build()
            plan.write(path, spec)
            keep_within_bound(path)
            return plan
    except OutputError as error:
        if notify is None:
            raise
        notify(f"the plan was built for this process alone: {error}")
        return build()


def plan_path(
    source: EngineSource, spec: EngineSpec, device: Device, *, flavor: str | None = None, profile: Profile | None = None
) -> Path:
    """Where the cache keeps the plan: the name depends on all that the plan depends on."""
    name, tensorrt = load_tensorrt(flavor)
    key = (onnx_sha256(source), name, tensorrt.__version__, gpu_for(name, device.index))
    sizes = profile_for(source, spec, profile)
    return cache_folder() / f"{hashlib.sha256(repr((*key, sizes)).encode()).hexdigest()[:32]}{SUFFIX}"


def _kept(path: Path, source: EngineSource) -> Plan | None:
    if not path.is_file():
        return None
    try:
        plan = Plan.read(EngineSource(path=path))
    except EngineFormatError:  # half of it was removed, or damaged: it is built anew
        return None
    used(path)
    return replace(plan, name=str(source))
