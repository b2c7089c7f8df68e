"""Label map in, photo out."""

from runtime.engines.kind import Axes, Form, Kind
from runtime.engines.spec import EngineSpec


def _check(spec: EngineSpec, axes: Axes) -> None:
    if spec.labels is None:
        raise ValueError("a synthesizer without a class table")
    if not spec.input("styles"):
        return
    if spec.input("inst_map") is None or axes["F"] is None:
        raise ValueError("styles without inst_map, or of unknown length")
    if spec.styles and spec.styles.feat_num != axes["F"]:
        raise ValueError(f"a style bank of {spec.styles.feat_num} features for an input of {axes['F']}")


KIND = Kind(
    name="synthesizer",
    inputs={
        "label_map": Form("uint8", "NHW"),
        "inst_map": Form("int32", "NHW", is_optional=True),
        "styles": Form("float32", "NKF", is_optional=True),
    },
    outputs={"image": Form("uint8", "NHW3")},
    runner="runtime.runners.synthesizer:Synthesizer",
    check=_check,
)
