"""PTX of the kernels: by NVRTC into the cache, by nvcc where it is; no GPU needed."""

import re
import shutil
import subprocess
import sys
import threading

import pytest

from cuda_ext import build, geometry, sweep
from tests.paths import copy_folder

ENTRIES = {
    "patch_match_fp32",
    "patch_match_fp16",
    "patch_match_split_fp32",
    "patch_match_split_fp16",
    "patch_match_finish",
    "patch_paste_fp32",
    "patch_paste_fp16",
    "patch_pack_fp16",
    "patch_plan_fp16",
    "patch_sweep_128_fp16",
    "patch_sweep_64_fp16",
}
SHARED_LIMIT = 48 * 1024  # what a block may have without asking


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of our own, on every system."""
    folder = tmp_path / "cache"
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(folder))
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def nvrtc():
    return pytest.importorskip("cuda.bindings.nvrtc", reason="NVRTC is not installed; runs with pix2rt[cuda]")


def entries(ptx):
    return set(re.findall(r"\.entry (\w+)\(", ptx))


def test_nvrtc_makes_ptx_of_every_kernel(nvrtc):
    ptx = build.ptx().rstrip(b"\0").decode()
    assert ".target sm_80" in ptx
    assert entries(ptx) == ENTRIES
    for kernel, instructions in {
        "patch_match_fp16": ["mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"],
        "patch_sweep_128_fp16": ["mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "ldmatrix.sync", "cp.async.cg"],
    }.items():
        text = ptx[ptx.index(f".entry {kernel}") :]
        assert all(instruction in text[: text.index("\n}")] for instruction in instructions)


def test_ptx_for_another_architecture(nvrtc):
    assert b".target sm_90" in build.ptx("compute_90")


def test_the_second_call_reads_the_cache(nvrtc, cache, monkeypatch):
    first = build.ptx()
    (path,) = cache.rglob("*.ptx")
    assert path.read_bytes() == first
    monkeypatch.setattr(build, "_compile", lambda architecture: pytest.fail("compiled again"))
    assert build.ptx() == first


def test_changed_sources_are_compiled_again(nvrtc, tmp_path, monkeypatch):
    build.ptx()
    sources = tmp_path / "sources"
    copy_folder(build.SOURCES, sources)
    (sources / "device.cuh").open("a").write("// changed\n")
    monkeypatch.setattr(build, "SOURCES", sources)
    monkeypatch.setattr(build, "_compile", lambda architecture: b"again")
    assert build.ptx() == b"again"


def test_all_that_changes_ptx_changes_its_name(tmp_path, monkeypatch):
    """Sources, options, architecture and compiler: a cache must not give what another version of it made."""
    monkeypatch.setattr(build, "_nvrtc_version", lambda: (13, 0))
    names = [build._key("compute_80"), build._key("compute_90")]
    for version in ((13, 1), (12, 0)):
        with monkeypatch.context() as patch:
            patch.setattr(build, "_nvrtc_version", lambda version=version: version)
            names.append(build._key("compute_80"))
    with monkeypatch.context() as patch:
        patch.setattr(build, "_OPTIONS", (*build._OPTIONS, "--use_fast_math"))
        names.append(build._key("compute_80"))
    copy_folder(build.SOURCES, tmp_path / "sources")
    with (tmp_path / "sources" / "tile.cuh").open("a") as stream:
        stream.write("\n// changed")
    monkeypatch.setattr(build, "SOURCES", tmp_path / "sources")
    names.append(build._key("compute_80"))
    assert len(set(names)) == len(names) == 6


def test_many_at_once_leave_one_whole_file(nvrtc, cache):
    results = []
    threads = [threading.Thread(target=lambda: results.append(build.ptx())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results)) == 1
    assert [path.read_bytes() for path in cache.rglob("*.*")] == results[:1]


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such permission there")
def test_a_cache_that_cannot_be_written_does_not_matter(nvrtc, cache):
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text("a file where the folder should be")
    assert entries(build.ptx().decode()) == ENTRIES


def test_an_unknown_architecture_is_named(nvrtc):
    with pytest.raises(RuntimeError, match="compute_10.*compute_80"):
        build.ptx("compute_10")


def test_without_nvrtc_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(RuntimeError, match=r"NVRTC.*pip install pix2rt\[cuda\]"):
        build.ptx()


def test_nvcc_compiles_to_machine_code(tmp_path):
    """What ptxas finds: registers spilled to memory, and shared memory beyond what a launch gets unasked."""
    if not shutil.which("nvcc"):
        pytest.skip("no nvcc; runs where the CUDA toolkit is")
    command = ["nvcc", "-std=c++17", "-arch=sm_80", "-cubin", "-Xptxas=-v,-warn-spills", "-Werror=all-warnings"]
    command += ["-o", str(tmp_path / "k.cubin"), str(build.SOURCES / "patch_swap.cu")]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert set(re.findall(r"Compiling entry function '(\w+)'", result.stderr)) == ENTRIES
    assert set(re.findall(r"(\d+) bytes spill", result.stderr)) == {"0"}
    assert max(int(size) for size in re.findall(r"(\d+) bytes smem", result.stderr)) <= SHARED_LIMIT
    registers = [int(number) for number in re.findall(r"Used (\d+) registers", result.stderr)]
    assert max(registers) * geometry.THREADS <= 65536  # a multiprocessor's


def test_python_and_cuda_state_the_same_tile():
    tile = (build.SOURCES / "tile.cuh").read_text()
    constants = dict(re.findall(r"constexpr int (\w+) = (\d+);", tile))
    assert int(constants["kThreads"]) == geometry.THREADS
    assert (int(constants["kTileHeight"]), int(constants["kTileWidth"])) == (geometry.TILE_HEIGHT, geometry.TILE_WIDTH)
    sizes = (build.SOURCES / "sweep_sizes.cuh").read_text()
    assert f"kChunk = {sweep.CHUNK};" in sizes
    assert f"kBands = {sweep.BANDS};" in sizes
    assert "kStages[2] = {{{}, {}}};".format(*sweep.STAGES) in sizes
    assert "kQuerySlots[2] = {{{}, {}}};".format(*sweep.QUERY_SLOTS) in sizes
    assert f"kPackPixels = {sweep.PACK_PIXELS};" in (build.SOURCES / "pack.cuh").read_text()
    paste = (build.SOURCES / "patch_paste.cuh").read_text()
    assert f"kPasteChannels = {geometry.PASTE_CHANNELS};" in paste
