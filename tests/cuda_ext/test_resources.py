"""Registers, spills and shared memory of the kernels, against resources.json of `python -m cuda_ext resources`."""

import json
import shutil
from pathlib import Path

import pytest

from cuda_ext import geometry, resources, sweep
from tests.cuda_ext.test_build import ENTRIES, SHARED_LIMIT
from tests.cuda_ext.test_command_line import cuda_ext

COMMITTED = Path(__file__).with_name("resources.json")
REGISTERS = 65536  # of a multiprocessor
# KB of shared memory that a block may have.
LARGEST_BLOCK = {
    "sm_80": 163,
    "sm_86": 99,
    "sm_89": 99,
    "sm_90": 227,
    "sm_100": 227,
    "sm_120": 99,
}


@pytest.fixture(scope="module")
def report():
    for tool in ("nvcc", "ptxas"):
        if not shutil.which(tool):
            pytest.skip(f"no {tool}; runs where the CUDA toolkit is")
    return resources.measure()


def committed():
    return json.loads(COMMITTED.read_text(encoding="utf-8"))


def test_the_compiler_finds_what_is_committed(report):
    if report["compiler"] != committed()["compiler"]:
        pytest.skip(f"numbers are those of {committed()['compiler']}, here is {report['compiler']}")
    assert report == committed()


@pytest.mark.parametrize("source", ["committed", "compiled"])
def test_every_kernel_fits_every_gpu(source, request):
    """Nothing spilled, no stack; a block gets its registers, and shared memory for the strip that the GPU takes."""
    kernels = (committed() if source == "committed" else request.getfixturevalue("report"))["kernels"]
    assert kernels.keys() == set(resources.ARCHITECTURES) == set(LARGEST_BLOCK)
    for architecture, found in kernels.items():
        assert found.keys() == ENTRIES
        taken = f"patch_sweep_{sweep.columns_for(LARGEST_BLOCK[architecture] * 1024)}_fp16"
        for kernel, figures in found.items():
            assert figures["spill_bytes"] == figures["stack_bytes"] == 0, (architecture, kernel)
            assert figures["shared_bytes"] <= SHARED_LIMIT
            assert kernel != taken or figures["launched_shared_bytes"] <= LARGEST_BLOCK[architecture] * 1024
            assert figures["registers"] * threads(kernel) <= REGISTERS


def threads(kernel):
    return 2 * sweep.BANDS * int(kernel.split("_")[2]) if "sweep" in kernel else geometry.THREADS


def test_spills_are_read_from_the_log():
    log = """ptxas info    : Compiling entry function 'patch_sweep_64_fp16' for 'sm_120'
ptxas info    : Function properties for patch_sweep_64_fp16
    24 bytes stack frame, 32 bytes spill stores, 28 bytes spill loads
ptxas info    : Used 128 registers, used 1 barriers, 24 bytes cumulative stack size
ptxas info    : Compiling entry function 'patch_pack_fp16' for 'sm_120'
ptxas info    : Function properties for patch_pack_fp16
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 48 registers, used 1 barriers, 8448 bytes smem
"""
    found = resources._kernels(log)
    assert list(found) == ["patch_pack_fp16", "patch_sweep_64_fp16"]
    assert list(found["patch_pack_fp16"].values()) == [48, 0, 0, 8448, 0]
    assert list(found["patch_sweep_64_fp16"].values()) == [128, 24, 60, 0, sweep.shared_bytes(64)]


def test_the_command_prints_and_writes(report, tmp_path):
    printed = cuda_ext("resources", "--architecture", "sm_90", "--json", tmp_path / "r.json").stdout
    assert "patch_sweep_128_fp16" in printed
    assert json.loads((tmp_path / "r.json").read_text()) == {
        "compiler": report["compiler"],
        "kernels": {"sm_90": report["kernels"]["sm_90"]},
    }


def test_an_unknown_gpu_is_named(report):
    with pytest.raises(RuntimeError, match="sm_8000"):
        resources.measure(("sm_8000",))


def test_without_the_toolkit_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(RuntimeError, match=r"nvcc is not on the PATH.*CUDA toolkit"):
        resources.measure()
