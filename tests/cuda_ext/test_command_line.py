"""python -m cuda_ext."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cuda_ext import bench_gpu, tables
from cuda_ext.bench import measure
from cuda_ext.bench_forms import FORMS, Problem
from tests.paths import ROOT
from tests.tolerances import PATCH_SWAP


def cuda_ext(*arguments, expect=0):
    command = [sys.executable, "-m", "cuda_ext", *map(str, arguments)]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", timeout=300, check=False
    )
    assert result.returncode == expect, result.stderr
    assert "Traceback" not in result.stderr
    return result


def test_bench_compares_the_forms(tmp_path):
    path = tmp_path / "report.json"
    sizes = ("--size", "20x24", "--channels", 8, "--hole", 6, "--threads", 1, "--runs", 2)
    printed = cuda_ext("bench", *sizes, "--json", path).stdout
    assert "torch operator" in printed
    report = json.loads(path.read_text())
    assert report["problem"] == {"height": 20, "width": 24, "channels": 8, "hole": 6, "seed": 0}
    assert report["forms"].keys() == FORMS.keys()
    assert report["largest_difference"] <= PATCH_SWAP["fp32"]
    for form, figures in report["forms"].items():
        assert len(figures["times_s"]) == 2
        assert figures["seconds"] > 0
        assert form != "convolution" or figures["ratio"] == 1


def test_bench_for_a_gpu_compares_the_kernels_with_the_convolutions():
    """The procedure, on the CPU: every form is called as often as the report says, and the table shows all of it."""
    ticks = []
    report = bench_gpu.measure("cpu", Problem(20, 24, 8, 6), 3, lambda: ticks.append(0))
    assert len(ticks) == 3
    assert list(report["forms"]) == ["fp32"]
    for form, figures in report["forms"]["fp32"].items():
        assert figures["alone_ms"] > 0 < figures["back_to_back_ms"]
        assert form != "convolution" or figures["alone_ratio"] == figures["back_to_back_ratio"] == 1
    table = tables.of_gpu(json.loads(json.dumps(report)))
    assert table.row_count == 2
    assert table.title == "patch-swap, 20×24×8, hole 6×6, cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_bench_without_a_gpu_exits_with_1():
    assert "no CUDA GPU" in cuda_ext("bench", "--device", "cuda", expect=1).stderr


def test_the_work_is_counted():
    """Worked out by hand: 10×12 pixels, hole 4×4, so 6×6 queries, 8×10 − 36 keys, 8×8 query pixels, 104 known ones."""
    problem = Problem(10, 12, 5, 4)
    assert problem.scores_mb == pytest.approx(36 * 44 * 4 / 1e6)
    assert problem.gram_gflop == pytest.approx(2 * 5 * 64 * 104 / 1e9)


def test_ptx_writes_a_file(tmp_path):
    pytest.importorskip("cuda.bindings.nvrtc", reason="NVRTC is not installed; runs with pix2rt[cuda]")
    cuda_ext("ptx", "-o", tmp_path / "kernels.ptx")
    assert ".entry patch_match_fp32" in (tmp_path / "kernels.ptx").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_exits_with_1():
    sizes = ("--size", "20x24", "--channels", 8, "--hole", 6, "--threads", 1, "--runs", 1)
    assert "No space left" in cuda_ext("bench", *sizes, "--json", "/dev/full", expect=1).stderr


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is told on Linux")
def test_memory_is_a_forms_own():
    """The convolution form stores scores and one-hot winners of all pairs, the operator neither; in any order.

    Of the two matrices some pages may lie in memory that the allocator kept from before.
    """
    problem, threads = Problem(64, 64, 16, 32), torch.get_num_threads()
    for _ in range(2):
        forms = measure(problem, 1, threads, lambda: None)["forms"]
        assert forms["convolution"]["extra_mb"] > 1.5 * problem.scores_mb
        assert forms["operator"]["extra_mb"] < problem.scores_mb


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("bench", "--size", "128"), "128x128"),
        pytest.param(("bench", "--size", "16x16", "--hole", "14"), "at most 12", marks=pytest.mark.nightly),
        (("bench", "--json", "nowhere/report.json"), "not a folder"),
        pytest.param(("ptx", "-o", "nowhere/kernels.ptx"), "not a folder", marks=pytest.mark.nightly),
        pytest.param(("resources", "--json", "nowhere/report.json"), "not a folder", marks=pytest.mark.nightly),
    ],
)
def test_bad_input_exits_with_2(arguments, part):
    assert part in " ".join(cuda_ext(*arguments, expect=2).stderr.replace("│", " ").split())
