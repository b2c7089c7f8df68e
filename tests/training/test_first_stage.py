"""Training that begins without a discriminator, and what is told of a precision that the device has not."""

import pytest
import torch

import training.run
from tests.training.runs import losses, scene_data, train
from training.errors import TrainingError
from training.options import resolve
from training.systems.pix2pixhd import PRESETS, Options, create


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return str(scene_data(tmp_path_factory.mktemp("scenes")))


def test_without_a_discriminator_only_the_generator_learns(tmp_path, data):
    """What the adversarial loss would need is left as it was made."""
    trainer = train(tmp_path, data=data, epochs=1, decay_epochs=0, lambda_gan=0.0, lambda_l1=100.0)
    assert {name for row in losses(tmp_path) for name in row} == {"step", "epoch", "lr", "G_L1"}
    torch.manual_seed(trainer.options.seed)
    fresh = create(trainer.options)
    untouched, trained = (system.roles["discriminator"].state_dict() for system in (fresh, trainer.system))
    assert all(torch.equal(value, trained[name]) for name, value in untouched.items())
    begun, learned = (system.roles["generator"].state_dict() for system in (fresh, trainer.system))
    assert not all(torch.equal(value, learned[name]) for name, value in begun.items())


def test_nothing_to_learn_from_is_refused(tmp_path, data):
    with pytest.raises(TrainingError, match="lambda_gan is 0, which leaves nothing to learn from"):
        train(tmp_path, data=data, lambda_gan=0.0)


def test_software_bfloat16_is_told(tmp_path, data, monkeypatch):
    told = []
    monkeypatch.setattr(training.run, "has_bf16", lambda: False)
    options = resolve(Options, PRESETS, "smoke", {"data": data, "precision": "bf16", "workers": 0})
    training.run.open_run("pix2pixhd", options, "smoke", tmp_path, told.append)
    assert "--precision auto" in told[0]
