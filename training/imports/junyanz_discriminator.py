"""`latest_net_D.pth` of junyanz' project: PatchGAN of any depth and PixelGAN, under the names of our networks."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from training.errors import CheckpointError
from training.imports.renaming import rename_strict, shapes_of
from training.networks.patchgan import PatchGAN, PixelGAN

_MAX_LAYERS = 16


def read_discriminator(path: Path, state: Mapping[str, Tensor], seen: tuple[int, ...]) -> dict[str, Tensor]:
    """State dict of our `PatchGAN` with padding 1, or `PixelGAN`.

    Args:
        path: for messages.
        state: under that project's names.
        seen: numbers of channels that it may look at.

    Raises:
        CheckpointError: it is no discriminator, or one of other images.
    """
    root = "net" if "net.0.weight" in state else "model"
    front = state.get(f"{root}.0.weight")
    if front is None or front.ndim != 4:
        raise CheckpointError(
            f"{path} is no pix2pix discriminator: expected a convolution 'model.0.weight' or 'net.0.weight', received "
            f"{', '.join(list(state)[:3]) or 'nothing'}; give the …_net_D.pth of the run"
        )
    if front.shape[1] not in seen:
        raise CheckpointError(
            f"{path} looks at {front.shape[1]} channels, expected {' or '.join(map(str, seen))} for this generator; "
            "give files of one training run"
        )
    n_layers = sum(1 for name, value in state.items() if re.fullmatch(r"model\.\d+\.weight", name) and value.ndim == 4)
    if root == "model" and not 3 <= n_layers <= _MAX_LAYERS:
        raise CheckpointError(f"{path}: the discriminator has {n_layers} convolutions, expected 3 to {_MAX_LAYERS}")
    norm = "instance" if f"{root}.2.bias" in state else "none"
    if any(value.ndim == 1 and name.endswith(".weight") for name, value in state.items()):
        norm = "batch"

    def build() -> nn.Module:
        if root == "net":
            return PixelGAN(front.shape[1], front.shape[0], norm)
        return PatchGAN(front.shape[1], front.shape[0], n_layers - 2, 1, norm)

    own = shapes_of(build)
    with_bias = {"layers.0.0.bias"} | ({list(own)[-1]} if root == "model" else set())  # whatever the normalisation
    complete = dict(state)
    for name, value in own.items():
        lacks_bias = norm == "none" and name.endswith(".0.bias") and name not in with_bias
        if name.endswith("num_batches_tracked") or lacks_bias:
            complete.setdefault(_foreign_name(name, root), torch.zeros(value.shape))
    claim = f"{path} does not fit the discriminator that its entries suggest"
    return rename_strict(complete, own, lambda name: _foreign_name(name, root), claim)


def _foreign_name(name: str, root: str) -> str:
    """Ours is layers.{layer}.{0 convolution, 1 norm}; there the layers with a norm and an activation are in one row."""
    _, layer, part, kind = name.split(".")
    return f"{root}.{max(3 * int(layer) - 1, 0) + int(part)}.{kind}"
