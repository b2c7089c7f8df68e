"""One step of a search for ẑ: joint image and z in, the next z and the losses out."""

from runtime.engines.kind import Axes, Form, Kind
from runtime.engines.spec import EngineSpec


def _check(spec: EngineSpec, axes: Axes) -> None:
    rows, columns, z_nc = (axes[letter] for letter in "RSZ")
    if rows is None or columns != 2 * rows or z_nc is None:
        raise ValueError(f"joint images of {rows}×{columns} and z of {z_nc}")


def _joint_size(spec: EngineSpec) -> str:
    return f"{spec.cost.size[1]}×{spec.cost.size[0]} joint images"


KIND = Kind(
    name="sketch",
    inputs={
        "observed": Form("uint8", "1RS3"),
        "known_mask": Form("uint8", "1RS"),
        "z": Form("float32", "NZ"),
        "velocity": Form("float32", "NZ"),
        "learning_rate": Form("float32", "1"),
        "momentum": Form("float32", "1"),
        "perceptual_weight": Form("float32", "1"),
        "z_limit": Form("float32", "1"),
    },
    outputs={
        "next_z": Form("float32", "NZ"),
        "next_velocity": Form("float32", "NZ"),
        "contextual_loss": Form("float32", "N"),
        "perceptual_loss": Form("float32", "N"),
        "image": Form("uint8", "NRS3"),
    },
    runner="runtime.runners.sketch_completer:SketchCompleter",
    check=_check,
    free_size=_joint_size,
)
