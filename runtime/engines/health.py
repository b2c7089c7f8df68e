"""What of this environment works: Python, packages, backends, devices, engines. Nothing here raises; it is told."""

import platform
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from runtime.engines.engine import open_engine
from runtime.engines.names import ASSETS, models
from runtime.engines.plan import FLAVORS
from runtime.errors import DeviceError, Pix2rtError
from runtime.extras import install_line
from runtime.version import __version__

OK, ABSENT, BROKEN = "ok", "absent", "broken"

_OLDEST_PYTHON = (3, 11)
_DISTRIBUTION = "pix2rt"
_CPU_PACKAGE, _GPU_PACKAGE = "onnxruntime", "onnxruntime-gpu"
# What extras bring, by the one package that tells: extra → distribution.
_EXTRAS = {"export": "onnx", "training": "accelerate", "studio": "starlette", "video": "av"}
_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: of it.
        state: "ok"; "absent", which is no fault; or "broken".
        found: what is there, or what is wrong.
        advice: what mends it, or what brings it; may be empty.
    """

    name: str
    state: str
    found: str
    advice: str = ""


def examine() -> list[Check]:
    """Look at everything; takes about a second, most of it for loading onnxruntime."""
    looks: tuple[Callable[[], list[Check]], ...] = (
        *(_python, _packages, _onnxruntime, _native, _driver, _tensorrt, _extras, _named_engines, _choices),
    )
    return [check for look in looks for check in look()]


def _python() -> list[Check]:
    found = f"{platform.python_version()} on {platform.platform()}"
    if sys.version_info[:2] < _OLDEST_PYTHON:
        oldest = ".".join(map(str, _OLDEST_PYTHON))
        return [Check("Python", BROKEN, found, f"use {oldest} or newer")]
    return [Check("Python", OK, found)]


def _packages() -> list[Check]:
    """pix2rt, and what it cannot do without, against the versions that it asks for."""
    try:
        wanted = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [Check("pix2rt", OK, f"{__version__}, not installed but run from {ASSETS.parents[1]}")]
    checks = [Check("pix2rt", OK, f"{__version__} in {ASSETS.parents[1]}")]
    for requirement in wanted:
        match = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement.replace(" ", ""))
        if match and match[1] != _CPU_PACKAGE:
            checks.append(_package(match[1], match[2]))
    return checks


def _package(name: str, oldest: str) -> Check:
    installed = version_of(name)
    if installed is None:
        return Check(name, BROKEN, "not installed", f"pip install '{name}>={oldest}'")
    if _numbers(installed) < _numbers(oldest):
        return Check(name, BROKEN, f"{installed}, older than {oldest}", f"pip install '{name}>={oldest}'")
    return Check(name, OK, installed)


def version_of(distribution: str) -> str | None:
    """Its version; None where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _onnxruntime() -> list[Check]:
    """Loads, and is there once: the two distributions of it are one folder, and break each other."""
    cpu, gpu = version_of(_CPU_PACKAGE), version_of(_GPU_PACKAGE)
    if cpu and gpu:
        advice = f"pip uninstall -y {_CPU_PACKAGE} {_GPU_PACKAGE}, then install the one that you want"
        return [Check(_CPU_PACKAGE, BROKEN, f"{cpu}, and {_GPU_PACKAGE} {gpu} in the same folder", advice)]
    try:
        from runtime.engines.onnx_engine import LIBRARY_VERSION, available_providers

        providers = ", ".join(available_providers())
    except Exception as error:  # noqa: BLE001  whatever a broken library does
        return [Check(_CPU_PACKAGE, BROKEN, f"does not load: {error}", f"pip install --force-reinstall {_CPU_PACKAGE}")]
    return [Check(_GPU_PACKAGE if gpu else _CPU_PACKAGE, OK, f"{LIBRARY_VERSION}: {providers}")]


def _native() -> list[Check]:
    from runtime.native.library import instruction_sets, load_kernels, missing_reason

    reason = missing_reason()
    if reason:
        return [Check("native kernels", ABSENT, reason, "ONNX Runtime runs engines in their place, more slowly")]
    try:
        return [Check("native kernels", OK, f"{load_kernels().name} (of {', '.join(instruction_sets())})")]
    except Pix2rtError as error:
        return [Check("native kernels", BROKEN, str(error), "install pix2rt again")]


def _driver() -> list[Check]:
    try:
        text = _DRIVER.read_text(errors="replace")
    except OSError:
        return [Check("NVIDIA driver", ABSENT, "none")]
    version = re.search(r"\b\d+\.\d+(\.\d+)?\b", text)
    checks = [Check("NVIDIA driver", OK, version[0] if version else text[:60])]
    try:
        from runtime.engines.device_memory import Cuda

        gpu = Cuda()
        free, total = gpu.memory()
        return [*checks, Check("GPU", OK, f"{gpu.name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free")]
    except (DeviceError, ImportError) as error:
        return [*checks, Check("GPU", ABSENT, str(error), install_line("tensorrt"))]


def _tensorrt() -> list[Check]:
    from runtime.engines.tensorrt_library import load_tensorrt

    checks = []
    for flavor in FLAVORS:
        try:
            _, module = load_tensorrt(flavor)
            checks.append(Check(flavor, OK, str(module.__version__)))
        except DeviceError as error:
            is_there = "does not load" in str(error)
            checks.append(Check(flavor, BROKEN if is_there else ABSENT, str(error), install_line(flavor)))
    return checks


def _extras() -> list[Check]:
    checks = []
    for extra, distribution in _EXTRAS.items():
        version = version_of(distribution)
        name = f"extra {extra}"
        found = f"{distribution} {version}" if version else f"{distribution} is not installed"
        checks.append(Check(name, OK if version else ABSENT, found, "" if version else install_line(extra)))
    return checks


def _named_engines() -> list[Check]:
    try:
        names = models()
    except Pix2rtError as error:
        return [Check("engines", BROKEN, str(error))]
    return [Check("engines", OK, ", ".join(names))]


def _choices() -> list[Check]:
    """What "auto" takes for each engine that ships: they are opened."""
    checks = []
    for path in sorted(ASSETS.glob("*.onnx")):
        name = f"auto for {path.name.removesuffix('.onnx')}"
        try:
            engine = open_engine(path)
        except Pix2rtError as error:
            checks.append(Check(name, BROKEN, str(error), "install pix2rt again"))
            continue
        engine.close()
        checks.append(Check(name, OK, f"{engine.backend} on {engine.device}", "; ".join(engine.skipped)))
    return checks
