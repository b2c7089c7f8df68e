"""The specification that travels inside every engine: what it is, what goes in and out, and how it was measured.

`export` writes it as JSON into the ONNX file's metadata under `SPEC_KEY` (or beside a TensorRT plan); everything the
runtime knows of an engine it knows from here.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from runtime.engines.document import Document, integer, number
from runtime.engines.labels import MAX_CLASSES, LabelSpec
from runtime.engines.recipe import Recipe
from runtime.errors import EngineFormatError

SPEC_KEY = "pix2rt.spec"
FORMAT_VERSION = 1
DTYPES = ("uint8", "int32", "int64", "float32", "float16")
MAX_SIDE = 65_535  # of an image, pixels
_MAX_AXIS = 2**31 - 1  # of any tensor
_MAX_PIXELS = 2**28  # of an engine's own size: smaller images are extended to it
_MAX_MULTIPLE = 8192  # likewise
_MAX_TENSORS = 64
_MAX_AXES = 8
_MAX_FIELDS = 64  # of parity, options and versions
_MAX_FEATURES, _MAX_STYLES = 4096, 4096  # of a style bank, and of each of its classes
_MAX_COUNT = 2**62  # of bytes or operations
_MAX_OPTION = 2**31 - 1


@dataclass(frozen=True)
class TensorSpec:
    """One input or output. `shape` holds sizes, or a name where the axis is dynamic: ("N", "H", "W", 3)."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"tensor {self.name}: dtype {self.dtype!r} is not one of {', '.join(DTYPES)}")
        for axis in self.shape:
            if isinstance(axis, bool) or not isinstance(axis, int | str) or axis == "":
                raise ValueError(f"tensor {self.name}: shape {self.shape} is not sizes and axis names")
            if isinstance(axis, int) and not 1 <= axis <= _MAX_AXIS:
                raise ValueError(f"tensor {self.name}: an axis of {axis}, expected 1 to {_MAX_AXIS}")


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
        kind: what it does, and so which class runs it: a name in `runtime.engines.kinds`.
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
        recipe: how training made the input, where it made it itself; None where pairs were given, or nothing is known.
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
    recipe: Recipe | None = None

    def input(self, name: str) -> TensorSpec | None:
        """The input called `name`, None where the engine has no such input."""
        return next((tensor for tensor in self.inputs if tensor.name == name), None)

    def output(self, name: str) -> TensorSpec | None:
        """The output called `name`, None where the engine has no such output."""
        return next((tensor for tensor in self.outputs if tensor.name == name), None)

    def tensor(self, name: str) -> TensorSpec:
        """The input or output called `name`, which engines of this kind must have; KeyError where it does not."""
        tensor = self.input(name) or self.output(name)
        if tensor is None:
            raise KeyError(name)
        return tensor

    @property
    def max_batch(self) -> int | None:
        """Images in one engine call; None where the batch axis is dynamic."""
        axis = self.inputs[0].shape[0]
        return axis if isinstance(axis, int) else None

    def to_json(self) -> str:
        document = asdict(self)
        document["labels"] = self.labels.to_json() if self.labels else None
        document["recipe"] = self.recipe.to_json() if self.recipe else None
        return json.dumps({"format_version": FORMAT_VERSION, **document})


def parse_spec(text: str, source: str) -> EngineSpec:
    """Read the JSON specification of the engine `source`. Nobody vouches for it: every field is checked here.

    Raises:
        EngineFormatError: not JSON, of a newer format, or a field is missing or wrong.
    """
    try:
        document = Document.parse(text, "the specification")
    except ValueError as error:
        raise EngineFormatError(
            f"engine {source}: its specification is no JSON object ({error}); export it again"
        ) from error
    version = document.fields.get("format_version")
    if isinstance(version, bool) or not isinstance(version, int):
        raise EngineFormatError(f"engine {source}: its specification names no format_version; export it again")
    if version > FORMAT_VERSION:
        raise EngineFormatError(
            f"engine {source} has specification format {version}, this pix2rt reads up to {FORMAT_VERSION}; upgrade "
            "pix2rt"
        )
    try:
        return _spec_from(document)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise EngineFormatError(f"engine {source}: damaged specification: {error}; export it again") from error


def _spec_from(document: Document) -> EngineSpec:
    labels, styles = document.optional("labels", _MAX_FIELDS), document.optional("styles", _MAX_FIELDS)
    parity, versions = document.object("parity", _MAX_FIELDS), document.object("versions", _MAX_FIELDS)
    recipe = document.optional("recipe", _MAX_FIELDS) if "recipe" in document.fields else None
    options = document.object("options", _MAX_FIELDS).fields if "options" in document.fields else {}
    return EngineSpec(
        kind=document.text("kind"),
        family=document.text("family"),
        inputs=_tensors(document, "inputs"),
        outputs=_tensors(document, "outputs"),
        size=None if document.value("size") is None else _size(document),
        size_multiple=document.integer("size_multiple", 1, _MAX_MULTIPLE),
        smallest_side=document.integer("smallest_side", 1, _MAX_MULTIPLE),
        labels=None if labels is None else LabelSpec.from_json(labels.fields),
        styles=None if styles is None else _style_bank(styles),
        normalization=document.text("normalization"),
        precision=document.text("precision"),
        cost=_cost(document.object("cost", _MAX_FIELDS)),
        parity={name: number(value, f"parity {name}") for name, value in parity.fields.items()},
        options={name: integer(value, f"option {name}", 0, _MAX_OPTION) for name, value in options.items()},
        checkpoint_sha256=document.text("checkpoint_sha256"),
        versions={name: versions.text(name) for name in versions.fields},
        recipe=None if recipe is None else Recipe.from_json(recipe.fields),
    )


def _size(document: Document) -> tuple[int, int]:
    height, width = document.integers("size", 2, 1, MAX_SIDE)
    if height * width > _MAX_PIXELS:
        raise ValueError(f"size is {height}×{width}, expected up to {_MAX_PIXELS} pixels")
    return height, width


def _tensors(document: Document, name: str) -> tuple[TensorSpec, ...]:
    entries = [Document.of(entry, f"a tensor of {name}") for entry in document.list(name, _MAX_TENSORS, least=1)]
    return tuple(TensorSpec(e.text("name"), e.text("dtype"), tuple(e.list("shape", _MAX_AXES))) for e in entries)


def _style_bank(document: Document) -> StyleBank:
    feat_num = document.integer("feat_num", 1, _MAX_FEATURES)
    classes = document.object("centres", MAX_CLASSES)
    return StyleBank(feat_num, {_class_id(key): _styles(classes, key, feat_num) for key in classes.fields})


def _class_id(key: str) -> int:
    return integer(int(key) if key.isdecimal() else key, "a class of the style bank", 0, MAX_CLASSES - 1)


def _styles(classes: Document, key: str, feat_num: int) -> tuple[tuple[float, ...], ...]:
    rows = [Document({"a style": row}) for row in classes.list(key, _MAX_STYLES)]
    return tuple(tuple(number(value, "a style") for value in row.list("a style", feat_num)) for row in rows)


def _cost(document: Document) -> Cost:
    counts = {
        name: document.integer(name, 0, _MAX_COUNT)
        for name in ("macs", "parameters", "weight_bytes", "activation_bytes")
    }
    return Cost(size=_size(document), **counts)
