"""Which instances the style bank is made of."""

import torch

from training.styles import MIN_PIXELS, _instance_features


def test_an_instance_counts_from_the_least_size_on():
    inst_map = torch.zeros(16, 16, dtype=torch.int32)
    inst_map.view(-1)[:MIN_PIXELS] = 7
    inst_map.view(-1)[MIN_PIXELS : 2 * MIN_PIXELS - 1] = 8
    label_map = torch.where(inst_map == 7, 3, torch.where(inst_map == 8, 4, 5))
    features = torch.stack([inst_map.float(), torch.arange(256.0).reshape(16, 16)])
    found = dict(_instance_features(features, inst_map, label_map))
    assert set(found) == {3, 5}, "instance 8 is one pixel too small"
    assert found[3].tolist() == [7.0, (MIN_PIXELS - 1) / 2]
