"""The specification that travels inside every engine: what it is, what goes in and out, and how it was measured.

`export` writes it as JSON into the ONNX file's metadata under `SPEC_KEY` (or beside a TensorRT plan); everything the
runtime knows of an engine it knows from here.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from runtime.engines.labels import LabelSpec
from runtime.errors import EngineFormatError

SPEC_KEY = "pix2rt.spec"
FORMAT_VERSION = 1
DTYPES = ("uint8", "int32", "int64", "float32", "float16")


@dataclass(frozen=True)
class TensorSpec:
    """One input or output. `shape` holds sizes, or a name where the axis is dynamic: ("N", "H", "W", 3)."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"tensor {self.name}: dtype {self.dtype!r} is not one of {', '.join(DTYPES)}")
        if any(isinstance(axis, bool) or not isinstance(axis, int | str) or axis in (0, "") for axis in self.shape):
            raise ValueError(f"tensor {self.name}: shape {self.shape} is not sizes and axis names")


@dataclass(frozen=True)
class StyleBank:
    """K-means centres of instance features: class id → k styles of `feat_num` values. A class may be absent."""

    feat_num: int
    centres: Mapping[int, tuple[tuple[float, ...], ...]]

    def __post_init__(self) -> None:
        for class_id, styles in self.centres.items():
            if not styles or any(len(style) != self.feat_num for style in styles):
                raise ValueError(f"style bank: class {class_id} must hold styles of {self.feat_num} values")


@dataclass(frozen=True)
class Cost:
    """Work of one image at `size`, counted on the graph at export.

    `activation_bytes` is the largest sum of tensors alive at once; `weight_bytes` those of the graph's constants.
    """

    size: tuple[int, int]
    macs: int
    parameters: int
    weight_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class EngineSpec:
    """Everything a host needs to call an engine.

    Attributes:
        kind: the runtime class that runs it ("synthesizer", "style_encoder", "translator", "baseline").
        family: the system that trained it ("pix2pixhd", "pix2pix").
        inputs, outputs: tensors by name; a host never refers to them by index.
        size: [H, W] of a static engine, None where H and W are dynamic.
        size_multiple: H and W must be multiples of this.
        smallest_side: H and W must be at least this; reflection padding needs a pixel to reflect.
        labels: class table, None where the input is an RGB image.
        styles: style bank, None where the network has no feature channels.
        normalization: statistics of the normalisation layers: "per-image", those kept from training
            ("running-stats"), or those of all images of a call ("batch-stats").
        precision: "fp32" or "fp16".
        parity: figures of the gate that compared checkpoint and engine at export.
        options: numbers that were chosen at export and that no tensor shows: "scales" and "iterations" of inpainting.
        checkpoint_sha256: of the checkpoint file the engine was made from.
        versions: of pix2rt, torch and onnx at export.
        cost: work of one image.
    """

    kind: str
    family: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    size: tuple[int, int] | None
    size_multiple: int
    smallest_side: int
    labels: LabelSpec | None
    styles: StyleBank | None
    normalization: str
    precision: str
    cost: Cost
    parity: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, int] = field(default_factory=dict)
    checkpoint_sha256: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    def input(self, name: str) -> TensorSpec | None:
        """The input called `name`, None where the engine has no such input."""
        return next((tensor for tensor in self.inputs if tensor.name == name), None)

    def output(self, name: str) -> TensorSpec | None:
        """The output called `name`, None where the engine has no such output."""
        return next((tensor for tensor in self.outputs if tensor.name == name), None)

    @property
    def max_batch(self) -> int | None:
        """Images in one engine call; None where the batch axis is dynamic."""
        axis = self.inputs[0].shape[0]
        return axis if isinstance(axis, int) else None

    def to_json(self) -> str:
        document = asdict(self)
        document["labels"] = self.labels.to_json() if self.labels else None
        return json.dumps({"format_version": FORMAT_VERSION, **document})


def parse_spec(text: str, source: str) -> EngineSpec:
    """Read the JSON specification of the engine `source`.

    Raises:
        EngineFormatError: not JSON, of a newer format, or a field is missing or wrong.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EngineFormatError(f"engine {source}: its specification is not JSON ({error}); export it again") from error
    version = document.get("format_version") if isinstance(document, dict) else None
    if not isinstance(version, int):
        raise EngineFormatError(f"engine {source}: its specification names no format_version; export it again")
    if version > FORMAT_VERSION:
        raise EngineFormatError(
            f"engine {source} has specification format {version}, this pix2rt reads up to {FORMAT_VERSION}; upgrade "
            "pix2rt"
        )
    try:
        return _spec_from(document)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
        raise EngineFormatError(f"engine {source}: damaged specification: {reason}; export it again") from error


def _spec_from(document: Mapping[str, Any]) -> EngineSpec:
    size, labels, styles = document["size"], document["labels"], document["styles"]
    multiple, smallest = int(document["size_multiple"]), int(document["smallest_side"])
    if multiple < 1 or smallest < 1:
        raise ValueError(f"size_multiple is {multiple}, smallest_side {smallest}")
    return EngineSpec(
        kind=str(document["kind"]),
        family=str(document["family"]),
        inputs=_tensors(document["inputs"]),
        outputs=_tensors(document["outputs"]),
        size=None if size is None else (int(size[0]), int(size[1])),
        size_multiple=multiple,
        smallest_side=smallest,
        labels=None if labels is None else LabelSpec.from_json(labels),
        styles=None if styles is None else _style_bank(styles),
        normalization=str(document["normalization"]),
        precision=str(document["precision"]),
        cost=_cost(document["cost"]),
        parity={str(key): float(value) for key, value in document["parity"].items()},
        options={str(key): int(value) for key, value in document.get("options", {}).items()},
        checkpoint_sha256=str(document["checkpoint_sha256"]),
        versions={str(key): str(value) for key, value in document["versions"].items()},
    )


def _tensors(entries: list[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    if not entries:
        raise ValueError("no tensors are listed")
    return tuple(TensorSpec(str(e["name"]), str(e["dtype"]), tuple(e["shape"])) for e in entries)


def _style_bank(document: Mapping[str, Any]) -> StyleBank:
    centres = {
        int(class_id): tuple(tuple(float(value) for value in style) for style in styles)
        for class_id, styles in document["centres"].items()
    }
    return StyleBank(int(document["feat_num"]), centres)


def _cost(document: Mapping[str, Any]) -> Cost:
    height, width = document["size"]
    counts = {key: int(document[key]) for key in ("macs", "parameters", "weight_bytes", "activation_bytes")}
    return Cost(size=(int(height), int(width)), **counts)
