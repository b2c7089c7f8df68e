"""How the CUDA path calls the kernels: a driver that hands each launch, as it came, to the kernels on the host.

Only the driver and torch's questions about a GPU are stood in for; kernels, argument order and grids are real.
"""

import contextlib
import ctypes
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cuda_ext import cuda_launch, reference
from tests.cuda_ext.cases import cases
from tests.tolerances import PATCH_SWAP

INTS, POINTERS = ctypes.c_int, ctypes.c_void_p
MATCH = [POINTERS, POINTERS, INTS, INTS, INTS, POINTERS]
SIGNATURES = {
    "match": MATCH,
    "match_split": [*MATCH[:-1], INTS, POINTERS],
    "match_finish": [POINTERS, INTS, POINTERS],
    "paste": [POINTERS, *MATCH],
}


class HostDriver:
    """`cuda.bindings.driver`, as far as launches go."""

    CUresult = SimpleNamespace(CUDA_SUCCESS=0)

    def __init__(self, kernels):
        self.kernels, self.launched = kernels, []

    def cuLaunchKernel(self, kernel, x, y, z, block_x, block_y, block_z, shared, stream, parameters, extra):  # noqa: N802
        assert (block_x, block_y, block_z, shared, stream, extra) == (256, 1, 1, 0, 77, 0)
        name = kernel.removeprefix("patch_").removesuffix("_fp32").removesuffix("_fp16")
        types = SIGNATURES[name]
        addresses = (ctypes.c_void_p * len(types)).from_address(parameters)
        values = [kind.from_address(at).value for kind, at in zip(types, addresses, strict=True)]
        self.launched.append(kernel)
        self.kernels.launch(kernel, (x, y, z), values)
        return (0,)


@pytest.fixture
def driver(kernels, monkeypatch):
    driver = HostDriver(kernels)
    monkeypatch.setattr(cuda_launch, "_kernel", lambda device, name: (driver, name))
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=77))
    return driver


def processors(monkeypatch, count):
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
    assert (f"patch_match_split_{name}" in driver.launched) == (count == 132)
    assert ("patch_match_finish" in driver.launched) == (count == 132)


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
