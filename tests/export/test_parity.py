"""The gate's own judgement."""

import math

import numpy as np
import pytest

from export.errors import ParityError
from export.parity import Parity, compare, compare_all, measure, worst

IMAGE = np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3)


def test_figures() -> None:
    other = IMAGE.copy()
    other[0, 0, 0] = (1, 3, 2)
    parity = measure(IMAGE, other)
    assert (parity.max_grey_levels, parity.differing_bytes) == (2, 2 / 192)
    assert parity.psnr_db == pytest.approx(10 * math.log10(255**2 * 192 / 5))
    assert measure(IMAGE, IMAGE).figures() == {"max_grey_levels": 0, "psnr_db": 999, "differing_bytes": 0}
    assert worst([parity, Parity(1, 20, 0.5)]) == Parity(2, 20, 0.5)
    assert worst([parity, Parity(1, 20, 0.5, 1e-3), Parity(1, 20, 0.5, 1e-4)]) == Parity(2, 20, 0.5, 1e-3)


def test_floats_are_told_in_their_own_terms():
    """As a share of the largest; none of their bytes counts as one that differs."""
    reference = np.array([[-4.0, 1.0, 3.0]], np.float32)
    parity = measure(reference, reference + np.float32(0.002))
    assert parity.float_difference == pytest.approx(0.0005, rel=1e-3)
    assert parity.differing_bytes == 0
    assert parity.figures()["float_difference"] == parity.float_difference


RAMP = np.linspace(-1, 1, 48, dtype=np.float32).reshape(1, 3, 4, 4)


def test_floats_are_measured_in_grey_levels_of_the_reference() -> None:
    for scale in (1e-4, 1, 1e4):
        reference = np.float32(scale) * RAMP
        assert measure(reference, reference + np.float32(0.5 * scale)).max_grey_levels == pytest.approx(63.75, rel=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e-4, 1, 1e4])
def test_unrelated_floats_of_any_size_never_pass(scale: float, precision: str) -> None:
    one, other = (
        np.random.default_rng(seed).uniform(-scale, scale, (1, 3, 8, 8)).astype(np.float32) for seed in (0, 1)
    )
    with pytest.raises(ParityError, match="differs from the checkpoint"):
        compare("feat_map", one, other, precision)
    with pytest.raises(ParityError, match="differs from the checkpoint"):
        compare("feat_map", np.zeros_like(one), other, precision)
    assert compare("feat_map", one, one.copy(), precision).max_grey_levels == 0
    assert compare("feat_map", 0 * one, 0 * one, precision).max_grey_levels == 0


@pytest.mark.parametrize("scale", [1e-4, 1, 1e4])
def test_the_limit_of_floats(scale: float) -> None:
    """0.1 grey levels, 1/1275 of the largest value: a thousandth part is too much, a ten-thousandth is not."""
    reference = np.float32(scale) * RAMP
    compare("feat_map", reference, reference * np.float32(1.0007), "fp32")
    with pytest.raises(ParityError, match="grey levels, at most 0.1 expected"):
        compare("feat_map", reference, reference * np.float32(1.0009), "fp32")


def test_the_limits_of_16_bits() -> None:
    noise = np.random.default_rng(0).standard_normal(RAMP.shape).astype(np.float32)
    noise /= np.sqrt(np.mean(np.square(noise)))
    for decibels, fits in ((45.2, True), (44.8, False)):
        received = RAMP + noise * np.float32(2 * 10 ** (-decibels / 20))
        if fits:
            compare("feat_map", RAMP, received, "fp16")
            continue
        with pytest.raises(ParityError, match="dB PSNR, at least 45 expected"):
            compare("feat_map", RAMP, received, "fp16")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_limits(precision: str) -> None:
    one_off = IMAGE + 1
    assert compare("image", IMAGE, one_off, precision).max_grey_levels == 1
    with pytest.raises(ParityError, match="differs from the checkpoint"):
        compare("image", IMAGE, IMAGE + 2, precision)


def test_what_never_passes() -> None:
    with pytest.raises(ParityError, match="the engine gives 7 everywhere"):
        compare("image", IMAGE, np.full_like(IMAGE, 7), "fp32")
    with pytest.raises(ParityError, match=r"uint8 \[1, 8, 8, 3\]"):
        compare("image", IMAGE, IMAGE[:, :4], "fp32")
    with pytest.raises(ParityError, match="not finite"):
        compare("feat_map", np.zeros(2, np.float32), np.array([0, np.nan], np.float32), "fp16")
    with pytest.raises(ParityError, match="no output image"):
        compare_all({"image": IMAGE}, {"picture": IMAGE}, "fp32")
    assert compare("image", np.full_like(IMAGE, 7), np.full_like(IMAGE, 7), "fp32").max_grey_levels == 0
