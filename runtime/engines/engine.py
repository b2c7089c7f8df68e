"""Engines: what every kind of engine file offers, and which module opens which file."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from runtime.engines.onnx_metadata import read_spec
from runtime.engines.spec import EngineSpec, TensorSpec
from runtime.errors import EngineFormatError, InputError
from runtime.files import require_file

DEVICES = ("auto", "cpu", "cuda")

# Every tensor an engine of a kind may have: its dtype and number of axes. The first input and the output are required.
_INPUTS: dict[str, dict[str, tuple[str, int]]] = {
    "synthesizer": {"label_map": ("uint8", 3), "inst_map": ("int32", 3), "styles": ("float32", 3)},
    "style_encoder": {"image": ("uint8", 4)},
    "translator": {"image": ("uint8", 4), "seed": ("int32", 1)},
    "inpainter": {"image": ("uint8", 4), "hole_mask": ("uint8", 3), "style_image": ("uint8", 4)},
    "sketch": {
        "observed": ("uint8", 4),
        "known_mask": ("uint8", 3),
        "z": ("float32", 2),
        "velocity": ("float32", 2),
        "learning_rate": ("float32", 1),
        "momentum": ("float32", 1),
        "perceptual_weight": ("float32", 1),
        "z_limit": ("float32", 1),
    },
    "baseline": {"input": ("float32", 4), "hole": ("float32", 4)},
    "segmenter": {"image": ("uint8", 4)},
    "features": {"image": ("uint8", 4)},
}
_OUTPUTS = {
    "synthesizer": {"image": ("uint8", 4)},
    "style_encoder": {"feat_map": ("float32", 4)},
    "translator": {"translation": ("uint8", 4)},
    "inpainter": {"completed": ("uint8", 4)},
    "sketch": {
        "next_z": ("float32", 2),
        "next_velocity": ("float32", 2),
        "contextual_loss": ("float32", 1),
        "perceptual_loss": ("float32", 1),
        "image": ("uint8", 4),
    },
    "baseline": {"output": ("float32", 4)},
    "segmenter": {"label_map": ("uint8", 3)},
    "features": {"features": ("float32", 4)},
}
_JUDGES = ("segmenter", "features")  # of `python -m training evaluate`, which has its own way to run them
RUNNABLE = tuple(kind for kind in _INPUTS if kind not in _JUDGES)
_CHANNEL_AXIS = {"uint8": 3, "float32": 1}  # of images: bytes lie as [N, H, W, C], floats as [N, C, H, W]
_NORMALIZATIONS = ("per-image", "running-stats", "batch-stats")
_RGB = 3
_MAX_ELEMENTS = 2**31  # of a tensor: a bound on what a file can make this process allocate


class Engine(Protocol):
    """An opened engine. `run` may be called from several threads at once."""

    @property
    def spec(self) -> EngineSpec:
        """What the engine is."""

    @property
    def device(self) -> str:
        """Where it runs: "cpu" or "cuda"."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Arrays by input name, as the specification says → fresh arrays by output name.

        Raises:
            DeviceError: the engine fails on this device, for instance for lack of memory.
        """

    def loop(self, inputs: Mapping[str, NDArray[Any]], carried: Mapping[str, str]) -> "Loop":
        """Calls that feed outputs back, without leaving the device.

        Args:
            inputs: arrays by input name, for the first call; those that are not carried stay.
            carried: output name → the input that it becomes in the next call.
        """


class Loop(Protocol):
    """Repeated calls of an engine; for one thread."""

    def step(self) -> None:
        """Call the engine once more.

        Raises:
            DeviceError: the engine fails on this device, for instance for lack of memory.
        """

    def fetch(self, name: str) -> NDArray[Any]:
        """An output of the last call, copied from the device."""


def open_engine(
    path: str | Path, device: str = "auto", kinds: tuple[str, ...] = (), threads: int | None = None
) -> Engine:
    """Load the engine file `path`.

    Args:
        path: an `.onnx` file that `python -m export onnx` wrote.
        device: "cpu", "cuda", or "auto": CUDA where the installed onnxruntime has it, else the CPU.
        kinds: the kinds the caller can run; empty for all.
        threads: CPU threads of one call; None for one per physical core.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        EngineFormatError: truncated, foreign, tampered with, of a newer format or of another kind.
        InputError: `device` or `threads` is not a possible value.
        DeviceError: `device` is not available here.
    """
    if device not in DEVICES:
        raise InputError(f"device {device!r} is unknown; give one of {', '.join(DEVICES)}")
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= 4096):
        raise InputError(f"threads is {threads!r}, expected an integer from 1 to 4096, or None for all cores")
    spec = engine_spec(path, kinds)
    from runtime.engines.onnx_engine import OnnxEngine  # here, because onnxruntime takes long to import

    return OnnxEngine(Path(path), spec, device, threads)


def engine_spec(path: str | Path, kinds: tuple[str, ...] = ()) -> EngineSpec:
    """The checked specification of the engine file `path`, in milliseconds; errors as in `open_engine`."""
    path = require_file(path, "engine")
    if path.suffix == ".engine":
        raise EngineFormatError(
            f"engine {path} is a TensorRT plan, which this pix2rt does not run; use trtexec or TensorRT itself, "
            "or give the .onnx that it was built from"
        )
    if path.suffix != ".onnx":
        raise EngineFormatError(f"engine {path}: unknown kind of file {path.suffix!r}, expected .onnx")
    spec = read_spec(path)
    if kinds and spec.kind not in kinds:
        raise EngineFormatError(f"engine {path} is a {spec.kind!r} engine, expected {' or '.join(map(repr, kinds))}")
    if spec.kind not in _INPUTS:
        raise EngineFormatError(
            f"engine {path} is of kind {spec.kind!r}; this pix2rt knows {', '.join(_INPUTS)}: upgrade it"
        )
    _require_tensors(path, "input", spec.inputs, _INPUTS[spec.kind])
    _require_tensors(path, "output", spec.outputs, _OUTPUTS[spec.kind])
    _require_sense(path, spec)
    return spec


def _require_tensors(path: Path, what: str, tensors: tuple[TensorSpec, ...], known: dict[str, tuple[str, int]]) -> None:
    names = [tensor.name for tensor in tensors]
    if next(iter(known)) not in names or len(set(names)) < len(names):
        raise _tampered(path, f"{what}s are {', '.join(names)}, expected {', '.join(known)}")
    for tensor in tensors:
        if known.get(tensor.name) != (tensor.dtype, len(tensor.shape)):
            raise _tampered(path, f"{what} {tensor.name} is {tensor.dtype} {list(tensor.shape)}")


def _require_sense(path: Path, spec: EngineSpec) -> None:
    """What the runners rely on, beyond names and dtypes."""
    height, width = spec.size or (spec.size_multiple, spec.size_multiple)
    if height < 1 or width < 1 or height % spec.size_multiple or width % spec.size_multiple:
        raise _tampered(path, f"size {spec.size} with size multiple {spec.size_multiple}")
    if spec.labels is None and (spec.kind == "synthesizer" or spec.styles):
        raise _tampered(path, f"a {spec.kind} without a class table")
    if spec.kind == "sketch":
        _require_completion(path, spec)
        return
    for tensor in spec.inputs:
        if not _fits(tensor, spec):
            raise _tampered(path, f"input {tensor.name} of {list(tensor.shape)} for size {spec.size}")
    _require_styles(path, spec)
    if spec.kind in ("translator", "inpainter") or (spec.kind == "baseline" and spec.labels is None):
        _require_translation(path, spec)
    if spec.kind == "inpainter":
        _require_completed_image(path, spec)


def _fits(tensor: TensorSpec, spec: EngineSpec) -> bool:
    """Whether an input has the engine's batch and size, and asks for no absurd amount of memory."""
    sizes = [axis for axis in tensor.shape if isinstance(axis, int)]
    if min(sizes, default=1) < 1 or math.prod(sizes) > _MAX_ELEMENTS or tensor.shape[0] != spec.inputs[0].shape[0]:
        return False
    if tensor.name in ("styles", "seed"):
        return True
    axes = _sides(tensor)
    return axes == spec.size if spec.size else not any(isinstance(axis, int) for axis in axes)


