"""Imported networks go on in training: generator, encoder and discriminators, on an independent pix2pixHD's files."""

import pytest
import torch
from PIL import Image

from tests.paths import needs_golden
from tests.training.runs import losses, scene_data, train
from tests.training.test_imports_golden import NAMES, import_golden
from training.checkpoint import save_checkpoint
from training.networks.patchgan import discriminator_settings
from training.systems.pix2pixhd import Options, create


def options_of(checkpoint):
    """Command-line options under which an imported checkpoint trains on."""
    a = checkpoint.architecture
    settings = discriminator_settings(checkpoint.networks["discriminator"])
    fields = {name: getattr(a, name) for name in a.__dataclass_fields__ if name in Options.__dataclass_fields__}
    return {**fields, **{name: settings[name] for name in ("ndf", "n_layers", "num_scales")}}


@pytest.fixture
def seven_classes(tmp_path):
    """Scenes whose ids fit the small class tables of the golden checkpoints."""
    folder = scene_data(tmp_path / "scenes", 2)
    for path in (folder / "train_label").iterdir():
        with Image.open(path) as picture:
            ids = picture.point(lambda value: value % 6)
        ids.save(path)
    return str(folder)


@needs_golden
@pytest.mark.parametrize("name", NAMES)
def test_every_network_starts_from_the_import(name, tmp_path, seven_classes):
    checkpoint, _, _ = import_golden(name)
    save_checkpoint(checkpoint, tmp_path / "imported.safetensors")
    given = {**options_of(checkpoint), "data": seven_classes, "init": str(tmp_path / "imported.safetensors")}
    roles = create(Options(**given)).roles
    state = {**roles["generator"].state_dict()}
    state |= {f"discriminator.{key}": value for key, value in roles["discriminator"].state_dict().items()}
    for network, tensors in checkpoint.networks.items():
        for key, value in tensors.items():
            assert torch.equal(state[f"{network}.{key}"], value), f"{network}.{key}"
    train(tmp_path / "run", "joint", **{**given, "resize": "64x128", "epochs": 1, "decay_epochs": 0, "log_every": 1})
    assert len(losses(tmp_path / "run")) == 2
