"""A network as its users' scripts run it, floats in and out, to measure against; see `runtime.bench.baseline`."""

from runtime.engines.kind import Axes, Form, Kind
from runtime.engines.kinds.translator import require_channels
from runtime.engines.spec import EngineSpec


def _check(spec: EngineSpec, axes: Axes) -> None:
    if spec.labels is None:
        require_channels(spec, axes)


KIND = Kind(
    name="baseline",
    inputs={"input": Form("float32", "NCHW"), "hole": Form("float32", "N1HW", is_optional=True)},
    outputs={"output": Form("float32", "NDHW")},
    check=_check,
)
