"""The CUDA kernels where a GPU is: `python -m pytest -m gpu tests/cuda_ext -rA -n 0`, also under compute-sanitizer."""

import numpy as np
import pytest
import torch

from cuda_ext import bench_gpu, reference
from cuda_ext.bench_forms import Problem
from cuda_ext.ops import patch_match, patch_paste, patch_swap
from tests.cuda_ext.cases import cases
from tests.tolerances import PATCH_SWAP

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="this torch has no CUDA; runs where a CUDA build and a GPU are"
    ),
]
DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


@pytest.mark.parametrize("name", DTYPES)
def test_the_gpu_finds_the_matches_of_the_reference(name):
    for features, hole in cases():
        given = torch.from_numpy(features).to("cuda", DTYPES[name])
        hole_there = torch.from_numpy(hole).cuda()
        match = reference.patch_match(features, hole)
        np.testing.assert_array_equal(patch_match(given, hole_there).cpu().numpy(), match)
        output = patch_paste(given, hole_there, torch.from_numpy(match).cuda()).float().cpu().numpy()
        assert np.abs(output - reference.patch_paste(features, hole, match)).max() <= PATCH_SWAP[name]


def test_a_large_map_is_split_among_blocks():
    """Small integers, so that sums stay exact: the CPU's matches are the GPU's."""
    random = torch.Generator().manual_seed(0)
    features = torch.randint(-2, 3, (1, 64, 128, 128), generator=random).float()
    hole = torch.zeros(1, 1, 128, 128)
    hole[..., 32:96, 32:96] = 1
    expected = patch_match(features, hole)
    for dtype in DTYPES.values():
        assert torch.equal(patch_match(features.to("cuda", dtype), hole.cuda()).cpu(), expected)


def test_gradients_and_streams():
    features = torch.randn(1, 8, 24, 24, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(1, 1, 24, 24)
    hole[..., 8:14, 8:14] = 1
    gradients = []
    for device in ("cpu", "cuda"):
        watched = features.detach().to(device).requires_grad_()  # a leaf on either device
        with torch.cuda.stream(torch.cuda.Stream()):
            patch_swap(watched, hole.to(device)).square().sum().backward()
            torch.cuda.current_stream().synchronize()
        gradients.append(watched.grad.cpu())
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="torch.float64 on CUDA"):
        patch_match(torch.zeros(1, 1, 4, 4, device="cuda", dtype=torch.float64), torch.zeros(1, 1, 4, 4, device="cuda"))


def test_the_benchmark_compares_both_precisions():
    report = bench_gpu.measure("cuda", Problem(24, 24, 16, 8), 1, lambda: None)
    assert report["device"] == torch.cuda.get_device_name()
    assert {name: set(forms) for name, forms in report["forms"].items()} == {
        name: {"convolution", "operator"} for name in ("fp16", "fp32")
    }
