"""What is known of a TensorRT plan: `NAME.engine` is the plan, `NAME.engine.json` its specification and origin."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.engines.document import Document
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec, parse_spec
from runtime.errors import EngineFormatError, InputError
from runtime.files import atomic_path

FLAVORS: Mapping[str, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}  # → module; the best first
PACKAGES: Mapping[str, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt-rtx-cu13"}
NO_GPU = "none (built on CPU)"
SUFFIX = ".engine"
_ORIGIN = "tensorrt"  # the field of the JSON
_MAX_JSON_BYTES = 64 * 2**20
_MAX_BYTES = 2**62
_MOST_ROWS = 64

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Profile:
    """Sizes (N, H, W) that a plan with free axes accepts, and the one it is tuned for."""

    min: Shape
    opt: Shape
    max: Shape

    @classmethod
    def default(cls, spec: EngineSpec) -> "Profile":
        """From two multiples a side to 1024×2048, one at a time, tuned for 512×1024; rounded up to the multiple.

        Where only the batch is free, up to 64: the candidates of a search are looked at together.
        """
        m = spec.size_multiple
        free = {axis for tensor in spec.inputs for axis in tensor.shape if isinstance(axis, str)}
        if spec.size is None and not free & {"H", "W"}:
            return cls((1, m, m), (1, m, m), (_MOST_ROWS, m, m))

        def fit(height: int, width: int) -> Shape:
            return 1, -(-height // m) * m, -(-width // m) * m

        return cls(fit(2 * m, 2 * m), fit(512, 1024), fit(1024, 2048))

    @classmethod
    def parse(cls, spec: EngineSpec, smallest: str | None, best: str | None, largest: str | None) -> "Profile | None":
        """What --min, --opt and --max say, such as "1x512x1024"; what they leave out is the default's.

        Raises:
            InputError: one is not three numbers.
        """
        if not (smallest or best or largest):
            return None
        return cls.completed(spec, _shape(smallest, "--min"), _shape(best, "--opt"), _shape(largest, "--max"))

    @classmethod
    def completed(
        cls, spec: EngineSpec, smallest: Shape | None, best: Shape | None, largest: Shape | None
    ) -> "Profile":
        """The profile of what was given; what was not given is the default's, brought between what was."""
        default = cls.default(spec)
        low = smallest or _each(min, default.min, *filter(None, (best, largest)))
        high = largest or _each(max, default.max, *filter(None, (smallest, best)))
        return cls(low, best or _each(min, _each(max, default.opt, low), high), high)


@dataclass(frozen=True)
class PlanOrigin:
    """How a plan came to be, and so where it runs.

    Attributes:
        flavor: "tensorrt" or "tensorrt-rtx".
        version: of that library; another one does not read the plan.
        gpu: the name of the one it was built on. Plans of "tensorrt" run there alone; those of "tensorrt-rtx" on many.
        onnx_sha256: of the ONNX engine.
        plan_sha256: of the plan.
        activation_bytes: what the build log states, None where it states nothing.
    """

    flavor: str
    version: str
    gpu: str
    onnx_sha256: str
    plan_sha256: str
    activation_bytes: int | None

    def __str__(self) -> str:
        """For a terminal."""
        memory = f", {self.activation_bytes / 1e6:,.1f} MB activations" if self.activation_bytes else ""
        return f"{self.flavor} {self.version}, GPU {self.gpu}{memory}"


@dataclass(frozen=True)
class Plan:
    """A plan; `name` is what messages call it: its file, or what it was built from."""

    name: str
    origin: PlanOrigin
    data: bytes

    @classmethod
    def read(cls, source: EngineSource) -> "Plan":
        """The plan of a file.

        Raises:
            EngineFormatError: there is no JSON beside it, or its bytes are not those that the JSON was written for.
        """
        origin = read_origin(source)
        with source.open() as stream:
            data = stream.read()
        if hashlib.sha256(data).hexdigest() != origin.plan_sha256:
            raise EngineFormatError(
                f"engine {source} is truncated, was tampered with, or belongs to another {SUFFIX}.json: its SHA-256 is "
                f"not the one that its JSON names; copy both files again, or {_again(source)}"
            )
        return cls(str(source), origin, data)

    def write(self, path: Path, spec: EngineSpec) -> None:
        """Write it and its JSON, each whole or not at all. The JSON comes last: with it the plan is complete.

        Raises:
            OutputError: the folder cannot be written.
        """
        document = json.loads(spec.to_json()) | {_ORIGIN: asdict(self.origin)}
        with atomic_path(json_path(path)) as json_file, atomic_path(path) as plan_file:
            plan_file.write_bytes(self.data)
            json_file.write_text(json.dumps(document, indent=1), encoding="utf-8")


def _each(choose: Callable[..., int], *shapes: Shape) -> Shape:
    count, height, width = (choose(axis) for axis in zip(*shapes, strict=True))
    return count, height, width


def _shape(text: str | None, option: str) -> Shape | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,6}x\d{1,6}x\d{1,6}", text.lower()):
        raise InputError(f"{option} {text!r} is not BATCHxHEIGHTxWIDTH, such as 1x1024x2048")
    count, height, width = (int(number) for number in text.lower().split("x"))
    return count, height, width


def json_path(plan: Path) -> Path:
    """Where the specification of a plan lies."""
    return plan.with_name(f"{plan.name}.json")


def read_plan_spec(source: EngineSource) -> EngineSpec:
    """The specification of a plan, from the JSON beside it; errors as in `read_origin`."""
    return parse_spec(_text(source), str(source))


def read_origin(source: EngineSource) -> PlanOrigin:
    """How a plan came to be, from the JSON beside it.

    Raises:
        EngineFormatError: there is no JSON, or it says nothing about a plan.
    """
    try:
        fields = Document.parse(_text(source)).object(_ORIGIN, most=64)
        size = fields.fields.get("activation_bytes")
        return PlanOrigin(
            **{name: fields.text(name) for name in ("flavor", "version", "gpu", "onnx_sha256", "plan_sha256")},
            activation_bytes=None if size is None else fields.integer("activation_bytes", 0, _MAX_BYTES),
        )
    except ValueError as error:
        if isinstance(error, EngineFormatError):
            raise
        raise EngineFormatError(
            f"engine {source}: the JSON beside it does not say how the plan was built ({error}); {_again(source)}"
        ) from error


def _text(source: EngineSource) -> str:
    assert source.path  # plans are files: bytes in memory are ONNX
    path = json_path(source.path)
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise EngineFormatError(f"engine {source}: {path} is larger than {_MAX_JSON_BYTES >> 20} MiB")
        return path.read_text("utf-8")
    except FileNotFoundError as error:
        raise EngineFormatError(
            f"engine {source} has no specification beside it: {path} does not exist; copy it there, or {_again(source)}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise EngineFormatError(f"engine {source}: {path} cannot be read: {error}; {_again(source)}") from error


def _again(source: EngineSource) -> str:
    return f"build the plan again: `pix2rt build ENGINE.onnx -o {source}`"
