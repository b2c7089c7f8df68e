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


def test_floats_are_measured_in_grey_levels() -> None:
    zeros = np.zeros((1, 3, 4, 4), np.float32)
    assert measure(zeros, zeros + 0.5).max_grey_levels == pytest.approx(63.75)


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
