"""The gate: does an engine give what its checkpoint gives?"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import ParityError

# Of floats: 1/1275 of the largest value. At 2048×1024 a trained style encoder was 0.066 off in ONNX Runtime, by its
# float32 means of two million pixels as it seems; torch itself is 0.0003 off float64 there.
MAX_GREY_LEVELS_FP32 = {"uint8": 1.0, "float32": 0.1}
MIN_PSNR_DB = {"fp16": 45.0}
# Of a map of ids, uint8 [N, H, W], numbers say nothing of distance. Where two scores all but tie, rounding decides.
MAX_DIFFERING_IDS = {"fp32": 0.001, "fp16": 0.02}
_AXES_OF_A_MAP = 3
_LEVELS_OF_THE_LARGEST = 127.5  # grey levels from nothing to the largest magnitude of floats


@dataclass(frozen=True)
class Parity:
    """How far an engine is from its checkpoint, over every output and example.

    Attributes:
        max_grey_levels: largest difference, in steps of 1/255 of the value range: of floats, from minus to plus the
            largest magnitude that the checkpoint gives.
        psnr_db: peak signal-to-noise ratio; infinite where all is equal.
        differing_bytes: share of bytes that differ, 0 to 1; floats do not count.
        float_difference: largest difference of outputs that are floats, as a share of the largest magnitude that the
            checkpoint gives; None where all are bytes.
    """

    max_grey_levels: float
    psnr_db: float
    differing_bytes: float
    float_difference: float | None = None

    def figures(self) -> dict[str, float]:
        """For the specification; JSON has no infinity, so equality is written as 999 dB."""
        figures = {
            "max_grey_levels": self.max_grey_levels,
            "psnr_db": min(self.psnr_db, 999.0),
            "differing_bytes": self.differing_bytes,
        }
        return figures if self.float_difference is None else figures | {"float_difference": self.float_difference}


def compare(name: str, expected: NDArray[Any], received: NDArray[Any], precision: str) -> Parity:
    """Measure one output.

    Raises:
        ParityError: another shape or dtype, not finite, constant where the checkpoint's is not, or too far from it.
    """
    if received.shape != expected.shape or received.dtype != expected.dtype:
        raise ParityError(
            f"{name}: the engine gives {received.dtype} {list(received.shape)}, "
            f"the checkpoint {expected.dtype} {list(expected.shape)}; engine and checkpoint do not belong together"
        )
    if not np.isfinite(received).all():
        raise ParityError(f"{name}: the engine gives values that are not finite; export with --precision fp32")
    if np.ptp(received) == 0 and np.ptp(expected) > 0:
        raise ParityError(f"{name}: the engine gives {received.flat[0]} everywhere, the checkpoint does not")
    parity = measure(expected, received)
    if _is_id_map(expected):
        _check_ids(name, parity, precision)
    else:
        _check(name, parity, str(expected.dtype), precision)
    return parity


def measure(expected: NDArray[Any], received: NDArray[Any]) -> Parity:
    """The figures of one pair of arrays of one shape and dtype."""
    difference = np.abs(received.astype(np.float64) - expected.astype(np.float64)) / _grey_level(expected)
    if _is_id_map(expected):
        difference = np.where(difference > 0, 255.0, 0.0)  # a wrong id is as wrong as can be
    largest, is_bytes = float(difference.max(initial=0.0)), expected.dtype == np.uint8
    square = float(np.mean(np.square(difference), dtype=np.float64))
    return Parity(
        max_grey_levels=largest,
        psnr_db=10 * math.log10(255.0**2 / square) if square else math.inf,
        differing_bytes=float(np.mean(difference > 0)) if is_bytes else 0.0,
        float_difference=None if is_bytes else largest / _LEVELS_OF_THE_LARGEST,
    )


def _grey_level(expected: NDArray[Any]) -> float:
    """One of 255 steps; of nothing but zeros next to nothing, for then every difference is one."""
    if expected.dtype == np.uint8:
        return 1.0
    return max(float(np.abs(expected).max(initial=0.0)) / _LEVELS_OF_THE_LARGEST, float(np.finfo(np.float32).tiny))


def worst(parities: Iterable[Parity]) -> Parity:
    """The worst of each figure."""
    rows = list(parities)
    return Parity(
        max(row.max_grey_levels for row in rows),
        min(row.psnr_db for row in rows),
        max(row.differing_bytes for row in rows),
        max((row.float_difference for row in rows if row.float_difference is not None), default=None),
    )


def compare_all(expected: Mapping[str, NDArray[Any]], received: Mapping[str, NDArray[Any]], precision: str) -> Parity:
    """`compare` for every output, by name."""
    missing = expected.keys() - received.keys()
    if missing:
        raise ParityError(f"the engine has no output {', '.join(sorted(missing))}; it gives {', '.join(received)}")
    return worst(compare(name, expected[name], received[name], precision) for name in expected)


def _is_id_map(array: NDArray[Any]) -> bool:
    return array.ndim == _AXES_OF_A_MAP and array.dtype == np.uint8


def _check_ids(name: str, parity: Parity, precision: str) -> None:
    if parity.differing_bytes > MAX_DIFFERING_IDS[precision]:
        raise ParityError(
            f"{name}: {parity.differing_bytes:.2%} of the {precision} engine's ids differ from the checkpoint's, at "
            f"most {MAX_DIFFERING_IDS[precision]:.2%} expected; nothing was written. Export with --precision fp32, or "
            "report this with the checkpoint"
        )


def _check(name: str, parity: Parity, dtype: str, precision: str) -> None:
    if precision in MIN_PSNR_DB:
        limit, value, unit = MIN_PSNR_DB[precision], parity.psnr_db, "dB PSNR, at least"
        fits = value >= limit
    else:
        limit, value, unit = MAX_GREY_LEVELS_FP32[dtype], parity.max_grey_levels, "grey levels, at most"
        fits = value <= limit
    if not fits:
        raise ParityError(
            f"{name}: the {precision} engine differs from the checkpoint by {value:.3f} {unit} {limit:g} expected; "
            "nothing was written. Export with --precision fp32, or report this with the checkpoint"
        )
