"""Which instances the style bank is made of."""

import pytest
import torch

from training.class_tables import STREET
from training.data.scenes.labels import Label, Part
from training.styles import MIN_PIXELS, _instance_features


def test_an_instance_counts_from_the_least_size_on():
    inst_map = torch.zeros(16, 16, dtype=torch.int32)
    inst_map.view(-1)[:MIN_PIXELS] = 7
    inst_map.view(-1)[MIN_PIXELS : 2 * MIN_PIXELS - 1] = 8
    label_map = torch.where(inst_map == 7, 3, torch.where(inst_map == 8, 4, 5))
    features = torch.stack([inst_map.float(), torch.arange(256.0).reshape(16, 16)])
    found = dict(_instance_features(features, inst_map, label_map, STREET))
    assert set(found) == {3, 5}, "instance 8 is one pixel too small"
    assert found[3].tolist() == [7.0, (MIN_PIXELS - 1) / 2]


def test_a_part_counts_as_its_object():
    """Windows and walls of a house have one style, which is the house's."""
    inst_map = torch.full((16, 16), 11001, dtype=torch.int32)
    label_map = torch.full((16, 16), int(Part.WINDOW))
    label_map[8:] = int(Label.BUILDING)
    features = torch.zeros(1, 16, 16)
    features[:, 8:] = 1.0
    assert _instance_features(features, inst_map, label_map, STREET) == [(int(Label.BUILDING), pytest.approx([0.5]))]
