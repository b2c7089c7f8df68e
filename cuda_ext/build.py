"""PTX of the kernels in csrc/common: compiled by NVRTC once per architecture, then kept in the user's cache folder."""

import hashlib
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent / "csrc" / "common"
ARCHITECTURE = "compute_80"  # PTX for it runs on every later GPU; tensor cores take mma.m16n8k16 from there on
MINIMUM_CAPABILITY = (8, 0)
_OPTIONS = ("--std=c++17",)


def ptx(architecture: str = ARCHITECTURE) -> bytes:
    """PTX of every kernel, zero-terminated text.

    Args:
        architecture: a virtual architecture such as "compute_90", 8.0 or later.

    Raises:
        RuntimeError: NVRTC is not installed, or refuses the architecture.
    """
    path = cache_folder() / f"patch_swap-{architecture}-{_key(architecture)}.ptx"
    with suppress(OSError):
        return path.read_bytes()
    compiled = _compile(architecture)
    with suppress(OSError):  # a read-only home costs a compilation per process, nothing else
        _write(path, compiled)
    return compiled


def cache_folder() -> Path:
    """Where PTX is kept: `pix2rt` in the platform's cache folder."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pix2rt"


def _key(architecture: str) -> str:
    """Changes with the sources, the options and the compiler."""
    digest = hashlib.sha256()
    for part in (architecture, *_OPTIONS, *map(str, _nvrtc_version())):
        digest.update(f"{part}\0".encode())
    for path in sorted(SOURCES.iterdir()):
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _write(path: Path, content: bytes) -> None:
    """All or nothing: another process may read or write the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _nvrtc() -> Any:
    try:
        from cuda.bindings import nvrtc

        nvrtc.nvrtcVersion()  # finds libnvrtc, or does not
    except Exception as error:  # the loader raises types of its own
        raise RuntimeError(
            f"NVRTC, which compiles the patch-swap kernels, is not there ({str(error).splitlines()[0]}); install it "
            "with `pip install pix2rt[cuda]`"
        ) from error
    return nvrtc


def _nvrtc_version() -> tuple[int, int]:
    _, major, minor = _nvrtc().nvrtcVersion()
    return major, minor


def _compile(architecture: str) -> bytes:
    nvrtc = _nvrtc()
    source = (SOURCES / "patch_swap.cu").read_bytes()
    headers = sorted(SOURCES.glob("*.cuh"))
    error, program = nvrtc.nvrtcCreateProgram(
        source, b"patch_swap.cu", len(headers), [p.read_bytes() for p in headers], [p.name.encode() for p in headers]
    )
    _require(nvrtc, error, architecture)
    try:
        options = [option.encode() for option in (f"--gpu-architecture={architecture}", *_OPTIONS)]
        (error,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        _require(nvrtc, error, architecture, _log(nvrtc, program))
        _, size = nvrtc.nvrtcGetPTXSize(program)
        result = bytearray(size)
        (error,) = nvrtc.nvrtcGetPTX(program, result)
        _require(nvrtc, error, architecture)
    finally:
        nvrtc.nvrtcDestroyProgram(program)
    return bytes(result)


def _log(nvrtc: Any, program: object) -> str:
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    log = bytearray(size)
    nvrtc.nvrtcGetProgramLog(program, log)
    return log.rstrip(b"\0").decode(errors="replace").strip()


def _require(nvrtc: Any, error: object, architecture: str, log: str = "") -> None:
    if error != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(
            f"NVRTC {'.'.join(map(str, _nvrtc_version()))} cannot compile the patch-swap kernels for {architecture!r} "
            f"({error}): {log or 'no log'}; architectures are named compute_80, compute_90, …"
        )
