"""The library compiled with sanitizers: no byte read or written beyond its block, nothing undefined, no data race."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

SOURCES = ROOT / "runtime/native/src"
COMPILER = shutil.which("gcc") or shutil.which("clang")
IS_X86 = platform.machine() in ("x86_64", "AMD64")
pytestmark = pytest.mark.skipif(
    not COMPILER or not sys.platform.startswith("linux"), reason="needs gcc or clang on Linux"
)


def compile_objects(folder, level, flags):
    """Objects of the whole library."""
    sets = {"GENERIC": []}
    if IS_X86:
        sets |= {"AVX2": ["-mavx2", "-mfma"], "AVX512": ["-mavx512f", "-mfma"]}
    common = [COMPILER, "-std=c11", "-D_GNU_SOURCE", level, "-g", "-fPIC", *flags]
    objects, have = [], []
    for name, extra in sets.items():
        objects.append(folder / f"{name}.o")
        command = [*common, *extra, f"-DP2R_ISA_{name}", "-c", SOURCES / "kernels.c", "-o", objects[-1]]
        subprocess.run(command, check=True, timeout=120)
        have.append(f"-DP2R_HAVE_{name}")
    for name in ("library", "pool"):
        objects.append(folder / f"{name}.o")
        subprocess.run([*common, *have, "-c", SOURCES / f"{name}.c", "-o", objects[-1]], check=True, timeout=120)
    return objects


def runtime_library(name):
    found = subprocess.run(
        [COMPILER, f"-print-file-name={name}"], capture_output=True, text=True, check=True, timeout=30
    )
    path = Path(found.stdout.strip())
    if not path.is_absolute():
        pytest.skip(f"{COMPILER} has no {name}")
    return str(path)


def test_no_byte_beyond_and_nothing_undefined(tmp_path):
    preload = f"{runtime_library('libasan.so')}:{runtime_library('libubsan.so')}"
    flags = ["-fsanitize=address,undefined", "-fno-sanitize=alignment", "-fno-sanitize-recover=undefined"]
    objects = compile_objects(tmp_path, "-O0", flags)
    library = tmp_path / "sanitized.so"
    subprocess.run([COMPILER, "-shared", *flags, *objects, "-o", library, "-lm", "-lpthread"], check=True, timeout=60)
    environment = {
        **os.environ,
        "LD_PRELOAD": preload,
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONPATH": str(ROOT),
        "PYTHONMALLOC": "malloc",
    }
    result = subprocess.run(
        [sys.executable, "-m", "tests.runtime.native.sanitized", library, "25"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    assert result.stdout.strip() == "all clean"


@pytest.mark.nightly
def test_no_data_race(tmp_path):
    runtime_library("libtsan.so")
    flags = ["-fsanitize=thread"]
    objects = compile_objects(tmp_path, "-O1", flags)
    program = tmp_path / "threads"
    source = Path(__file__).with_name("threads.c")
    link = [*objects, source, "-o", program, "-lm", "-lpthread"]
    subprocess.run([COMPILER, "-std=c11", "-O1", "-g", *flags, "-I", SOURCES, *link], check=True, timeout=60)
    # Without address randomisation where that can be asked for: older runtimes of the sanitizer need it.
    prefix = [shutil.which("setarch"), "-R"] if shutil.which("setarch") else []
    result = subprocess.run([*prefix, program], capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    assert result.stdout.strip() == "0 failures"
