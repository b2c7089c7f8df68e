"""Completion of held-out items from a checkpoint, for evaluation."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from runtime.errors import InputError
from training.checkpoint import Checkpoint
from training.data.joint import find_photos, joint_image
from training.data.paired import DIRECTIONS
from training.networks.layers import to_pixels, to_unit_range
from training.system import HeldOut, inference_device
from training.systems.contextual_gan.completion import Found, Search, complete
from training.systems.contextual_gan.options import SOURCES

SETTINGS = {
    "direction": "AtoB (default) or BtoA",
    "style": f"of the sketches, {', '.join(SOURCES[:-1])} or {SOURCES[-1]} (pairs as they lie); default as in training",
}
_SEED = 0


@dataclass(frozen=True)
class Item:
    """A held-out joint image, uint8 [side, 2·side, 3], of which the half `given` (0 or 1) is known.

    `hint`, uint8 [side, side], weighs what is known of the other half beside it, 255 being as much as the half given.
    """

    name: str
    joint: NDArray[np.uint8]
    given: int
    hint: NDArray[np.uint8] | None = None

    @property
    def weights(self) -> NDArray[np.float32]:
        """M, float32 [side, 2·side] in [0, 1]."""
        known = np.ones(self.joint.shape[:1] * 2, np.float32)
        other = np.zeros_like(known) if self.hint is None else self.hint.astype(np.float32) / 255
        return np.concatenate([known, other] if self.given == 0 else [other, known], 1)

    def held_out(self, made: Tensor) -> HeldOut:
        """With the other half of G(z), [1, 3, side, 2·side] in [−1, 1], as its completion."""
        real = np.split(self.joint, 2, 1)
        fake = np.split(to_pixels(made)[0].cpu().numpy(), 2, 1)
        return HeldOut(self.name, real[self.given], fake[1 - self.given], real[1 - self.given])


class Completer:
    """A checkpoint's networks on the accelerator, if there is one."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.device = inference_device()
        self.architecture = checkpoint.architecture
        self.networks: dict[str, nn.Module] = {n: m.to(self.device) for n, m in checkpoint.build().items()}

    def complete(self, item: Item, search: Search, keep: Collection[int] = ()) -> Found:
        """Search from seeded candidates, the first `search.candidates` of the same sequence for every item."""
        weights = torch.from_numpy(item.weights).to(self.device)[None, None]
        observed = to_unit_range(torch.from_numpy(item.joint)[None].to(self.device))
        rng = torch.Generator().manual_seed(_SEED)
        z = torch.rand(search.candidates, self.architecture.z_nc, generator=rng) * 2 - 1
        networks = self.networks
        candidates = z.to(self.device)
        return complete(networks["generator"], networks["discriminator"], observed, weights, search, candidates, keep)


def find_items(
    checkpoint: Checkpoint, data: Path, split: str, direction: str = "AtoB", style: str = ""
) -> Iterator[Item]:
    """The joint images of a folder of photos, sketched in `style` ("stored": as they lie), "" for that of training.

    Raises:
        InputError: no such direction or style.
        DataError: there are no photos.
    """
    if direction not in DIRECTIONS:
        raise InputError(f"direction is {direction!r}, expected one of {', '.join(DIRECTIONS)}")
    style = style or checkpoint.recipe.get("style", "xdog")
    if style not in SOURCES:
        raise InputError(f"style is {style!r}, expected one of {', '.join(SOURCES)}")
    for path in find_photos(data, split):
        joint = joint_image(path, style, checkpoint.architecture.size[0])
        yield Item(path.stem, joint, DIRECTIONS.index(direction))


def held_out(checkpoint: Checkpoint, data: Path, split: str, settings: Mapping[str, str]) -> Iterator[HeldOut]:
    """Complete every item of `data`'s `split` as the paper does: 10 candidates, 500 steps.

    Args:
        checkpoint: of the Contextual GAN.
        data: folder of photos (training/data/joint.py).
        split: part of the folder.
        settings: "direction": AtoB, sketch → photo (default), or BtoA, photo → sketch; "style" of the sketches, by
            default that of training.
    """
    completer, search = Completer(checkpoint), Search()
    for item in find_items(checkpoint, data, split, settings.get("direction", "AtoB"), settings.get("style", "")):
        found = completer.complete(item, search)
        yield item.held_out(found.images[search.iterations])
