"""The forms of patch-swap agree: reference, torch operator, ONNX functions, CUDA kernels on the host."""

import numpy as np
import pytest
import torch
from onnx import TensorProto

from cuda_ext import gram_match, ops, reference, sweep
from tests.cuda_ext.cases import cases
from tests.cuda_ext.onnx_models import session, swap_model
from tests.tolerances import PATCH_SWAP

DYNAMIC = ("N", "C", "H", "W")


@pytest.fixture(scope="module")
def expected():
    """[(features, hole, match, output)] of the reference."""
    solved = []
    for features, hole in cases():
        match = reference.patch_match(features, hole)
        solved.append((features, hole, match, reference.patch_paste(features, hole, match)))
    return solved


def difference(output, expected_output):
    return np.abs(np.asarray(output, np.float32) - expected_output).max()


def test_the_cases_are_what_they_claim(expected):
    """Some have no hole, some no key, some ties between best keys; the largest size occurs."""
    assert sum(not hole.any() for _, hole, _, _ in expected) >= 3
    assert sum((hole != 0).all() for _, hole, _, _ in expected) >= 3
    assert sum((match >= 0).any() for _, _, match, _ in expected) >= 100
    assert {(1, 1), (40, 33)} <= {hole.shape[2:] for _, hole, _, _ in expected}


def test_torch_operator(expected):
    for features, hole, match, output in expected:
        arguments = torch.from_numpy(features), torch.from_numpy(hole)
        np.testing.assert_array_equal(ops.patch_match(*arguments).numpy(), match)
        assert difference(ops.patch_swap(*arguments), output) <= PATCH_SWAP["fp32"]


def test_torch_operator_in_small_tiles_on_threads(expected, monkeypatch):
    """Every map is cut into many tiles and steps, as only large ones are otherwise."""
    monkeypatch.setattr(gram_match, "QUERY_PIXELS", 60)
    monkeypatch.setattr(gram_match, "KEY_PIXELS", 40)
    monkeypatch.setattr(gram_match, "MAX_WIDTH", 11)
    monkeypatch.setattr(gram_match, "PARALLEL_PAIRS", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for features, hole, match, _ in expected[::5]:
            found = ops.patch_match(torch.from_numpy(features), torch.from_numpy(hole))
            np.testing.assert_array_equal(found.numpy(), match)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "dtype", "onnx_dtype"),
    [("fp32", np.float32, TensorProto.FLOAT), ("fp16", np.float16, TensorProto.FLOAT16)],
)
def test_onnx_functions(expected, name, dtype, onnx_dtype):
    runner = session(swap_model(DYNAMIC, onnx_dtype))
    for features, hole, match, output in expected:
        swapped, found = runner.run(None, {"features": features.astype(dtype), "hole": hole.astype(dtype)})
        assert swapped.dtype == dtype
        np.testing.assert_array_equal(found, match)
        assert difference(swapped, output) <= PATCH_SWAP[name]


def test_onnx_functions_in_many_chunks(expected):
    """Chunks of the smallest size, so that the outer loop runs often; otherwise only large maps need a second one."""
    model = swap_model(DYNAMIC)
    (wanted,) = (node for node in model.functions[0].node if node.output[0] == "wanted")
    assert list(wanted.attribute[0].t.int64_data) == [1664]
    wanted.attribute[0].t.int64_data[0] = 1
    runner = session(model)
    for features, hole, match, _ in expected[::4]:
        np.testing.assert_array_equal(runner.run(["output_match"], {"features": features, "hole": hole})[0], match)


SMALL = (17, 20)
WIDE = (1, 17, 7, 140)  # three strips of key columns, the last of them narrow; the 17 channels take a second step


def integers(shape, *box):
    """Features whose sums are exact, and a hole of rows top … bottom and columns left … right."""
    top, bottom, left, right = box
    hole = np.zeros((shape[0], 1, *shape[2:]), np.float32)
    hole[..., top:bottom, left:right] = 1
    return np.random.default_rng(0).integers(-2, 3, shape).astype(np.float32), hole


def kernel_cases():
    yield from cases(14, SMALL)
    yield integers(WIDE, 2, 4, 60, 66)
    yield integers((1, 70, 9, 16), 7, 9, 0, 16)  # three steps of channels in half precision, five in float32
    equal, hole = integers((1, 3, 9, 80), 0, 2, 0, 65)
    yield np.ones_like(equal), hole  # all keys tie, and the first lies in the second strip


