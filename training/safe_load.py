"""Reading files that other people made, without ever running what is inside them."""

import pickle
import re
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from runtime.files import require_file
from training.errors import CheckpointError
from training.file_kinds import other_kind
from training.pickled_arrays import read_pickled_arrays

_MAX_PICKLE_BYTES = 64 * 2**20  # style clusters take kilobytes
_NPY_MAGIC = b"\x93NUMPY"
_UNKNOWN_CLASS = re.compile(r"GLOBAL (\S+) was not an allowed global")
_MAX_CLASSES = 64
# What damaged files were seen to raise inside torch's reader.
READ_ERRORS = (
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError, OSError, AssertionError, MemoryError),
    *(ArithmeticError, struct.error, tarfile.TarError, zipfile.BadZipFile),
)


def load_state_dict_file(path: str | Path, what: str = "checkpoint") -> dict[str, Tensor]:
    """A state dict file, `.pth` or `.safetensors` → tensors by name, on the CPU; `what` it is, for messages.

    Raises:
        MissingFileError: no such file.
        CheckpointError: it is truncated, holds code or objects, or is no state dict.
    """
    state = load_document(path, what)
    if isinstance(state, StandIn):
        raise CheckpointError(f"{path} holds more than tensors: an object {state.path}; save its state_dict()")
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} is no state dict (name → tensor); save net.state_dict() of the generator itself")
    return {str(name): plain(value, str(name), path) for name, value in state.items()}


def load_document(path: str | Path, what: str = "checkpoint") -> Any:
    """Whatever `torch.save` or safetensors wrote, on the CPU: tensors, numbers, text and plain containers.

    Nothing in the file is run. Objects of any class become a `StandIn` that keeps their attributes, so that the tensors
    beside them, or within a network that was saved whole, can be read.

    Raises:
        MissingFileError: no such file.
        CheckpointError: it is truncated, damaged, or of another kind, which is named.
    """
    path = require_file(path, what)
    try:
        other = other_kind(path)
        if other:
            raise CheckpointError(f"{path} was not loaded: it is {other}")
        return _load_safetensors(path) if _is_safetensors(path) else _load_pickle(path)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} was not loaded: it is damaged, or holds more than tensors ({_reason(error)}); "
            "save it again as a plain state dict: torch.save(net.state_dict(), …)"
        ) from error
    except READ_ERRORS as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{path} cannot be read, it is truncated or no torch file: {_first_line(error)}"
        ) from error


class StandIn:
    """In the place of an object of a class that is not loaded: its attributes, and no behaviour.

    Attributes:
        path: module and name of the class.
    """

    path = ""

    def __new__(cls, *arguments: object, **named: object) -> "StandIn":
        return super().__new__(cls)

    def __init__(self, *arguments: object, **named: object) -> None:
        """As the class is called in a file, with anything."""

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update({str(name): value for name, value in state.items()})


def _load_pickle(path: Path) -> Any:
    stand_ins: dict[str, type[StandIn]] = {}
    while True:
        try:
            with torch.serialization.safe_globals([(kind, name) for name, kind in stand_ins.items()]):
                return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            match = _UNKNOWN_CLASS.search(str(error))
            if match is None or match[1] in stand_ins or len(stand_ins) == _MAX_CLASSES:
                raise
            name = match[1] if "." in match[1] else f"builtins.{match[1]}"  # torch's message leaves that module out
            stand_ins[name] = type("StandIn", (StandIn,), {"path": name})


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.read(9)
    return path.suffix == ".safetensors" or (
        head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size
    )


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a safetensors file, or truncated or damaged: {error}") from error


def plain(value: Tensor, name: str, path: str | Path) -> Tensor:
    """The tensor without its gradient.

    Raises:
        CheckpointError: it is sparse, quantised, elsewhere than in the file, or larger than the file.
    """
    if not _is_plain(value):
        raise CheckpointError(f"{path}: {name} is no ordinary dense tensor; save the network's own state dict")
    return value.detach()


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:160] or type(error).__name__


def _reason(error: pickle.UnpicklingError) -> str:
    """torch's reason without its advice, which is to trust the file."""
    reason = str(error).rpartition("WeightsUnpickler error:")[2].strip().split("\n", 1)[0]
    return reason.partition(". Please")[0][:160]


def _is_plain(value: Tensor) -> bool:
    """Dense, on the CPU, and as large as it claims: an expanded tensor names terabytes with four bytes of storage."""
    if value.layout != torch.strided or value.is_quantized or value.is_nested or value.device.type != "cpu":
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def load_pickled_dict(path: str | Path) -> dict[Any, Any]:
    """A dictionary of numpy arrays that `numpy.save` pickled into an `.npy` file. It is read as data, never unpickled.

    Raises:
        MissingFileError: no such file.
        CheckpointError: it is damaged, or anything but a dictionary of arrays is inside.
    """
    path = require_file(path, "style clusters")
    try:
        if path.stat().st_size > _MAX_PICKLE_BYTES:
            raise CheckpointError(
                f"{path} was not loaded: it is larger than {_MAX_PICKLE_BYTES >> 20} MiB; expected style clusters"
            )
        value = read_pickled_arrays(_npy_payload(path.read_bytes()))
    except (ValueError, OSError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{path} was not loaded: {error}; expected a dictionary label → array [k, feat_num]"
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds {type(value).__name__}; expected a dictionary label → array [k, feat_num]")
    return value


def _npy_payload(content: bytes) -> bytes:
    """What follows the header of an `.npy` file that holds one Python object."""
    if content[:6] != _NPY_MAGIC or len(content) < 12:
        raise ValueError("it is no .npy file")
    size_end = 10 if content[6] == 1 else 12  # format 1 has a 16-bit header length, later ones 32 bits
    header_end = size_end + int.from_bytes(content[8:size_end], "little")
    header = content[size_end:header_end]
    if not re.search(rb"'descr': *'\|O8?'", header) or not re.search(rb"'shape': *\(\)", header):
        raise ValueError("it is an .npy file of an ordinary array")
    return content[header_end:]
