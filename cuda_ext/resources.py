"""What each kernel takes of a multiprocessor: the PTX that every GPU gets, compiled for many by ptxas."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TypedDict

from cuda_ext import build, sweep

ARCHITECTURES = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
_ENTRY = re.compile(
    r"Compiling entry function '(?P<kernel>\w+)'.*?(?P<stack>\d+) bytes stack frame, "
    r"(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads.*?"
    r"Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)


class Resources(TypedDict):
    """Of one kernel: a thread's registers, stack, spill loads and stores; a block's shared memory, own and launched."""

    registers: int
    stack_bytes: int
    spill_bytes: int
    shared_bytes: int
    launched_shared_bytes: int


class Report(TypedDict):
    """`kernels` is by architecture, then by entry point; other compilers than `compiler` may find other numbers."""

    compiler: str
    kernels: dict[str, dict[str, Resources]]


def measure(architectures: tuple[str, ...] = ARCHITECTURES) -> Report:
    """Compile every kernel for `architectures` such as "sm_90".

    Raises:
        RuntimeError: nvcc or ptxas is not there, or refuses the sources or an architecture.
    """
    with tempfile.TemporaryDirectory() as folder:
        ptx = Path(folder) / "patch_swap.ptx"
        source = build.SOURCES / "patch_swap.cu"
        _run("nvcc", "-std=c++17", f"-arch={build.ARCHITECTURE}", "-ptx", "-o", str(ptx), str(source))
        cubin = str(Path(folder) / "patch_swap.cubin")
        logs = {name: _run("ptxas", "-v", f"-arch={name}", "-o", cubin, str(ptx)) for name in architectures}
    return {"compiler": compiler(), "kernels": {name: _kernels(log) for name, log in logs.items()}}


def compiler() -> str:
    """Such as "ptxas 13.0.88"."""
    version = re.search(r"\bV([\d.]+)", _run("ptxas", "--version"))
    return f"ptxas {version[1] if version else 'of unknown version'}"


def _kernels(log: str) -> dict[str, Resources]:
    launched = {f"patch_sweep_{columns}_fp16": sweep.shared_bytes(columns) for columns in sweep.COLUMNS}
    found: dict[str, Resources] = {}
    for entry in sorted(_ENTRY.finditer(log), key=lambda entry: entry["kernel"]):
        shared = re.search(r"(\d+) bytes smem", entry["rest"])
        found[entry["kernel"]] = {
            "registers": int(entry["registers"]),
            "stack_bytes": int(entry["stack"]),
            "spill_bytes": int(entry["stores"]) + int(entry["loads"]),
            "shared_bytes": int(shared[1]) if shared else 0,
            "launched_shared_bytes": launched.get(entry["kernel"], 0),
        }
    return found


def _run(tool: str, *arguments: str) -> str:
    """What the tool prints; ptxas prints its findings where others print errors."""
    path = shutil.which(tool)
    if not path:
        raise RuntimeError(f"{tool} is not on the PATH; install the CUDA toolkit, 12.8 or later for sm_120")
    result = subprocess.run(
        [path, *arguments], capture_output=True, encoding="utf-8", errors="replace", timeout=300, check=False
    )
    if result.returncode:
        raise RuntimeError(f"{tool} {' '.join(arguments)} fails: {(result.stderr or result.stdout).strip()}")
    return result.stdout + result.stderr
