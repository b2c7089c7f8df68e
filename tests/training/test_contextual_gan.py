"""The Contextual GAN: networks of the paper's shapes, losses against SciPy, training, checkpoint, evaluation."""

import copy
import sys

import numpy as np
import pytest
import torch
from scipy.special import expit
from scipy.stats import entropy
from torch import nn

from runtime.errors import InputError
from tests.training.runs import command, losses, train
from tests.training.tiny_onnx import features
from training.checkpoint import load_checkpoint
from training.data.photo_folder import write_face
from training.errors import TrainingError
from training.evaluation.appearance import Fidelity
from training.evaluation.completion_study import markdown, study
from training.evaluation.onnx_network import OnnxNetwork
from training.networks.completion_losses import contextual_loss, perceptual_loss
from training.networks.contextual_gan import Architecture, build
from training.networks.layers import to_unit_range
from training.state import CHECKPOINT_FILE
from training.system import HeldOut
from training.systems.contextual_gan import PRESETS, ContextualGan, Options, held_out
from training.systems.contextual_gan.completion import Search, complete
from training.systems.contextual_gan.held_out import Completer, find_items

FAMILY = "contextual_gan"


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    for seed in range(4):
        write_face(folder, "train", seed, 32)
    write_face(folder, "val", 9, 32)
    return folder


def test_the_papers_networks_have_the_papers_shapes():
    with torch.device("meta"):
        networks = build(Architecture())
        assert networks["generator"](torch.zeros(2, 100)).shape == (2, 3, 64, 128)
        assert networks["discriminator"](torch.zeros(2, 3, 64, 128)).shape == (2,)
    g, d = networks["generator"], networks["discriminator"]
    assert g.project.weight.shape == (8192 * 2, 100)
    up = [layer for layer in g.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [tuple(layer.weight.shape) for layer in up] == [
        (512, 256, 5, 5),
        (256, 128, 5, 5),
        (128, 64, 5, 5),
        (64, 3, 5, 5),
    ]
    down = [layer for layer in d.modules() if isinstance(layer, nn.Conv2d)]
    assert [tuple(layer.weight.shape) for layer in down] == [
        (64, 3, 5, 5),
        (128, 64, 5, 5),
        (256, 128, 5, 5),
        (512, 256, 5, 5),
    ]
    assert d.head.weight.shape == (1, 4 * 8 * 512)
    # "BatchNorm after each but the last".
    assert [norm.num_features for norm in g.modules() if isinstance(norm, nn.BatchNorm2d)] == [512, 256, 128, 64]


def test_larger_images_add_a_level():
    a = Architecture(ngf=2, ndf=2, n_levels=5)
    networks = build(a)
    assert a.size == (128, 256)
    joint = networks["generator"](torch.zeros(2, 100))
    assert joint.shape == (2, 3, 128, 256)
    assert networks["discriminator"](joint).shape == (2,)


@pytest.mark.parametrize("field", [{"ngf": 0}, {"n_levels": 9}, {"z_nc": True}, {"d_norm": "instance"}])
def test_absurd_architectures_are_refused(field):
    with pytest.raises(ValueError, match=next(iter(field))):
        Architecture(**field)


def test_contextual_loss_is_scipys_divergence():
    rng = np.random.default_rng(0)
    made, given = rng.uniform(-1, 1, (4, 3, 8, 16)), rng.uniform(-1, 1, (1, 3, 8, 16))
    weights = rng.choice([0.0, 0.3, 1.0], (1, 1, 8, 16))
    value = contextual_loss(*(torch.tensor(a, dtype=torch.float64) for a in (made, given, weights)))

    def mass(image):
        return (((1 - image) / 2 * 254 + 1) / 255 * weights[0]).ravel()

    expected = [entropy(mass(given[0])[None].T, mass(image)[None].T)[0] for image in made]
    # SciPy's sum leaves out what both sides do not know, as M⊙ does.
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-9)
    same = contextual_loss(*(torch.tensor(a) for a in (given, given, weights)))
    np.testing.assert_allclose(same.numpy(), 0, atol=1e-12)