def _sides(tensor: TensorSpec) -> tuple[int | str, ...]:
    """The axes H and W of an image or map."""
    first = 2 if tensor.name in ("input", "hole", "output") else 1  # [N, C, H, W], the others [N, H, W, …]
    return tensor.shape[first : first + 2]


def _fixed(*axes: int | str) -> list[int | None]:
    """Sizes; None for an axis that is free, whatever its name."""
    return [axis if isinstance(axis, int) else None for axis in axes]


def _require_translation(path: Path, spec: EngineSpec) -> None:
    """An image goes in and one of the same batch and size comes out; how many channels each has is known."""
    image = spec.input("image") or spec.inputs[0]
    translation = spec.outputs[0]
    if _fixed(image.shape[0], *_sides(image)) != _fixed(translation.shape[0], *_sides(translation)):
        raise _tampered(path, f"{image.name} {list(image.shape)} becomes {translation.name} {list(translation.shape)}")
    for tensor in (image, translation):
        channels = tensor.shape[_CHANNEL_AXIS[tensor.dtype]]
        if not isinstance(channels, int) or channels < 1:
            raise _tampered(path, f"{tensor.name} has {channels} channels")
    if spec.normalization not in _NORMALIZATIONS:
        raise _tampered(path, f"normalization {spec.normalization!r}, known are {', '.join(_NORMALIZATIONS)}")


