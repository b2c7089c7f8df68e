"""How the CUDA path calls the kernels: a driver that hands each launch, as it came, to the kernels on the host.

Only the driver and torch's questions about a GPU are stood in for; kernels, argument order and grids are real.
"""

import contextlib
import ctypes
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cuda_ext import cuda_launch, reference, sweep
from cuda_ext.geometry import Launch
from tests.cuda_ext.cases import cases
from tests.tolerances import PATCH_SWAP

SIGNATURES = {  # pointers, int32 sizes, pointers
    "patch_match": (2, 3, 1),
    "patch_match_split": (2, 4, 1),
    "patch_match_finish": (1, 1, 1),
    "patch_paste": (3, 3, 1),
    "patch_pack": (2, 4, 4),
    "patch_plan": (3, 3, 4),
    "patch_sweep_128": (7, 3, 1),
    "patch_sweep_64": (7, 3, 1),
}


class HostDriver:
    """`cuda.bindings.driver`, as far as launches go."""

    CUresult = SimpleNamespace(CUDA_SUCCESS=0)

    def __init__(self, kernels):
        self.kernels, self.launched = kernels, []

    def cuLaunchKernel(self, kernel, x, y, z, block_x, block_y, block_z, shared, stream, parameters, extra):  # noqa: N802
        assert (block_y, block_z, stream, extra) == (1, 1, 77, 0)
        before, sizes, after = SIGNATURES[kernel.removesuffix("_fp32").removesuffix("_fp16")]
        types = [ctypes.c_void_p] * before + [ctypes.c_int] * sizes + [ctypes.c_void_p] * after
        addresses = (ctypes.c_void_p * len(types)).from_address(parameters)
        values = [kind.from_address(at).value for kind, at in zip(types, addresses, strict=True)]
        self.launched.append(kernel)
        self.kernels.launch(Launch(kernel, (x, y, z), (), block_x, shared), values)
        return (0,)


@pytest.fixture
def driver(kernels, monkeypatch):
    driver = HostDriver(kernels)
    monkeypatch.setattr(cuda_launch, "_kernel", lambda device, name, shared: (driver, name))
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(cuda_launch, "_shared_limit", lambda device: 232448)
    cuda_launch._plan.cache_clear()
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=77))
    yield driver
    cuda_launch._plan.cache_clear()


def processors(monkeypatch, count):
    cuda_launch._plan.cache_clear()
    properties = SimpleNamespace(multi_processor_count=count)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)


@pytest.mark.parametrize("name", ["fp32", "fp16"])
@pytest.mark.parametrize("count", [1, 132])
def test_launches_give_the_reference(driver, monkeypatch, name, count):
    """One multiprocessor: a query's keys stay in one block; 132: they are split among blocks on the taller map."""
    processors(monkeypatch, count)
    dtype = {"fp32": torch.float32, "fp16": torch.float16}[name]
    tall = next((f, h) for f, h in cases(100) if f.shape[2] > 35 and f.shape[3] < 20 and 0 < (h != 0).mean() < 0.5)
    for features, hole in [*cases(4, (9, 12)), tall]:
        match = reference.patch_match(features, hole)
        given = torch.from_numpy(features).to(dtype).transpose(2, 3).contiguous().transpose(2, 3)
        there = torch.from_numpy(hole)
        np.testing.assert_array_equal(cuda_launch.launch_match(given, there).numpy(), match)
        output = cuda_launch.launch_paste(given, there, torch.from_numpy(match)).float().numpy()
        assert np.abs(output - reference.patch_paste(features, hole, match)).max() <= PATCH_SWAP[name]
    assert ("patch_match_split_fp32" in driver.launched) == (count == 132 and name == "fp32")
    assert driver.launched.count("patch_sweep_128_fp16") == 5 * (name == "fp16")


@pytest.mark.parametrize(("limit", "columns"), [(232448, 128), (101376, 64)])
def test_the_strip_fits_the_shared_memory(driver, monkeypatch, limit, columns):
    """Of a Hopper, and of a GPU with 99 KB; the emulator guards the end of what a launch asks for."""
    processors(monkeypatch, 2)
    monkeypatch.setattr(cuda_launch, "_shared_limit", lambda device: limit)
    features, hole = next((f, h) for f, h in cases(40, (9, 12)) if 0 < (h != 0).mean() < 0.5)
    found = cuda_launch.launch_match(torch.from_numpy(features).half(), torch.from_numpy(hole))
    np.testing.assert_array_equal(found.numpy(), reference.patch_match(features, hole))
    assert driver.launched[2] == f"patch_sweep_{columns}_fp16"
    assert sweep.shared_bytes(columns) <= limit


def test_a_hole_in_the_features_type_is_not_rounded(driver, monkeypatch):
    """What a smaller type would make zero stays missing; nothing is copied where the types are the same."""
    features = torch.zeros(1, 1, 4, 4, dtype=torch.float16)
    tiny = torch.full((1, 1, 4, 4), 1e-30)
    assert cuda_launch._as_features(tiny, features).bool().all()
    same = torch.full((1, 1, 4, 4), 6e-8, dtype=torch.float16)
    assert cuda_launch._as_features(same, features).data_ptr() == same.data_ptr()


def test_an_empty_batch_launches_nothing(driver, monkeypatch):
    processors(monkeypatch, 1)
    features, hole = torch.zeros(0, 3, 4, 4), torch.zeros(0, 1, 4, 4)
    match = cuda_launch.launch_match(features, hole)
    assert match.shape == (0, 4, 4)
    assert cuda_launch.launch_paste(features, hole, match).shape == (0, 3, 4, 4)
    assert driver.launched == []


def test_a_refused_launch_says_what_was_asked(driver, monkeypatch):
    processors(monkeypatch, 1)
    error = SimpleNamespace(name="CUDA_ERROR_UNSUPPORTED_PTX_VERSION")
    monkeypatch.setattr(driver, "cuLaunchKernel", lambda *arguments: (error,))
    with pytest.raises(RuntimeError, match="launch patch_match_fp32.*UNSUPPORTED_PTX_VERSION.*nvidia-cuda-nvrtc"):
        cuda_launch.launch_match(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))


def test_an_old_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "T4")
    with pytest.raises(RuntimeError, match=r"T4.*7\.5.*8\.0"):
        cuda_launch._module.__wrapped__(0)
