"""The torch operators: registration, gradients, arguments of every kind, memory."""

import numpy as np
import pytest
import torch

from cuda_ext import reference
from cuda_ext.bench import first_run
from cuda_ext.bench_forms import FORMS, Problem
from cuda_ext.ops import patch_match, patch_paste, patch_paste_adjoint, patch_swap

OPERATORS = torch.ops.pix2rt


@pytest.fixture
def features():
    return torch.randn((2, 3, 12, 9), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def hole():
    hole = torch.zeros(2, 1, 12, 9)
    hole[0, :, 3:7, 3:6] = 1
    hole[1, :, 8:, :2] = 1  # at a border
    return hole


@pytest.mark.parametrize("device_type", ["cpu"])
def test_opcheck(features, hole, device_type):
    match = patch_match(features, hole)
    watched = features.clone().requires_grad_()
    torch.library.opcheck(OPERATORS.patch_match.default, (features, hole))
    torch.library.opcheck(OPERATORS.patch_paste.default, (watched, hole, match))
    torch.library.opcheck(OPERATORS.patch_paste_adjoint.default, (watched, hole, match))
    torch.library.opcheck(OPERATORS.patch_swap.default, (watched, hole))


def test_gradients_of_every_order(features, hole):
    features, hole = features[:1, :1, :9], hole[:1, :, :9]
    match = patch_match(features, hole)
    watched = features.double().requires_grad_()
    for operator in (patch_paste, patch_paste_adjoint):
        assert torch.autograd.gradcheck(lambda x, operator=operator: operator(x, hole, match), watched)
        assert torch.autograd.gradgradcheck(lambda x, operator=operator: operator(x, hole, match), watched)


def test_gradient_of_swap_reaches_copied_and_kept_values(features, hole):
    watched = features.clone().requires_grad_()
    patch_swap(watched, hole).sum().backward()
    missing = hole.expand_as(features) != 0
    assert (watched.grad[missing] == 0).all()
    assert (watched.grad[~missing] >= 1).all()
    np.testing.assert_allclose(watched.grad.sum(), features.numel(), rtol=1e-6)  # each output value is a mean of inputs


def test_the_adjoint_is_the_transpose(features, hole):
    match = patch_match(features, hole)
    other = torch.randn(features.shape, generator=torch.Generator().manual_seed(1))
    forward = (patch_paste(features, hole, match) * other).sum()
    backward = (features * patch_paste_adjoint(other, hole, match)).sum()
    torch.testing.assert_close(forward, backward)


def test_the_match_has_no_gradient(features, hole):
    assert not patch_match(features.requires_grad_(), hole).requires_grad


def test_a_batch_equals_its_images(features, hole):
    singles = [patch_swap(features[i : i + 1], hole[i : i + 1]) for i in range(2)]
    assert torch.equal(patch_swap(features, hole), torch.cat(singles))


def test_an_empty_batch(features, hole):
    assert patch_swap(features[:0], hole[:0]).shape == (0, 3, 12, 9)
    assert patch_match(features[:0], hole[:0]).shape == (0, 12, 9)


@pytest.mark.parametrize("layout", ["channels_last", "transposed", "strided"])
def test_layouts_do_not_matter(features, hole, layout):
    expected = patch_swap(features, hole)
    changed = {
        "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
        "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
        "strided": lambda x: torch.stack([x, -x], dim=-1)[..., 0],
    }[layout]
    assert torch.equal(patch_swap(changed(features), changed(hole)), expected)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float64])
def test_any_real_hole(features, hole, dtype):
    assert torch.equal(patch_swap(features, hole.to(dtype)), patch_swap(features, hole))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types(features, hole, dtype):
    given = features.to(dtype)
    match = patch_match(given, hole)
    np.testing.assert_array_equal(match.numpy(), reference.patch_match(given.float().numpy(), hole.numpy()))
    output = patch_paste(given, hole, match)
    assert output.dtype == dtype
    expected = reference.patch_paste(given.double().numpy(), hole.numpy(), match.numpy())
    np.testing.assert_allclose(output.double(), expected, atol=8 * torch.finfo(dtype).eps)


