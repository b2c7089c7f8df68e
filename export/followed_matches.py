"""Inpainting in torch that follows an engine's matches, where they are as good as its own."""

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cuda_ext.ops import patch_match, patch_paste
from export.errors import ParityError
from export.inference_modules import Matches
from training.networks.inpainting import Inpainting

# Largest shortfall of a match's cosine ⟨P(p), P(q)⟩ / (‖P(p)‖·‖P(q)‖) behind the best one's.
MATCH_TOLERANCE = {
    "fp32": 1e-5,  # worst measured: 1.3e-7, in 1 of 7366 matches (the default networks, 512×512)
    "fp16": 0.01,  # worst measured: 5.9e-4, in 1.2 % of the matches differing: features are rounded, too
}


class FollowedMatches(Inpainting):
    """`Inpainting` whose every match is given, and checked against its own.

    Args:
        networks: as of `Inpainting`, unchanged, float32.
        scales, iterations: likewise.
        matches: of the engine, int32 [N, h, w], in the order in which they are used.
        precision: of the engine.
    """

    def __init__(
        self, networks: Mapping[str, nn.Module], scales: int, iterations: int, matches: Matches, precision: str
    ) -> None:
        super().__init__(networks, scales, iterations)
        self._given: Iterator[Tensor] = iter([torch.from_numpy(match) for match in matches])
        self._tolerance = MATCH_TOLERANCE[precision]

    def match(self, features: Tensor, hole: Tensor, compared: Tensor) -> Tensor:
        """Paste what the engine matched.

        Raises:
            ParityError: it matched a worse key than rounding explains, none where there is one, or the reverse.
        """
        given, own = next(self._given), patch_match(compared, hole)
        if not torch.equal(given < 0, own < 0):
            raise ParityError(
                f"the engine finds no match for {int((given < 0).sum())} of {given.numel()} feature pixels, the "
                f"checkpoint for {int((own < 0).sum())}; report this with the checkpoint"
            )
        loss = _largest_loss(compared, own, given)
        if loss > self._tolerance:
            raise ParityError(
                f"the engine matches a patch whose cosine is {loss:.3g} below the best one's, at most "
                f"{self._tolerance:g} expected; nothing was written. Export with --precision fp32, or report this with "
                "the checkpoint"
            )
        result: Tensor = patch_paste(features, hole, given)
        return result


def _largest_loss(features: Tensor, own: Tensor, given: Tensor) -> float:
    """By how much the cosine of a query and its given match lies below that of its own match, at most."""
    image, row, column = torch.nonzero(own != given, as_tuple=True)
    if not len(image):
        return 0.0
    width = features.shape[3]
    padded = F.pad(features, (1, 1, 1, 1)).to(torch.float64)
    query = _patches(padded, image, row, column)
    keys = (
        _patches(padded, image, m // width, m % width) for m in (match[image, row, column] for match in (own, given))
    )
    best, chosen = (F.cosine_similarity(query, key, dim=1) for key in keys)
    return float((best - chosen).max())


def _patches(padded: Tensor, image: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """3×3 patches of a map with a border of one, [number, 9·C]."""
    parts = [padded[image, :, row + y, column + x] for y in range(3) for x in range(3)]
    return torch.cat(parts, 1)
