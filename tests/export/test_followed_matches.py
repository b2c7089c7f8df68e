"""Patch-swap beside the operator: by convolutions for the baseline, and along an engine's matches for the gate."""

from typing import Any

import numpy as np
import pytest
import torch

from export.dense_patch_swap import DenseInpainting
from export.errors import ParityError
from export.family_options.inpainting import Options
from export.followed_matches import MATCH_TOLERANCE, FollowedMatches
from export.inference_modules import Request
from export.onnx_from_checkpoint import graphs_of
from tests.export.test_inpainting import SIZE, quantised, swapped, tiny_checkpoint
from tests.tolerances import GREY_LEVELS
from training.networks.inpainting import Inpainting


@torch.no_grad()
def test_the_baselines_patch_swap_is_the_definition() -> None:
    rng = np.random.default_rng(0)
    dense = DenseInpainting(tiny_checkpoint().build()).match
    for _ in range(30):
        height, width = rng.integers(3, 12, 2)
        features = torch.from_numpy(rng.integers(-3, 4, (1, 2, height, width)).astype(np.float32))
        hole = torch.from_numpy((rng.random((1, 1, height, width)) < rng.choice([0, 0.05, 0.2, 1])).astype(np.float32))
        compared = torch.from_numpy(rng.integers(-3, 4, (1, 2, height, width)).astype(np.float32))
        for other in (features, compared):
            received = dense(features, hole, other)
            torch.testing.assert_close(received, swapped(features, hole, other), atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_gate_follows_matches_as_good_as_its_own_and_no_others() -> None:
    networks = tiny_checkpoint().build()
    features = torch.from_numpy(np.random.default_rng(0).random((1, 8, 12, 12), np.float32))
    features[..., 9:12, 9:12] = 2 * features[..., :3, :3]  # both best for the same queries
    hole = torch.zeros(1, 1, 12, 12)
    hole[..., 5:7, 5:7] = 1
    own = torch.ops.pix2rt.patch_match(features, hole)

    def followed(match: torch.Tensor) -> torch.Tensor:
        return FollowedMatches(networks, 1, 1, [match.numpy()], "fp32").match(features, hole, features)

    torch.testing.assert_close(followed(own), swapped(features, hole))
    query = (0, 5, 5)
    features[0, :, 4:7, 4:7] = features[0, :, :3, :3]
    own = torch.ops.pix2rt.patch_match(features, hole)
    tied = own.clone()
    assert own[query] in (13, 10 * 12 + 10)
    tied[query] = 13 + 10 * 12 + 10 - own[query]
    pasted = followed(tied)
    assert (pasted - followed(own)).abs().max() > 0.01
    worse = own.clone()
    worse[query] = 10 * 12 + 1
    with pytest.raises(ParityError, match=f"cosine is 0.* below .*at most {MATCH_TOLERANCE['fp32']:g}"):
        followed(worse)
    with pytest.raises(ParityError, match="finds no match for"):
        followed(torch.full_like(own, -1))


def test_the_pipeline_of_export_is_that_of_training() -> None:
    """`Inpainting` as evaluation uses it and the reference that the gate follows give the same without an engine."""
    networks = tiny_checkpoint().build()
    (graph,) = graphs_of(tiny_checkpoint(), Request(SIZE, options=Options(scales=2)))
    arrays = graph.examples(1, *SIZE, np.random.default_rng(0))
    matches: list[Any] = []

    class Noting(Inpainting):
        def match(self, features: torch.Tensor, hole: torch.Tensor, compared: torch.Tensor) -> torch.Tensor:
            matches.append(torch.ops.pix2rt.patch_match(compared, hole).numpy())
            return super().match(features, hole, compared)

    image = torch.from_numpy(arrays["image"].transpose(0, 3, 1, 2) / np.float32(127.5) - 1)
    hole = torch.from_numpy((arrays["hole_mask"] > 0).astype(np.float32))[:, None]
    with torch.no_grad():
        made = quantised(Noting(networks, 2)(image, hole))
    assert graph.reference_given
    expected = graph.reference_given(arrays, matches)["completed"]
    missing = arrays["hole_mask"] > 0
    assert np.abs(expected.astype(int) - made)[missing].max() <= GREY_LEVELS["fp32"]
