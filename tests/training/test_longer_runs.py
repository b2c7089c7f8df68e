"""Runs that grow, and options that come from a file."""

import json
import re

import pytest
import torch

from tests.training.runs import command, losses, scene_data, train
from training.checkpoint import load_checkpoint
from training.state import CHECKPOINT_FILE

TINY = {"ngf": 4, "n_blocks": 1, "n_downsample": 2, "ndf": 4, "resize": "64x128", "save_every": 2, "log_every": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return str(scene_data(tmp_path_factory.mktemp("scenes")))


def test_a_run_that_grows_at_one_learning_rate_is_the_longer_run(tmp_path, data):
    """Also where it had finished before."""
    schedule = {"data": data, **TINY, "decay_epochs": 0}
    train(tmp_path / "grown", "global", epochs=1, **schedule)
    train(tmp_path / "grown", "global", epochs=2, **schedule)
    train(tmp_path / "whole", "global", epochs=2, **schedule)
    assert losses(tmp_path / "grown") == losses(tmp_path / "whole")
    grown, whole = (load_checkpoint(tmp_path / name / CHECKPOINT_FILE) for name in ("grown", "whole"))
    assert grown.step == whole.step == 8
    for name, value in whole.networks["generator"].items():
        assert torch.equal(grown.networks["generator"][name], value)
    assert json.loads((tmp_path / "grown" / "options.json").read_text())["lengthened"] == [
        {"epochs": 1, "decay_epochs": 0}
    ]


def test_a_lengthened_run_follows_the_new_schedule_and_says_so(tmp_path, data):
    words = ("pix2pixhd", "global", "--data", data, "-o", tmp_path, "--workers", 0)
    words += tuple(word for name, value in TINY.items() for word in (f"--{name.replace('_', '-')}", value))
    command(*words, "--epochs", 1, "--decay-epochs", 1)
    before = losses(tmp_path)
    told = command(*words, "--epochs", 3, "--decay-epochs", 1).stdout
    assert "the run is lengthened from 1 + 1 epochs to 3 + 1" in told.replace("\n", " ")
    assert "rate is 0.0002 up to epoch 3, then falls to zero until epoch 4" in told.replace("\n", " ")
    after = losses(tmp_path)
    assert after[:8] == before
    assert [row["lr"] for row in after[::4]] == [2e-4, 1e-4, 2e-4, 1e-4]
    assert load_checkpoint(tmp_path / CHECKPOINT_FILE).step == 16
    for other in (("--epochs", 1), ("--epochs", 2, "--decay-epochs", 2), ("--epochs", 9, "--lr", 1e-3)):
        refused = command(*words, "--decay-epochs", 1, *other)
        assert refused.returncode == 2
        assert "only --epochs and --decay-epochs may grow" in " ".join(refused.stderr.split())
    assert load_checkpoint(tmp_path / CHECKPOINT_FILE).step == 16


def test_options_come_from_a_file_and_from_a_run(tmp_path, data):
    """The command line goes before the file, the file before the preset."""
    file = tmp_path / "options.toml"
    file.write_text(f'data = "{data}"\nngf = 6\nbatch-size = 2\nresize = "64x128"\n# a comment\nlr = 1e-3\n')
    told = command("pix2pixhd", "smoke", "--config", file, "--lr", 5e-4, "-o", tmp_path / "run", "--dry-run").stdout
    for name, value in (("ngf", 6), ("batch_size", 2), ("lr", 0.0005), ("resize", "64x128")):
        assert re.search(rf"{name} +│ {value} ", told), (name, told)
    command("pix2pixhd", "smoke", "--config", file, "--epochs", 1, "--decay-epochs", 0, "-o", tmp_path / "run")
    again = command("pix2pixhd", "--config", tmp_path / "run" / "options.json", "-o", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "run" / "options.json").read_text() == (tmp_path / "again" / "options.json").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "pix2pixhd has no option 'epoch'; did you mean epochs?"),
        ("shade = 3", "no option 'shade'; it has "),
        ("epochs = three", "is neither TOML nor"),
        ('epochs = "three"', "Invalid value for '--epochs'"),
        ("[loop]\nepochs = 3", "[loop] is a table"),
    ],
)
def test_what_is_wrong_in_a_file_of_options_is_named(tmp_path, text, message):
    file = tmp_path / "options.toml"
    file.write_text(text)
    refused = command("pix2pixhd", "smoke", "--config", file, "-o", tmp_path / "run")
    assert refused.returncode == 2
    assert message in " ".join(refused.stderr.split())
    assert not (tmp_path / "run").exists()
