"""Inpainters in native kernels: the program of their graph, and the gate that gives each backend its own matches.

What they complete is compared with the definition in test_inpainting.py.
"""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from export.gate import Example, _matches, _showing_matches
from runtime.engines.program import read_program
from runtime.native.library import missing_reason
from tests.export.test_inpainting import SIZE, checkpoint_path, engines, random_inputs

__all__ = ["checkpoint_path", "engines"]  # fixtures
needs_kernels = pytest.mark.skipif(missing_reason() is not None, reason=str(missing_reason()))


@pytest.mark.nightly
def test_the_program_is_coarse(engines: Any) -> None:
    """Filling is one layer, twice at each scale, and what is pasted twice is pasted once."""
    program, _ = read_program(engines("two").path, engines("two").spec) or pytest.fail("no program")
    counts = Counter(layer.op for layer in program.layers)
    assert {op: counts[op] for op in ("hole_mask", "smooth_fill", "blend", "patch_match", "patch_paste")} == {
        "hole_mask": 1,
        "smooth_fill": 4,
        "blend": 1,
        "patch_match": 3,
        "patch_paste": 3,
    }
    assert counts["affine"] == 4  # one for each time that features are computed
    assert counts["select"] == 2 + 2 * 2 - 1  # one before each scale and two a translation; the last pastes bytes
    assert [layer.op for layer in program.layers][-1] == "paste_bytes"


@needs_kernels
def test_matches_are_those_of_the_backend(engines: Any) -> None:
    """Each is held against the checkpoint by its own: where keys all but tie, backends may differ."""
    engine = engines("two")
    examples = [Example(random_inputs(1, *SIZE), lambda matches: {}, follows_matches=True)]
    with _showing_matches(engine.path, examples) as shown:
        assert shown
        for backend in engine.backends:
            (given,) = _matches(shown, backend, examples)
            assert [match.shape for match in given] == [(1, 4, 6)] * 2 + [(1, 8, 12)]
            assert all(match.dtype == np.int32 and (match >= 0).any() and (match == -1).any() for match in given)