def test_real_valued_features_match_as_in_the_reference():
    """Sums round differently: where another key is found, the two scores are equal but for that."""
    random = np.random.default_rng(0)
    features = random.standard_normal((1, 24, 40, 33)).astype(np.float32)
    hole = np.zeros((1, 1, 40, 33), np.float32)
    hole[..., 10:25, 8:20] = 1
    found = patch_match(torch.from_numpy(features), torch.from_numpy(hole)).numpy()
    expected = reference.patch_match(features, hole)
    padded = np.pad(features[0], ((0, 0), (1, 1), (1, 1))).astype(np.float64)

    def patch(index):
        y, x = divmod(int(index), 33)
        return padded[:, y : y + 3, x : x + 3].ravel()

    for query in np.flatnonzero(found != expected):
        scores = [patch(query) @ patch(m.flat[query]) / np.linalg.norm(patch(m.flat[query])) for m in (found, expected)]
        assert abs(scores[0] - scores[1]) <= 1e-5 * abs(scores[1])
    assert (found != expected).mean() < 0.01


def test_no_hole_and_no_key_give_the_features_back(features):
    for hole in (torch.zeros(2, 1, 12, 9), torch.ones(2, 1, 12, 9)):
        output = patch_swap(features, hole)
        assert torch.equal(output, features)
        assert output.data_ptr() != features.data_ptr()
        assert (patch_match(features, hole) == -1).all()


def test_constant_features_match_the_first_key(hole):
    match = patch_match(torch.ones(2, 3, 12, 9), hole)
    assert set(match[0].unique().tolist()) == {-1, 9 + 1}


@pytest.mark.parametrize(
    ("arguments", "error", "parts"),
    [
        ((torch.zeros(3, 4, 4), torch.zeros(1, 1, 4, 4)), ValueError, ["features", "[3, 4, 4]", "[N, C, H, W]"]),
        ((torch.zeros(1, 0, 4, 4), torch.zeros(1, 1, 4, 4)), ValueError, ["features", "at least 1"]),
        ((torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 5)), ValueError, ["hole", "[1, 1, 4, 5]", "[1, 1, 4, 4]"]),
        ((torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)), ValueError, ["hole", "[1, 3, 4, 4]", "[1, 1, 4, 4]"]),
        ((torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4)), ValueError, ["hole", "[1, 4, 4]"]),
        ((torch.zeros(1, 3, 4, 4, dtype=torch.int32), torch.zeros(1, 1, 4, 4)), TypeError, ["int32", "convert it"]),
        (
            (torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4, dtype=torch.complex64)),
            TypeError,
            ["hole", "complex64", "torch.bool"],
        ),
        ((torch.zeros(1, 3, 4, 4, device="meta"), torch.zeros(1, 1, 4, 4)), ValueError, ["cpu and meta", "one device"]),
    ],
    ids=["rank", "channels", "size", "hole channels", "hole rank", "type", "complex", "device"],
)
def test_bad_arguments(arguments, error, parts):
    with pytest.raises(error) as raised:
        patch_swap(*arguments)
    assert all(part in str(raised.value) for part in ("patch_match", *parts))


@pytest.mark.parametrize(
    ("match", "error", "part"),
    [
        (torch.zeros(1, 4, 5, dtype=torch.int32), ValueError, "[1, 4, 5]"),
        (torch.zeros(1, 4, 4, dtype=torch.int64), TypeError, "torch.int64"),
        (torch.full((1, 4, 4), 16, dtype=torch.int32), ValueError, "holds 16"),
        (torch.full((1, 4, 4), 4, dtype=torch.int32), ValueError, "holds 4"),  # at the left border
        (torch.full((1, 4, 4), -2, dtype=torch.int32), ValueError, "holds -2"),
    ],
)
def test_bad_matches(match, error, part):
    with pytest.raises(error, match="match") as raised:
        patch_paste(torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4), match)
    assert part in str(raised.value)


def test_the_scores_are_never_stored():
    """The size of the benchmark with few channels: what it takes beyond inputs and output, first call."""
    problem = Problem(128, 128, 8, 64)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        FORMS["operator"](problem.small(), 1)()
        extra_mb, _ = first_run(FORMS["operator"](problem, 1))
    finally:
        torch.set_num_threads(threads)
    if extra_mb is None:
        pytest.skip("only Linux tells a process's peak memory")
    assert extra_mb < problem.scores_mb / 10


def test_threads_keep_the_callers_mode():
    """So many pairs that threads share them, also where torch has one core to offer."""
    rng = torch.Generator().manual_seed(0)
    features = torch.randn((1, 2, 72, 72), generator=rng)
    hole = torch.zeros(1, 1, 72, 72)
    hole[..., 10:50, 10:50] = 1
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = patch_match(features, hole)
        with torch.inference_mode():
            features = features.clone()  # an inference tensor, as networks give
            assert torch.equal(patch_match(features, hole), expected)
    finally:
        torch.set_num_threads(before)