def _require_completed_image(path: Path, spec: EngineSpec) -> None:
    """A hole mask goes in beside the image, and all images are RGB."""
    if spec.input("hole_mask") is None:
        raise _tampered(path, "an inpainter without hole_mask")
    for tensor in (*spec.inputs, *spec.outputs):
        if tensor.name != "hole_mask" and tensor.shape[3] != _RGB:
            raise _tampered(path, f"{tensor.name} has {tensor.shape[3]} channels, expected {_RGB}")


def _require_completion(path: Path, spec: EngineSpec) -> None:
    """Every tensor is there; sizes agree, with N free or of one size throughout."""
    shapes = {tensor.name: tensor.shape for tensor in (*spec.inputs, *spec.outputs)}
    missing = [name for name in (*_INPUTS["sketch"], *_OUTPUTS["sketch"]) if name not in shapes]
    if missing:
        raise _tampered(path, f"a sketch engine without {', '.join(missing)}")
    count, z_nc = shapes["z"]
    height, width = shapes["observed"][1:3]
    wanted: dict[str, tuple[int | str, ...]] = {
        "observed": (1, height, width, 3),
        "known_mask": (1, height, width),
        "image": (count, height, width, 3),
        **dict.fromkeys(("z", "velocity", "next_z", "next_velocity"), (count, z_nc)),
        **dict.fromkeys(("contextual_loss", "perceptual_loss"), (count,)),
    }
    for name, shape in shapes.items():
        if shape != wanted.get(name, (1,)):
            raise _tampered(path, f"{name} of {list(shape)}, expected {list(wanted.get(name, (1,)))}")
    sizes = (height, width, z_nc)
    if not all(isinstance(axis, int) for axis in sizes) or width != 2 * int(height):
        raise _tampered(path, f"joint images of {height}×{width} and z of {z_nc}")
    if math.prod(map(int, sizes)) > _MAX_ELEMENTS:
        raise _tampered(path, f"joint images of {height}×{width} and z of {z_nc}")


def _require_styles(path: Path, spec: EngineSpec) -> None:
    styles = spec.input("styles")
    if styles and (spec.input("inst_map") is None or not isinstance(styles.shape[2], int)):
        raise _tampered(path, "styles without inst_map, or of unknown length")
    if styles and spec.styles and spec.styles.feat_num != styles.shape[2]:
        raise _tampered(path, f"a style bank of {spec.styles.feat_num} features for an input of {styles.shape[2]}")


def _tampered(path: Path, reason: str) -> EngineFormatError:
    return EngineFormatError(f"engine {path}: its specification makes no sense ({reason}); export it again")
