"""Another project's names of parameters → ours, all of them or none."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from training.errors import CheckpointError

_SHOWN = 12


def shapes_of(build: Callable[[], nn.Module]) -> dict[str, Tensor]:
    """The state dict of the network that `build` makes, without values: no file's numbers can ask for memory."""
    with torch.device("meta"):
        return build().state_dict()


def absorb_biases(state: dict[str, Tensor], convolutions: Iterable[str]) -> None:
    """Move, in place, each bias before a BatchNorm into its running mean: x + b − mean = x − (mean − b).

    Some networks of others have one there, ours have none. Nothing is moved unless all can be.

    Args:
        state: under the other project's names, which end in the layer's number in its sequence.
        convolutions: the names of those that a BatchNorm follows.
    """
    moves = {f"{conv}.bias": f"{_neighbour(conv, 1)}.running_mean" for conv in convolutions}
    if all(bias in state and mean in state and state[bias].shape == state[mean].shape for bias, mean in moves.items()):
        for bias, mean in moves.items():
            state[mean] = state[mean] - state.pop(bias)


def previous_layer(name: str) -> str:
    """The layer before `name` in its sequence."""
    return _neighbour(name, -1)


def _neighbour(name: str, step: int) -> str:
    sequence, _, number = name.rpartition(".")
    return f"{sequence}.{int(number) + step}"


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
