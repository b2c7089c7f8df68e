"""The resumable state of a run: all that training needs beside the checkpoint, in one file so that the parts agree."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.checkpoint import Checkpoint, load_checkpoint
from training.errors import CheckpointError
from training.safe_load import READ_ERRORS
from training.writing import tensor_file

CHECKPOINT_FILE = "checkpoint.safetensors"
STATE_FILE = "training_state.pt"


def save_state(folder: Path, step: int, roles: Mapping[str, nn.Module], rest: Mapping[str, Any]) -> None:
    """Write atomically. `rest`: optimiser and scaler states; tensors and plain containers only.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    document = {"step": step, "roles": {role: module.state_dict() for role, module in roles.items()}, **rest}
    with tensor_file(folder / STATE_FILE) as temporary, temporary.open("wb") as stream:
        torch.save(document, stream)


def load_state(folder: Path) -> dict[str, Any] | None:
    """What `save_state` wrote, on the CPU; None where the run has not saved yet.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {"step": int(state["step"]), **state}
    except (pickle.UnpicklingError, *READ_ERRORS) as error:
        raise CheckpointError(
            f"{path} is damaged ({error}); train into a new folder, from {CHECKPOINT_FILE} with --init"
        ) from error


def read_initial(path: Path, family: str) -> Checkpoint:
    """The checkpoint at `path`, or that of the run folder `path` together with its discriminator.

    Raises:
        CheckpointError: of another family, or damaged.
    """
    checkpoint = load_checkpoint(path / CHECKPOINT_FILE if path.is_dir() else path)
    if checkpoint.family != family:
        raise CheckpointError(f"{path} holds a network of family {checkpoint.family}, expected {family}")
    state = load_state(path) if path.is_dir() else None
    if state is not None:
        checkpoint.networks |= {role: tensors for role, tensors in state["roles"].items() if role == "discriminator"}
    return checkpoint
