"""Image in, image out."""

from runtime.engines.kind import Axes, Form, Kind
from runtime.engines.spec import EngineSpec

_NORMALIZATIONS = ("per-image", "running-stats", "batch-stats")


def require_channels(spec: EngineSpec, axes: Axes) -> None:
    """How many channels go in and out is known, and so is whose statistics normalise."""
    if axes["C"] is None or axes["D"] is None:
        raise ValueError("a free number of channels")
    if spec.normalization not in _NORMALIZATIONS:
        raise ValueError(f"normalization {spec.normalization!r}, known are {', '.join(_NORMALIZATIONS)}")


KIND = Kind(
    name="translator",
    inputs={"image": Form("uint8", "NHWC"), "seed": Form("int32", "N", is_optional=True)},
    outputs={"translation": Form("uint8", "NHWD")},
    runner="runtime.runners.translator:Translator",
    check=require_channels,
)