def test_a_faint_sketch_says_what_a_bold_one_says():
    """Beside it the same ink elsewhere is far off."""
    bold = torch.ones(1, 3, 16, 32)
    bold[..., 4:6, 3:13] = -1.0
    faint, moved = 0.4 * bold + 0.6, bold.roll(3, -2)
    weights = torch.ones(1, 1, 16, 32)
    assert contextual_loss(faint, bold, weights) < 0.1 * contextual_loss(moved, bold, weights)


def test_unknown_pixels_have_no_say():
    rng = torch.Generator().manual_seed(0)
    made, given = (torch.rand(1, 3, 4, 8, generator=rng) * 2 - 1 for _ in range(2))
    weights = torch.ones(1, 1, 4, 8)
    weights[..., 4:] = 0
    before = contextual_loss(made, given, weights)
    made[..., 4:], given[..., 4:] = -1.0, 1.0
    torch.testing.assert_close(contextual_loss(made, given, weights), before)


def test_perceptual_loss_is_the_papers_logarithm():
    logits = np.linspace(-20, 20, 9)
    np.testing.assert_allclose(
        perceptual_loss(torch.tensor(logits)).numpy(), np.log(1 - expit(logits)), rtol=1e-6, atol=1e-9
    )


def test_training_resumes_to_the_same_weights(faces, tmp_path):
    given = {"data": str(faces), "epochs": 4, "save_every": 3}
    whole = train(tmp_path / "whole", family=FAMILY, **given)
    partly = train(tmp_path / "partly", family=FAMILY, **given)
    assert whole.total_steps == 8
    first, second = (load_checkpoint(tmp_path / name / CHECKPOINT_FILE) for name in ("whole", "partly"))
    assert first.normalization == "running-stats"
    assert first.recipe == {"style": "xdog"}
    assert set(first.networks) == {"generator", "discriminator"}
    for name in first.networks:
        for key, value in first.networks[name].items():
            torch.testing.assert_close(second.networks[name][key], value, rtol=0, atol=0)
    assert partly.step == 8
    assert {"D_real", "D_fake", "G_GAN"} < set(losses(tmp_path / "whole")[0])
    networks = first.build()
    assert not any(module.training for module in networks.values())
    images = networks["generator"](torch.zeros(2, 16))
    torch.testing.assert_close(images[0], networks["generator"](torch.zeros(1, 16))[0])


def test_steps_per_side(faces):
    options = Options(**{**PRESETS["smoke"], "data": str(faces), "d_steps": 2, "g_steps": 3})
    system = ContextualGan(options)
    updates = []
    before = {}

    def update(role, loss):
        updates.append(role)
        loss.backward()
        if role == "generator":
            # Neither a gradient nor statistics of G's steps reach D.
            buffers = {k: v.clone() for k, v in system.roles["discriminator"].named_buffers()}
            if before:
                assert all(torch.equal(buffers[k], before[k]) for k in buffers)
            before.update(buffers)
            assert all(p.grad is None for p in system.roles["discriminator"].parameters())
        for module in system.roles.values():
            module.zero_grad(set_to_none=True)

    batch = torch.utils.data.default_collate([system.dataset[0, i] for i in range(2)])
    system.step(batch, system.roles, update)
    assert updates == ["discriminator"] * 2 + ["generator"] * 3
    assert system.sample(batch).shape == (16, 96, 3)


def test_an_encoder_learns_along_and_stays_behind(faces, tmp_path):
    """It gives real images back; the checkpoint has the two networks of any other run."""
    given = {"data": str(faces), "epochs": 100, "lambda_rebuild": 20.0, "lambda_gan": 0.05, "lr": 2e-3, "flip": False}
    trainer = train(tmp_path / "run", family=FAMILY, **given)
    rows = losses(tmp_path / "run")
    assert rows[-1]["G_L1"] < 0.5 * rows[0]["G_L1"]
    assert np.mean([row["E_z"] for row in rows[-20:]]) < np.mean([row["E_z"] for row in rows[:20]])
    networks = load_checkpoint(tmp_path / "run" / CHECKPOINT_FILE).networks
    plain = build(trainer.system.architecture)
    assert {name: set(state) for name, state in networks.items()} == {
        name: set(network.state_dict()) for name, network in plain.items()
    }
    # Made from an encoder's z, a face is nearer to itself than to the others.
    system = trainer.system
    batch = torch.utils.data.default_collate([system.dataset[0, i] for i in range(4)])
    real = to_unit_range(batch["joint_image"])
    with torch.no_grad():
        made = system.roles["generator"](torch.zeros(4, 16), real)
    distances = (made.rebuilt[:, None] - real[None]).abs().mean((2, 3, 4))
    assert distances.argmin(1).tolist() == [0, 1, 2, 3]