SWEEP_CASES = {
    "more channels than stay in shared memory": ((1, 300, 7, 12), 2, 5, 3, 6),
    "as many as stay, two images": ((2, 256, 7, 11), 0, 3, 0, 4),
    "a strip more, keys left and right of the hole": ((1, 130, 8, 131), 3, 5, 60, 70),
    "nothing known beside the hole": ((1, 9, 12, 20), 4, 7, 0, 20),
}


@pytest.mark.parametrize("columns", sweep.COLUMNS)
@pytest.mark.parametrize("processors", [1, 3])
def test_sweep_on_the_host(kernels, columns, processors):
    """In float16, its rows shared by few or by many blocks, some of which have no work."""
    for features, hole in [*kernel_cases(), *(integers(*case) for case in SWEEP_CASES.values())]:
        found = kernels.sweep(features.astype(np.float16), hole, columns, processors)
        np.testing.assert_array_equal(found, reference.patch_match(features, hole))


@pytest.mark.parametrize(("name", "dtype"), [("fp32", np.float32), ("fp16", np.float16)])
def test_cuda_kernels_on_the_host(kernels, name, dtype):
    for number, (features, hole) in enumerate(kernel_cases()):
        match = reference.patch_match(features, hole)
        given = features.astype(dtype)
        np.testing.assert_array_equal(kernels.match(given, hole, splits=1 + number % 3), match)
        output = reference.patch_paste(features, hole, match)
        assert difference(kernels.paste(given, hole, match), output) <= PATCH_SWAP[name]


def test_matches_do_not_depend_on_the_features_size(expected, kernels):
    """A power of two changes no digit: down to norms of 1e-8 every form finds the same as in the features as given."""
    runner = session(swap_model(DYNAMIC, TensorProto.FLOAT))
    small = np.float32(2.0**-20)
    for features, hole, match, _ in expected[:40:3]:
        scaled = features * small
        np.testing.assert_array_equal(reference.patch_match(scaled, hole), match)
        found = ops.patch_match(torch.from_numpy(scaled), torch.from_numpy(hole)).numpy()
        np.testing.assert_array_equal(found, match)
        np.testing.assert_array_equal(runner.run(None, {"features": scaled, "hole": hole})[1], match)
    for features, hole in cases(6, SMALL):
        np.testing.assert_array_equal(kernels.match(features * small, hole), reference.patch_match(features, hole))


NOT_FINITE = (np.nan, np.inf, -np.inf, 1e37)  # the last one's square is not


def spoiled():
    """Features some of which are no numbers, and the same features with zeros in their place."""
    features, hole = next((f, h) for f, h in cases(40, SMALL) if min(f.shape[2:]) > 12 and 0 < h.mean() < 0.5)
    clean = features.copy()
    random = np.random.default_rng(1)
    for value in NOT_FINITE:
        at = tuple(random.integers(0, size, 6) for size in features.shape)
        features[at], clean[at] = value, 0
    return features, clean, hole


def test_what_is_not_finite_counts_as_zero_in_every_match(kernels):
    features, clean, hole = spoiled()
    match = reference.patch_match(clean, hole)
    assert (match >= 0).any()
    found = {
        "reference": reference.patch_match(features, hole),
        "operator": ops.patch_match(torch.from_numpy(features), torch.from_numpy(hole)).numpy(),
        "onnx": session(swap_model(DYNAMIC)).run(["output_match"], {"features": features, "hole": hole})[0],
        "kernel": kernels.match(features, hole),
        "half kernel": kernels.match(np.where(features > 1e30, np.inf, features).astype(np.float16), hole),
        "sweep": kernels.sweep(np.where(features > 1e30, np.inf, features).astype(np.float16), hole, 64, 2),
    }
    for name, result in found.items():
        np.testing.assert_array_equal(result, match, name)


def test_paste_copies_what_is_not_finite(kernels):
    features, clean, hole = spoiled()
    match = reference.patch_match(clean, hole)
    expected_output = reference.patch_paste(features, hole, match)
    assert not np.isfinite(expected_output).all()
    arguments = torch.from_numpy(features), torch.from_numpy(hole), torch.from_numpy(match)
    feeds = {"features": features, "hole": hole}
    for output in (
        ops.patch_paste(*arguments).numpy(),
        session(swap_model(DYNAMIC)).run(["output"], feeds)[0],
        kernels.paste(features, hole, match),
    ):
        np.testing.assert_allclose(output, expected_output, rtol=1e-6, atol=PATCH_SWAP["fp32"])
