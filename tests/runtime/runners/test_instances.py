"""Instance indexing against numpy's sort-based answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runtime.runners.instances import find_instances, instance_means
from tests.examples import drawn

maps = hnp.arrays(
    np.int32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.sampled_from([0, 1, 2, 7, 999, 26001, 2**17 - 1, 2**17, 2**31 - 1]),
)


@settings(max_examples=drawn(200), deadline=None)
@given(maps)
def test_agrees_with_numpy_unique(inst_map):
    ids, first, inverse = np.unique(inst_map, return_index=True, return_inverse=True)
    found = find_instances(inst_map)
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_array_equal(found.first, first)
    np.testing.assert_array_equal(found.compact, inverse.reshape(inst_map.shape))
    assert (found.ids.dtype, found.compact.dtype) == (np.int32, np.int32)


@pytest.mark.parametrize("high", [2, 40000, 2**31 - 1])
def test_means(high):
    rng = np.random.default_rng(0)
    inst_map = rng.integers(0, high, (20, 30), dtype=np.int32)
    features = rng.normal(size=(3, 20, 30)).astype(np.float32)
    found = find_instances(inst_map)
    expected = [features[:, inst_map == instance].mean(axis=1, dtype=np.float64) for instance in found.ids]
    np.testing.assert_allclose(instance_means(features, found), expected, rtol=1e-6, atol=1e-7)
