"""What is wrapped around a network or its weights when it is saved, taken off: names and reparametrisations."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from training.errors import CheckpointError

# DataParallel's, torch.compile's, and those of sharding and recomputing wrappers; in any order, however often.
_WRAPPERS = {"module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_COUNT_OF_AVERAGES = "n_averaged"  # of torch's AveragedModel


def unwrapped(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The state dict under the names that the network itself gives, spectral and weight normalisation folded in.

    Raises:
        CheckpointError: two tensors get one name, or a normalisation of weights is not whole.
    """
    named: dict[str, Tensor] = {}
    for name, value in state.items():
        bare = ".".join(part for part in name.split(".") if part not in _WRAPPERS)
        if bare in named:
            raise CheckpointError(f"{path}: {name} is there with and without its wrapper; save the network alone")
        named[bare] = value
    named.pop(_COUNT_OF_AVERAGES, None)
    return _folded(named, path)


def _folded(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Every weight that is stored as a direction and a size becomes the weight itself."""
    folded: dict[str, Tensor] = {}
    taken: set[str] = set()
    for name, value in state.items():
        layer, _, kind = name.rpartition(".")
        if name.endswith(".parametrizations.weight.original"):
            layer = layer.removesuffix(".parametrizations.weight")
            parts = [f"{layer}.parametrizations.weight.0.{part}" for part in ("_u", "_v")]
            folded[f"{layer}.weight"] = _without_spectral_norm(value, *_parts(state, parts, name, path))
        elif name.endswith(".parametrizations.weight.original0"):
            layer = layer.removesuffix(".parametrizations.weight")
            parts = [f"{layer}.parametrizations.weight.original1"]
            folded[f"{layer}.weight"] = _without_weight_norm(value, *_parts(state, parts, name, path))
        elif kind == "weight_orig":
            parts = [f"{layer}.weight_u", f"{layer}.weight_v"]
            folded[f"{layer}.weight"] = _without_spectral_norm(value, *_parts(state, parts, name, path))
            parts.append(f"{layer}.weight")  # some versions kept that, too
        elif kind == "weight_g":
            parts = [f"{layer}.weight_v"]
            folded[f"{layer}.weight"] = _without_weight_norm(value, *_parts(state, parts, name, path))
        else:
            continue
        taken |= {name, *parts}
    return {name: value for name, value in state.items() if name not in taken} | folded


def _parts(state: Mapping[str, Tensor], names: list[str], whole: str, path: Path) -> list[Tensor]:
    missing = [name for name in names if name not in state]
    if missing:
        raise CheckpointError(
            f"{path}: {whole} is a weight under spectral or weight normalisation, and {', '.join(missing)} is missing; "
            "remove the normalisation where the network was trained (torch.nn.utils.remove_spectral_norm), and save it"
        )
    return [state[name].float() for name in names]


def _without_spectral_norm(weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """weight / σ with σ = uᵀ·W·v, as in evaluation. W has the output channels first, which are a transposed
    convolution's second axis; where both axes are as long, the one whose singular vectors these are gives the larger σ.
    """
    weight = weight.float()
    matrices = [weight.movedim(axis, 0).flatten(1) for axis in range(min(weight.ndim, 2))]
    sigmas = [torch.dot(u, matrix @ v) for matrix in matrices if matrix.shape == (len(u), len(v))]
    if not sigmas:
        return weight  # of other sizes: the comparison with the network names the difference
    return weight / max(sigmas, key=abs)


def _without_weight_norm(size: Tensor, direction: Tensor) -> Tensor:
    """size · direction / ‖direction‖, the norm over the axes that `size` does not have."""
    if size.ndim != direction.ndim:
        return direction
    axes = [axis for axis in range(size.ndim) if size.shape[axis] == 1]
    return direction * (size.float() / torch.linalg.vector_norm(direction, dim=axes, keepdim=True))