def test_a_run_with_an_encoder_resumes(faces, tmp_path):
    given = {"data": str(faces), "lambda_rebuild": 10.0, "save_every": 2}
    train(tmp_path / "whole", family=FAMILY, epochs=4, **given)
    train(tmp_path / "partly", family=FAMILY, epochs=2, **given)
    train(tmp_path / "partly", family=FAMILY, epochs=4, **given)
    states = [load_checkpoint(tmp_path / name / CHECKPOINT_FILE).networks for name in ("whole", "partly")]
    for name, weights in states[0].items():
        for key, value in weights.items():
            torch.testing.assert_close(states[1][name][key], value, rtol=0, atol=0)


def test_fine_tuning_starts_from_both_networks(faces, tmp_path):
    train(tmp_path / "first", family=FAMILY, data=str(faces))
    options = Options(**{**PRESETS["smoke"], "data": str(faces), "style": "photocopy", "init": str(tmp_path / "first")})
    started = ContextualGan(options).checkpoint(0).networks
    learned = load_checkpoint(tmp_path / "first" / CHECKPOINT_FILE).networks
    for name in learned:
        for key in learned[name]:
            torch.testing.assert_close(started[name][key].float(), learned[name][key], rtol=0, atol=0)
    assert Options(**PRESETS["fine-tune"], data="x").lr == 1e-5


def test_options_are_the_papers_and_checked():
    o = Options(data="x")
    assert (o.batch_size, o.epochs, o.lr, o.beta1) == (64, 200, 2e-4, 0.5)
    assert not o.lambda_rebuild
    for field, message in (
        ({"style": "ink"}, "style"),
        ({"g_steps": 0}, "g_steps"),
        ({"batch_size": 1}, "batch_size"),
        ({"lambda_rebuild": -1.0}, "lambda_rebuild"),
        ({"lambda_gan": 0.0}, "lambda_gan"),
    ):
        with pytest.raises(TrainingError, match=message):
            Options(**field)


def test_completion_recovers_what_the_generator_made():
    torch.manual_seed(0)
    networks = build(Architecture(z_nc=4, ngf=4, ndf=4, n_levels=2))
    for name, weight in networks["generator"].named_parameters():
        weight.data *= 3 if name.endswith("weight") else 1
    networks = {name: module.eval().requires_grad_(False) for name, module in networks.items()}
    truth = networks["generator"](torch.rand(1, 4) * 2 - 1)
    weights = torch.zeros(1, 1, 16, 32)
    weights[..., :16] = 1
    z = torch.rand(10, 4) * 2 - 1
    search = Search(iterations=300, learning_rate=0.5, perceptual_weight=0.0)
    found = complete(networks["generator"], networks["discriminator"], truth, weights, search, z, keep=(7,))
    assert found.contextual_loss[-1] < 0.05 * found.contextual_loss[0]
    assert list(found.images) == [7, 300]
    made = found.images[300]
    hidden = torch.nn.functional.l1_loss(made[..., 16:], truth[..., 16:])
    start = networks["generator"](z)[contextual_loss(networks["generator"](z), truth, weights).argmin()]
    assert hidden < 0.5 * torch.nn.functional.l1_loss(start[..., 16:], truth[0, ..., 16:])


def test_held_out_items_are_completed(faces, tmp_path, monkeypatch):
    train(tmp_path / "run", family=FAMILY, data=str(faces))
    checkpoint = load_checkpoint(tmp_path / "run" / CHECKPOINT_FILE)
    for weight in checkpoint.networks["generator"].values():
        weight *= 10 if weight.ndim > 1 else 1  # two steps of training leave everything grey
    module = sys.modules["training.systems.contextual_gan.held_out"]  # the package has a function of that name
    monkeypatch.setattr(module, "Search", lambda: Search(iterations=2))
    (forward,) = held_out(copy.deepcopy(checkpoint), faces, "val", {})
    (backward,) = held_out(checkpoint, faces, "val", {"direction": "BtoA"})
    assert isinstance(forward, HeldOut)
    np.testing.assert_array_equal(forward.real_image, backward.input_picture)
    np.testing.assert_array_equal(forward.input_picture, backward.real_image)
    assert forward.fake_image.shape == (16, 16, 3)
    assert not np.array_equal(forward.fake_image, backward.fake_image)
    with pytest.raises(InputError, match="direction is 'up'"):
        next(held_out(checkpoint, faces, "val", {"direction": "up"}))


