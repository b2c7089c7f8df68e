"""Another project's names of parameters → ours, all of them or none."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from training.errors import CheckpointError

_SHOWN = 12


def shapes_of(build: Callable[[], nn.Module]) -> dict[str, Tensor]:
    """The state dict of the network that `build` makes, without values: no file's numbers can ask for memory."""
    with torch.device("meta"):
        return build().state_dict()


def rename_strict(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], foreign_name: Callable[[str], str], claim: str
) -> dict[str, Tensor]:
    """The state dict under our names, if it holds just the tensors of a network; else the difference, in its names.

    Args:
        state: under the other project's names.
        own: the network's `shapes_of`.
        foreign_name: our name → the other project's.
        claim: what the message says of the file, "… does not fit …".

    Raises:
        CheckpointError: a tensor is missing, left over or of another shape.
    """
    wanted = {foreign_name(name): name for name in own}
    differences = [f"missing {name} {list(own[wanted[name]].shape)}" for name in wanted if name not in state]
    differences += [f"unexpected {name} {list(value.shape)}" for name, value in state.items() if name not in wanted]
    differences += [
        f"{name} is {list(state[name].shape)}, expected {list(own[mine].shape)}"
        for name, mine in wanted.items()
        if name in state and state[name].shape != own[mine].shape
    ]
    if differences:
        more = [f"… {len(differences) - _SHOWN} more"] if len(differences) > _SHOWN else []
        raise CheckpointError(f"{claim}, nothing was imported:\n  " + "\n  ".join(differences[:_SHOWN] + more))
    return {mine: state[name] for name, mine in wanted.items()}
