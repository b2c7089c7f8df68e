"""The feature network of inpainting: its files, its training, the scale of its channels."""

import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from runtime.errors import MissingFileError
from tests.training.runs import losses, train
from tests.training.test_inpainting_training import FAMILY, features, first_batch, photos
from training.checkpoint import load_checkpoint
from training.errors import CheckpointError, TrainingError
from training.networks.feature_network import FeatureNetwork
from training.networks.layers import to_unit_range
from training.options import resolve
from training.state import CHECKPOINT_FILE
from training.systems import feature_network
from training.systems.inpainting.feature_file import load_features

__all__ = ["features", "photos"]  # fixtures


def test_feature_files_that_do_not_fit(photos, features, tmp_path):
    network = FeatureNetwork((4, 4, 8))
    with pytest.raises(TrainingError, match="give --features FILE"):
        load_features("", network)
    with pytest.raises(MissingFileError, match="feature network"):
        load_features(str(tmp_path / "none.pth"), network)
    with pytest.raises(CheckpointError, match="does not fit --feature-widths 4,4,16"):
        load_features(features, FeatureNetwork((4, 4, 16)))
    (tmp_path / "broken.safetensors").write_bytes(b"\x00" * 40)
    (tmp_path / "broken.pth").write_bytes(b"\x80\x02nonsense")
    for name, message in {
        "broken.safetensors": "is not a safetensors file",
        "broken.pth": r"more than tensors \(Unsupported operand",  # torch's reason, not its advice to trust the file
    }.items():
        with pytest.raises(CheckpointError, match=rf"^[^ ]*{re.escape(name)} .*{message}"):
            load_features(str(tmp_path / name), network)
    train(tmp_path / "run", family=FAMILY, data=photos, features=features)
    with pytest.raises(CheckpointError, match="holds a network of family inpainting, expected feature_network"):
        load_features(str(tmp_path / "run"), network)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvisions_weights_are_read(tmp_path, suffix):
    torch.manual_seed(1)
    source = FeatureNetwork((4, 4, 8))
    layers = {name: value for name, value in source.state_dict().items() if name.startswith("features.")}
    deeper = {"features.12.weight": torch.zeros(8, 8, 3, 3), "classifier.0.weight": torch.zeros(2, 2)}
    path = tmp_path / f"vgg19{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(layers | deeper, path)
    network = FeatureNetwork((4, 4, 8))
    load_features(str(path), network)
    image = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(network(image), source(image), rtol=0, atol=0)
    assert not any(p.requires_grad for p in network.parameters())


def test_feature_channels_get_one_scale(photos, tmp_path):
    train(tmp_path / "run", family="feature_network", data=photos)
    finished = load_checkpoint(tmp_path / "run" / CHECKPOINT_FILE)
    system = feature_network.create(
        resolve(feature_network.Options, feature_network.PRESETS, "smoke", {"data": photos, "resize": "32x32"})
    )
    network = finished.build()["features"]
    images = torch.stack([system.dataset[0, index]["image"] for index in range(4)])
    squares = network(to_unit_range(images)).square().mean((0, 2, 3))
    alive = squares > 0
    assert alive.any()
    torch.testing.assert_close(squares[alive], torch.ones_like(squares[alive]), rtol=1e-4, atol=0)


def test_denoising_is_judged_by_the_clean_photo(photos):
    def step_of(noise):
        options = {"data": photos, "noise": noise, "batch_size": 2}
        system = feature_network.create(resolve(feature_network.Options, feature_network.PRESETS, "smoke", options))
        batch, seen = first_batch(system), []
        system.autoencoder.register_forward_hook(lambda _, inputs, output: seen.extend([inputs[0], output.detach()]))
        torch.manual_seed(0)
        logged = system.step(batch, system.roles, lambda role, loss: None)
        real = batch["image"].permute(0, 3, 1, 2).numpy() / 127.5 - 1
        fake = seen[1].numpy()
        differences = [np.abs(np.diff(fake, axis=axis) - np.diff(real, axis=axis)).mean() for axis in (2, 3)]
        assert float(logged["L1"]) == pytest.approx(np.abs(fake - real).mean(), rel=1e-4)
        assert float(logged["L1_differences"]) == pytest.approx(sum(differences), rel=1e-4)
        return np.std(seen[0].numpy() - real, axis=(1, 2, 3))

    np.testing.assert_allclose(step_of(0.0), 0, atol=1e-6)
    strength = step_of(0.4)
    torch.manual_seed(0)
    np.testing.assert_allclose(strength, 0.4 * torch.rand(2).numpy(), rtol=0.1)


def test_denoising_features_learn(photos, tmp_path):
    train(tmp_path, family="feature_network", data=photos, epochs=80, decay_epochs=0, widths="8,16,32")
    logged = [entry["L1"] for entry in losses(tmp_path)]
    # 0.78 was measured: stripes this fine and steps this few leave most to be learned.
    assert np.mean(logged[-20:]) < 0.88 * np.mean(logged[:5])
