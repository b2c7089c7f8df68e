"""Losses and schedule against their plain definitions."""

import math

import pytest
import torch

from training.errors import TrainingError
from training.losses import VGG_WEIGHTS, feature_matching_loss, gan_loss, perceptual_loss, sliced_distance
from training.options import LoopOptions, resolve


def random_outputs(seed, scales=3, layers=5):
    generator = torch.Generator().manual_seed(seed)
    return [[torch.randn(2, 3, 4 + k, 5, generator=generator) for k in range(layers)] for _ in range(scales)]


@pytest.mark.parametrize("target", [True, False])
def test_gan_losses(target):
    outputs = random_outputs(0)
    least_squares = sum(((scale[-1] - float(target)) ** 2).mean().item() for scale in outputs)
    assert gan_loss(outputs, target, "lsgan").item() == pytest.approx(least_squares, rel=1e-5)
    # E[log D] and E[log (1 − D)], equation 1.
    logs = [torch.log(torch.sigmoid(s[-1]) if target else 1 - torch.sigmoid(s[-1])).mean().item() for s in outputs]
    assert gan_loss(outputs, target, "vanilla").item() == pytest.approx(-sum(logs), rel=1e-5)


def test_feature_matching_is_the_reference_sum():
    fake, real = random_outputs(1), random_outputs(2)
    expected = 0.0
    for scale in range(3):
        for layer in range(4):  # the scores are left out
            expected += (1 / 3) * (4 / 5) * (fake[scale][layer] - real[scale][layer]).abs().mean().item()
    assert feature_matching_loss(fake, real).item() == pytest.approx(expected, rel=1e-5)


def test_sliced_distance_is_that_of_how_points_are_spread():
    rng = torch.Generator().manual_seed(0)
    wanted = torch.rand(64, 3, generator=rng) * 2 - 1
    assert sliced_distance(wanted.flip(0), wanted).item() == pytest.approx(0, abs=1e-12), "not of which is which"
    # Moved by d, a cloud is |d|²/K off along K axes, and along random directions as far in the mean.
    shift = torch.tensor([0.3, 0.0, -0.4])
    torch.manual_seed(0)
    distances = torch.stack([sliced_distance(wanted + shift, wanted) for _ in range(400)])
    assert distances.mean().item() == pytest.approx(2 * 0.25 / 3, rel=0.05)
    squeezed = (0.2 * wanted).requires_grad_()
    sliced_distance(squeezed, wanted).backward()
    assert (squeezed.grad * squeezed).sum() < 0, "it wants to be wider"


def test_perceptual_weights():
    fake, real = [torch.full((1, 2), 3.0)] * 5, [torch.full((1, 2), 1.0)] * 5
    assert perceptual_loss(fake, real).item() == pytest.approx(2 * sum(VGG_WEIGHTS))
    assert sum(VGG_WEIGHTS) == pytest.approx(1 + 1 / 4 + 1 / 8 + 1 / 16 + 1 / 32)


def test_no_gradient_reaches_the_real_features():
    fake, real = random_outputs(1, 1), random_outputs(2, 1)
    for layers in (fake[0], real[0]):
        for tensor in layers:
            tensor.requires_grad_(True)
    feature_matching_loss(fake, real).backward()
    assert all(tensor.grad is not None for tensor in fake[0][:-1])
    assert all(tensor.grad is None for tensor in real[0])


def test_learning_rate_is_constant_then_linear():
    options = LoopOptions(epochs=3, decay_epochs=4, lr=1.0)
    rates = [options.lr_at(step, 10) for step in range(0, 70, 10)]
    assert rates == pytest.approx([1, 1, 1, 4 / 5, 3 / 5, 2 / 5, 1 / 5])
    assert options.lr_at(29, 10) == 1.0
    assert all(math.isfinite(rate) and rate > 0 for rate in rates)


@pytest.mark.parametrize(
    ("field", "value"),
    [("batch_size", 0), ("lr", 0.0), ("precision", "fp8"), ("save_every", 0), ("epochs", -1)],
)
def test_bad_options_are_named(field, value):
    with pytest.raises(TrainingError, match=f"option {field}"):
        LoopOptions(**{field: value})


def test_unknown_preset_lists_the_known():
    with pytest.raises(TrainingError, match="unknown preset 'gobal'; choose one of global, joint"):
        resolve(LoopOptions, {"global": {}, "joint": {}}, "gobal", {})
