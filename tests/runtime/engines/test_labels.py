"""Class tables that nobody named: colours that can be told apart."""

import numpy as np
import pytest

from runtime.engines.labels import LabelSpec


@pytest.mark.parametrize("label_nc", [2, 35, 256])
def test_colours_of_unnamed_classes_can_be_told_apart(label_nc):
    labels = LabelSpec.unnamed(label_nc)
    colours = np.array(labels.palette)
    assert len(set(labels.names)) == len(set(labels.palette)) == label_nc
    distances = np.abs(colours[:, None] - colours[None]).max(-1) + 255 * np.eye(label_nc, dtype=int)
    assert distances.min() >= min(255 // label_nc, 12)
    assert np.array_equal(labels.ids_from_palette(colours[None].astype(np.uint8))[0], np.arange(label_nc))
