"""Whether a completed photo has what its sketch shows: glasses, a beard. A small network that knows faces judges.

Sketches are those of procedural faces, whose properties are known, so that no person has to look.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from runtime.errors import InputError
from training.checkpoint import Checkpoint
from training.data.faces import Face, random_face, render_face
from training.data.joint import joint_of
from training.data.sketches import STYLES
from training.systems.contextual_gan.completion import Search
from training.systems.contextual_gan.held_out import Completer, Item

ATTRIBUTES: Mapping[str, Callable[[Face], bool]] = {
    "glasses": lambda face: face.glasses > 0,
    "beard": lambda face: face.beard != "none",
}
FIRST_SEED = 300_000  # of the faces that are sketched; training sets begin at 0 and 100,000
_JUDGES_SEED, _HELD_OUT = 200_000, 500
_SIDE = 64
_EPOCHS, _BATCH = 12, 50


@dataclass(frozen=True)
class Row:
    """What became of one attribute.

    Attributes:
        attribute: of `ATTRIBUTES`.
        kept, shown: of so many faces that have it, so many photos do.
        invented, absent: of so many faces that do not have it, so many photos do.
        accuracy: of the judge, on held-out faces at half their resolution, which is how soft a completion may be.
    """

    attribute: str
    kept: int
    shown: int
    invented: int
    absent: int
    accuracy: float


class Judge:
    """Tells the attributes of a face from its photo, RGB uint8 [H, W, 3].

    Args:
        faces: to learn from.

    Attributes:
        accuracy: on other faces, by attribute; see `Row`.
    """

    def __init__(self, faces: int = 3000) -> None:
        self.network = _network()
        drawn = [random_face(seed) for seed in range(_JUDGES_SEED, _JUDGES_SEED + faces + _HELD_OUT)]
        photos = _floats([render_face(face, _SIDE) for face in drawn])
        truth = torch.tensor([[has(face) for has in ATTRIBUTES.values()] for face in drawn])
        self._learn(photos[:faces], truth[:faces].float())
        right = self._says(_soft(photos[faces:])) == truth[faces:]
        self.accuracy = dict(zip(ATTRIBUTES, right.float().mean(0).tolist(), strict=True))

    def __call__(self, photo: NDArray[np.uint8]) -> list[bool]:
        """Whether it has each of `ATTRIBUTES`."""
        return self._says(F.interpolate(_floats([photo]), (_SIDE, _SIDE), mode="area"))[0].tolist()

    def _learn(self, photos: Tensor, truth: Tensor) -> None:
        """On photos as they are, mirrored, soft and with noise, as completions may be."""
        rng = torch.Generator().manual_seed(0)
        optimizer = torch.optim.Adam(self.network.parameters(), 1e-3)
        for _ in range(_EPOCHS):
            for batch in torch.randperm(len(photos), generator=rng).split(_BATCH):
                images = photos[batch]
                images = images.flip(-1) if torch.rand((), generator=rng) < 0.5 else images
                images = _soft(images) if torch.rand((), generator=rng) < 0.5 else images
                noise = 0.1 * torch.rand((), generator=rng) * torch.randn(images.shape, generator=rng)
                loss = F.binary_cross_entropy_with_logits(self.network(images + noise), truth[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        self.network.eval()

    @torch.no_grad()
    def _says(self, photos: Tensor) -> Tensor:
        says: Tensor = self.network(photos) > 0
        return says


def study(
    checkpoint: Checkpoint,
    judge: Judge,
    items: int = 10,
    search: Search | None = None,
    progress: Callable[[str], None] = lambda title: None,
) -> list[Row]:
    """Complete sketches of faces until every attribute was there `items` times, and `items` times not.

    Args:
        checkpoint: of the Contextual GAN; its style of sketch is used.
        judge: see `Judge`.
        items: of each attribute, shown and absent.
        search: of z; None for the paper's.
        progress: called with each face's name.

    Raises:
        InputError: the checkpoint names no style of sketch that can be made.
    """
    search = search or Search()
    style = checkpoint.recipe.get("style", "xdog")
    if style not in STYLES:
        raise InputError(
            f"the network learned from joint images as they lie ({style}); how to sketch a face for it is unknown; "
            f"give one that was trained with --style {', '.join(STYLES)}"
        )
    completer, side = Completer(checkpoint), checkpoint.architecture.size[0]
    counts = {(name, there): [0, 0] for name in ATTRIBUTES for there in (True, False)}  # judged to be there; all
    for seed, face, needed in _faces(items):
        item = Item(f"face {seed}", joint_of(render_face(face, 2 * side), style, side), given=0)
        progress(item.name)
        made = item.held_out(completer.complete(item, search).images[search.iterations]).fake_image
        says = dict(zip(ATTRIBUTES, judge(made), strict=True))
        for name in needed:
            count = counts[name, ATTRIBUTES[name](face)]
            count[0] += says[name]
            count[1] += 1
    return [
        Row(name, kept, shown, invented, absent, judge.accuracy[name])
        for name in ATTRIBUTES
        for kept, shown in [counts[name, True]]
        for invented, absent in [counts[name, False]]
    ]


def markdown(rows: Sequence[Row], iterations: int) -> str:
    """The table, and what it rests on."""
    lines = ["| attribute | shown in the sketch, kept in the photo | absent, invented |", "|---|---|---|"]
    lines += [f"| {row.attribute} | {row.kept} of {row.shown} | {row.invented} of {row.absent} |" for row in rows]
    judged = ", ".join(f"{row.attribute} {row.accuracy:.3f}" for row in rows)
    lines += ["", f"{iterations} steps a search. The judge's accuracy on soft photos: {judged}."]
    return "\n".join(lines) + "\n"


def _faces(items: int) -> Iterator[tuple[int, Face, list[str]]]:
    """Faces from FIRST_SEED on, each with the attributes of which it is among the first `items`, there or not."""
    left = {(name, there): items for name in ATTRIBUTES for there in (True, False)}
    seed = FIRST_SEED
    while any(left.values()):
        face = random_face(seed)
        needed = [name for name, has in ATTRIBUTES.items() if left[name, has(face)]]
        for name in needed:
            left[name, ATTRIBUTES[name](face)] -= 1
        if needed:
            yield seed, face, needed
        seed += 1


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for input_nc, output_nc in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(input_nc, output_nc, 3, 2, 1), nn.BatchNorm2d(output_nc), nn.ReLU()]
    side = _SIDE // 2**3
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * side**2, 64), nn.ReLU(), nn.Linear(64, len(ATTRIBUTES)))


def _floats(photos: Sequence[NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _soft(photos: Tensor) -> Tensor:
    return F.interpolate(F.avg_pool2d(photos, 2), scale_factor=2.0, mode="bilinear")