def test_the_study_changes_one_thing_at_a_time(faces, tmp_path, monkeypatch):
    train(tmp_path / "run", family=FAMILY, data=str(faces))
    checkpoint = load_checkpoint(tmp_path / "run" / CHECKPOINT_FILE)
    for weight in checkpoint.networks["generator"].values():
        weight *= 10 if weight.ndim > 1 else 1
    search = Search(iterations=12)
    tables = study(checkpoint, faces, "train", search=search, limit=2)
    assert [row.title for row in tables["iterations"]] == ["0", "10", "12"]
    assert [row.title for row in tables["N"]] == ["1", "10", "30"]
    first, *_, last = tables["iterations"]
    assert first.contextual_loss == first.start
    assert last.total_loss < first.total_loss
    # More candidates contain the fewer, so the best of them starts no worse.
    assert tables["N"][0].start >= tables["N"][1].start >= tables["N"][2].start
    # Every table holds the common setting once, and there they agree.
    common = [tables["iterations"][-1], tables["N"][1], tables["λ"][2]]
    assert len({(row.start, row.contextual_loss, row.ssim) for row in common}) == 1
    items = [item for item, _ in zip(find_items(checkpoint, faces, "train"), range(2), strict=False)]
    completer = Completer(checkpoint)
    expected = [Fidelity().add(item.held_out(completer.complete(item, search).images[12]))["ssim"] for item in items]
    assert last.ssim == pytest.approx(np.mean(expected))
    text = markdown(tables, search, 2)
    assert text.count("| 0.01 |") == 1
    assert "Means over 2 items" in text


def test_the_study_verifies_in_a_networks_features(faces, tmp_path):
    """Features are the mean of the grey photo, so who is nearest to whom can be said without the network."""
    train(tmp_path / "run", family=FAMILY, data=str(faces))
    checkpoint = load_checkpoint(tmp_path / "run" / CHECKPOINT_FILE)
    network = OnnxNetwork(features(tmp_path / "features.onnx", vectors=True), "features", "unit")
    search = Search(iterations=2)
    tables = study(checkpoint, faces, "train", search=search, limit=4, features=network)
    completer = Completer(checkpoint)
    made = [
        item.held_out(completer.complete(item, search).images[2]) for item in find_items(checkpoint, faces, "train")
    ]
    luma = np.array([0.299, 0.587, 0.114])
    grey = [[(image @ luma + 0.5).astype(np.uint8) for image in (m.fake_image, m.real_image)] for m in made]
    fake, real = (np.array([pair[side].mean() for pair in grey]) for side in (0, 1))
    nearest = np.abs(fake[:, None] - real[None]).argmin(1)
    assert tables["iterations"][-1].verification == np.mean(nearest == np.arange(4))
    text = markdown(tables, search, 4)
    assert "| SSIM | verif. acc. |" in text
    bound = tables["iterations"][-1].bound
    assert f"by chance 0.250; the real photos, slightly changed, reach {bound:.3f}." in text
    assert study(checkpoint, faces, "train", search=search, limit=1)["N"][0].verification is None


def test_the_command_says_what_is_missing(tmp_path):
    result = command("contextual_gan", "smoke", "--data", tmp_path / "none", "-o", tmp_path / "run")
    assert result.returncode == 2
    assert "does not exist; make one with `python -m training faces" in result.stderr


def test_the_studys_command_writes_its_tables(faces, tmp_path):
    train(tmp_path / "run", family=FAMILY, data=str(faces))
    common = ("completion-study", tmp_path / "run" / CHECKPOINT_FILE, "--data", faces)
    result = command(*common, "--iterations", 3, "-o", tmp_path / "study.md")
    assert result.returncode == 0, result.stderr
    text = (tmp_path / "study.md").read_text("utf-8")
    assert "| iterations |" in text
    assert "Means over 1 items" in text
    result = command(*common, "--direction", "up")
    assert result.returncode == 2
    assert "direction is 'up'" in result.stderr
