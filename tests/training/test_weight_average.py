"""The moving average of weights. A resumed run has the same: test_loop.py and test_kill.py, whose preset averages."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.runs import scene_data, train
from training.checkpoint import load_checkpoint
from training.errors import TrainingError
from training.loop import Trainer
from training.state import CHECKPOINT_FILE, load_state
from training.weight_average import WeightAverage


def network():
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))


def values(module):
    return {name: tensor.detach().numpy().copy() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_it_is_the_mean_with_falling_weights(decay):
    """Written out: mean ← d · mean + (1 − d) · weights; d is the decay, or less while there is little to average."""
    torch.manual_seed(0)
    module = network()
    average = WeightAverage(module, decay)
    expected = None
    for step in range(30):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn_like(parameter))
        module(torch.randn(2, 2, 4, 4))  # moves the statistics and their counter
        average.update()
        now = values(module)
        d = min(decay, (1 + step) / (10 + step)) if step else 0.0
        expected = now if expected is None else {k: d * expected[k] + (1 - d) * now[k] for k in now}
    mine = values(module)
    with average.applied():
        applied = values(module)
    counter = "1.num_batches_tracked"
    assert applied.pop(counter) == mine[counter] == 30
    for name, value in applied.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-6)
        assert np.abs(value - mine[name]).max() > 0
    for name, value in values(module).items():
        np.testing.assert_array_equal(value, mine[name])


def test_its_own_weights_come_back_after_an_error():
    module = network()
    average = WeightAverage(module, 0.9)
    average.update()
    with torch.no_grad():
        module[0].weight.add_(1)
    before = values(module)
    with pytest.raises(RuntimeError), average.applied():
        raise RuntimeError
    np.testing.assert_array_equal(values(module)["0.weight"], before["0.weight"])


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_the_checkpoint_has_the_average_and_the_state_the_weights(tmp_path, decay, monkeypatch):
    """Recorded step by step, and averaged here."""
    seen = []
    step = Trainer._train_step

    def recorded(trainer, batch):
        losses = step(trainer, batch)
        generator = trainer.system.roles["generator"].generator
        seen.append(generator.head[1].weight.detach().clone())
        return losses

    monkeypatch.setattr(Trainer, "_train_step", recorded)
    train(tmp_path / "run", data=str(scene_data(tmp_path / "scenes", 4)), ema=decay)
    expected = seen[0]
    for count, weights in enumerate(seen[1:], 1):
        d = min(decay, (1 + count) / (10 + count))
        expected = d * expected + (1 - d) * weights
    saved = load_checkpoint(tmp_path / "run" / CHECKPOINT_FILE).networks["generator"]["head.1.weight"]
    torch.testing.assert_close(saved, expected)
    state = load_state(tmp_path / "run")
    torch.testing.assert_close(state["roles"]["generator"]["generator.head.1.weight"], seen[-1], rtol=0, atol=0)


def test_a_decay_that_makes_no_sense(tmp_path):
    with pytest.raises(TrainingError, match="ema is 1.0, expected a number from 0 and below 1"):
        train(tmp_path, data="x", ema=1.0)
