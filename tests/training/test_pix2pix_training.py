"""pix2pix in training: the objectives, the order of the steps, resumption, presets, and what stops a run."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.training.runs import command, losses, train
from training.checkpoint import load_checkpoint
from training.errors import CheckpointError, DataError, TrainingError
from training.options import resolve
from training.state import CHECKPOINT_FILE, load_state
from training.systems.pix2pix import PRESETS, Options, create

FAMILY = "pix2pix"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Four photos of coloured discs."""
    folder = tmp_path_factory.mktemp("photos") / "train"
    folder.mkdir()
    rows, columns = np.mgrid[:80, :96]
    for index in range(4):
        rng = np.random.default_rng(index)
        photo = np.full((80, 96, 3), rng.integers(0, 256, 3), np.uint8)
        for _ in range(6):
            centre = rng.uniform(0, 90, 2)
            photo[np.hypot(rows - centre[0], columns - centre[1]) < rng.uniform(5, 25)] = rng.integers(0, 256, 3)
        Image.fromarray(photo).save(folder / f"{index}.png")
    return str(folder.parent)


def options_of(photos, **given):
    return resolve(Options, PRESETS, "smoke", {"data": photos, "derive": "grey", "input_nc": 1, "workers": 0, **given})


def first_batch(system):
    return {key: value[None] for key, value in system.dataset[0, 0].items()}


def step_with(system, order):
    """One step without any learning; `order` records whose turn it was."""
    return system.step(first_batch(system), system.roles, lambda role, loss: order.append((role, loss.detach())))


@pytest.mark.parametrize("objective", ["l1", "gan", "cgan", "l1+gan", "l1+cgan"])
@pytest.mark.parametrize("gan_mode", ["vanilla", "lsgan"])
def test_objectives_are_equation_four(photos, objective, gan_mode):
    """Every term against the formula, computed from the networks' raw outputs."""
    system = create(options_of(photos, objective=objective, gan_mode=gan_mode, norm="instance", dropout=False))
    updates: list = []
    logged = step_with(system, updates)
    source, fake, real = system.roles["generator"](first_batch(system))
    expected = {}
    if "gan" in objective:
        critic = system.roles["discriminator"]
        seen = [torch.cat([source, image], 1) if "cgan" in objective else image for image in (real, fake)]
        scores = [critic(image)[-1] for image in seen]
        score = nn.BCEWithLogitsLoss() if gan_mode == "vanilla" else nn.MSELoss()
        expected["D_real"] = score(scores[0], torch.ones_like(scores[0]))
        expected["D_fake"] = score(scores[1], torch.zeros_like(scores[1]))
        expected["G_GAN"] = score(scores[1], torch.ones_like(scores[1]))
    if "l1" in objective:
        expected["G_L1"] = 100 * (fake - real).abs().mean()
    assert logged.keys() == expected.keys()
    for name, value in expected.items():
        assert logged[name].item() == pytest.approx(value.item(), rel=1e-4), name
    generator_loss = sum(value for name, value in expected.items() if name.startswith("G"))
    assert updates[-1][0] == "generator"
    assert updates[-1][1].item() == pytest.approx(generator_loss.item(), rel=1e-4)
    if "gan" in objective:
        assert updates[0][0] == "discriminator", "D learns first (section 3.3)"
        assert updates[0][1].item() == pytest.approx(0.5 * (expected["D_real"] + expected["D_fake"]).item(), rel=1e-4)


def test_gradients_stay_with_their_role(photos):
    system = create(options_of(photos))

    def update(role, loss):
        loss.backward()
        others = [name for name in system.roles if name != role]
        for name in others:
            assert all(p.grad is None for p in system.roles[name].parameters()), f"{role}'s loss reached {name}"
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in system.roles[role].parameters())
        system.roles[role].zero_grad(set_to_none=True)

    system.step(first_batch(system), system.roles, update)


def test_samples_leave_no_trace(photos):
    system = create(options_of(photos, norm="batch"))
    before = {name: value.clone() for name, value in system.roles["generator"].state_dict().items()}
    random = torch.get_rng_state()
    picture = system.sample(first_batch(system))
    assert picture.shape == (64, 3 * 64, 3)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(before[name], value) for name, value in system.roles["generator"].state_dict().items())
    assert system.roles["generator"].training


def test_resumed_equals_uninterrupted(tmp_path, photos, monkeypatch):
    """With BatchNorm's running statistics and dropout's random numbers in play."""
    given = {"family": FAMILY, "data": photos, "derive": "grey", "input_nc": 1, "epochs": 2, "save_every": 3}
    whole = train(tmp_path / "whole", **given)

    class Stop(Exception):
        pass

    original = type(whole)._train_step

    def stopping(self, batch):
        if self.step == 7 and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            raise Stop
        return original(self, batch)

    monkeypatch.setattr(type(whole), "_train_step", stopping)
    with pytest.raises(Stop):
        train(tmp_path / "parts", **given)
    parts = train(tmp_path / "parts", **given)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    for role, module in whole.system.roles.items():
        other = parts.system.roles[role].state_dict()
        assert all(torch.equal(value, other[name]) for name, value in module.state_dict().items()), role


