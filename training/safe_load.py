"""Reading files that other people made, without ever running what is inside them."""

import pickle
import re
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runtime.files import require_file
from training.errors import CheckpointError
from training.pickled_arrays import read_pickled_arrays

_MAX_PICKLE_BYTES = 64 * 2**20  # style clusters take kilobytes
_NPY_MAGIC = b"\x93NUMPY"
# What damaged files were seen to raise inside torch's reader.
READ_ERRORS = (
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError, OSError, AssertionError, MemoryError),
    *(ArithmeticError, struct.error, tarfile.TarError, zipfile.BadZipFile),
)


def load_state_dict_file(path: str | Path) -> dict[str, Tensor]:
    """A `.pth` state dict → tensors by name, on the CPU. Only tensors and plain containers are admitted.

    Raises:
        MissingFileError: no such file.
        CheckpointError: it is truncated, holds code or objects, or is no state dict.
    """
    path = require_file(path, "checkpoint")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} was not loaded: it is damaged, or holds more than tensors ({_reason(error)}); "
            "save it again as a plain state dict: torch.save(net.state_dict(), …)"
        ) from error
    except READ_ERRORS as error:
        raise CheckpointError(
            f"{path} cannot be read, it is truncated or no torch file: {_first_line(error)}"
        ) from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} is no state dict (name → tensor); save net.state_dict() of the generator itself")
    for name, value in state.items():
        if not _is_plain(value):
            raise CheckpointError(f"{path}: {name} is no ordinary dense tensor; save the network's own state dict")
    return {str(name): value.detach() for name, value in state.items()}


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