@pytest.mark.parametrize("generator", [{}, {"generator": "resnet", "n_downsample": 2, "n_blocks": 1}])
def test_it_learns_one_pair(tmp_path, photos, generator):
    """A data set of one pair works, and its colours are learned."""
    (tmp_path / "data").mkdir()
    Image.open(f"{photos}/train/0.png").save(tmp_path / "data" / "0.png")
    given = {"data": str(tmp_path / "data"), "derive": "grey", "input_nc": 1, "epochs": 60, "lr": 2e-3, "flip": False}
    train(tmp_path / "run", family=FAMILY, objective="l1", resize="64x64", norm="instance", **given, **generator)
    logged = losses(tmp_path / "run")
    assert logged[-1]["G_L1"] < 0.5 * logged[0]["G_L1"]


def test_fine_tuning_starts_where_the_other_run_ended(tmp_path, photos):
    given = {"data": photos, "derive": "grey", "input_nc": 1}
    train(tmp_path / "first", family=FAMILY, **given)
    system = create(options_of(photos, init=str(tmp_path / "first")))
    saved = load_state(tmp_path / "first")
    for role in ("generator", "discriminator"):
        state = system.roles[role].state_dict()
        assert all(torch.equal(state[name], value) for name, value in saved["roles"][role].items()), role
    with pytest.raises(CheckpointError, match="do not fit the architecture"):
        create(options_of(photos, init=str(tmp_path / "first"), ngf=8))
    train(tmp_path / "only_l1", family=FAMILY, objective="l1", **given)
    create(options_of(photos, init=str(tmp_path / "only_l1")))  # it has no discriminator to start from


def test_checkpoint_says_how_its_data_was_made(tmp_path, photos):
    train(tmp_path / "run", family=FAMILY, data=photos, derive="edges", input_nc=1, direction="BtoA", output_nc=1)
    checkpoint = load_checkpoint(tmp_path / "run" / CHECKPOINT_FILE)
    assert checkpoint.recipe == {"derive": "edges", "direction": "BtoA"}
    assert checkpoint.normalization == "per-image"
    checkpoint.build()


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_complete(preset):
    options = resolve(Options, PRESETS, preset, {})
    crop = options.augmentation.crop
    assert crop is None if preset.startswith("demo") else crop[0] % options.architecture.size_multiple == 0
    assert options.architecture.dropout_blocks == (() if preset.startswith("demo") else (0, 1, 2))


def test_the_papers_defaults():
    options = resolve(Options, PRESETS, "labels2photo", {})
    assert (options.lr, options.beta1, options.beta2, options.lambda_l1) == (2e-4, 0.5, 0.999, 100)
    assert (options.objective, options.patch_size, options.gan_mode) == ("l1+cgan", 70, "vanilla")
    assert (options.resize, options.crop, options.flip, options.batch_size) == ("286x286", "256x256", True, 1)
    assert (options.norm, options.n_downsample, options.ngf) == ("batch", 8, 64)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"objective": "l2"}, "objective is 'l2', expected one of l1, gan"),
        ({"patch_size": 71}, "patch_size is 71, expected one of 1, 16, 34, 70"),
        ({"derive": "magic"}, "derive is 'magic'"),
        ({"direction": "up"}, "direction is 'up'"),
        ({"norm": "layer"}, "norm is 'layer'"),
        ({"input_nc": 4}, "input_nc is 4"),
        ({"crop": "60x64"}, "crop 60x64: sides must be multiples of 64"),
        ({"patch_size": 286}, "crop 64x64: a discriminator of 286-pixel patches needs sides of at least 96"),
        ({"lambda_l1": 0.0}, "lambda_l1 is 0.0"),
    ],
)
def test_options_that_make_no_sense(photos, given, message):
    with pytest.raises(TrainingError, match=message):
        create(options_of(photos, **given))


def test_command_line(tmp_path, photos):
    given = ("--data", photos, "--derive", "edges", "--input-nc", "1", "--workers", "0")
    dry = command("pix2pix", "smoke", "-o", tmp_path / "run", "--dry-run", *given)
    assert dry.returncode == 0, dry.stderr
    assert "input_image [64, 64, 1]" in dry.stdout
    assert not (tmp_path / "run").exists()
    done = command("pix2pix", "smoke", "-o", tmp_path / "run", *given)
    assert done.returncode == 0, done.stderr
    assert load_checkpoint(tmp_path / "run" / CHECKPOINT_FILE).step == 8
    wrong = command("pix2pix", "smoke", "-o", tmp_path / "x", "--data", photos, "--workers", "0", "--crop", "32x32")
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


def test_an_error_of_a_loader_process_is_one_line(tmp_path):
    (tmp_path / "train").mkdir()
    Image.new("RGB", (65, 64)).save(tmp_path / "train" / "odd.png")
    result = command("pix2pix", "smoke", "--data", tmp_path, "-o", tmp_path / "run", "--workers", "1")
    assert result.returncode == 2
    assert re.search(r"odd\.png is 64.65: a side-by-side pair", result.stderr)  # the × in whatever encoding
    assert "Traceback" not in result.stderr
    with pytest.raises(DataError, match="even width"):
        create(options_of(str(tmp_path), derive="", input_nc=3)).dataset[0, 0]
