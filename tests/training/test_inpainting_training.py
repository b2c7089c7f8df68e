"""Training of inpainting: losses, gradients, sources, one network or both, resumption, held-out photos."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cuda_ext.reference import patch_swap as reference_patch_swap
from runtime.errors import InputError
from tests.training.runs import command, losses, train
from training.checkpoint import load_checkpoint
from training.errors import TrainingError
from training.networks.smooth_fill import smooth_fill
from training.options import resolve
from training.state import CHECKPOINT_FILE
from training.systems.inpainting import PRESETS, SETTINGS, Options, create, held_out, untrained

FAMILY = "inpainting"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Four photos to train on and two to judge with, of coloured stripes."""
    root = tmp_path_factory.mktemp("photos")
    rows, columns = np.mgrid[:48, :56]
    for index in range(6):
        rng = np.random.default_rng(index)
        stripes = np.sin(rows * rng.uniform(-1, 1) + columns * rng.uniform(-1, 1)) > 0
        photo = np.where(stripes[..., None], *rng.integers(0, 256, (2, 3))).astype(np.uint8)
        folder = root / ("train" if index < 4 else "val")
        folder.mkdir(exist_ok=True)
        Image.fromarray(photo).save(folder / f"{index}.png")
    return str(root)


@pytest.fixture(scope="module")
def features(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    train(folder, family="feature_network", data=photos)
    return str(folder)


@pytest.fixture
def system_of(photos, features):
    def make(**given):
        return create(resolve(Options, PRESETS, "smoke", {"data": photos, "features": features, **given}))

    return make


def first_batch(system):
    return torch.utils.data.default_collate([system.dataset[0, index] for index in range(2)])


def gradients_after_step(system):
    """Of each network after the generators' turn; nothing learns."""
    found = {}

    def update(role, loss):
        loss.backward()
        if role == "generator":
            for name, network in system.networks.named_children():
                grads = [p.grad for p in network.parameters() if p.grad is not None]
                found[name] = torch.cat([grad.flatten() for grad in grads]) if grads else None
            assert all(p.grad is None for p in system.roles.get("discriminator", nn.Identity()).parameters())
        for module in system.roles.values():
            module.zero_grad(set_to_none=True)

    system.step(first_batch(system), system.roles, update)
    return found


def test_every_term_is_its_formula(system_of):
    """The logged losses against numpy, from the networks' raw outputs."""
    system = system_of(d_norm="none", lambda_gan=0.5, lambda_gan_infer=0.25, boundary_weight=3.0)
    batch, turns = first_batch(system), []
    logged = system.step(batch, system.roles, lambda role, loss: turns.append((role, float(loss.detach()))))
    with torch.no_grad():
        made = system.networks(batch)
        hole = (batch["hole"].numpy() > 0).astype(np.float32)[:, None]
        smooth = smooth_fill(made.real, made.hole)
        coarse = system.networks.image2feature(torch.cat([smooth, made.hole], 1))
        true_scores, false_scores = (
            system.roles["discriminator"](made, *pair) for pair in ((made.real,) * 2, made.images)
        )
    inferred, translated = made.inferred, made.translated
    real, fake, filled = (
        made.real.numpy(),
        translated.fake.numpy(),
        np.where(hole > 0, coarse.numpy(), made.real.numpy()),
    )
    np.testing.assert_array_equal(inferred.filled.numpy(), filled)
    np.testing.assert_allclose(real, batch["image"].permute(0, 3, 1, 2).numpy() / 127.5 - 1, atol=1e-6)
    small = hole.reshape(2, 1, 8, 4, 8, 4).max((3, 5))
    swapped = reference_patch_swap(made.true_features.numpy(), small)
    np.testing.assert_allclose(translated.swapped.numpy(), swapped, atol=1e-5)
    weights = np.broadcast_to(m_f(small, 3.0), made.true_features.shape)
    truth = made.true_features.numpy()
    size = np.abs(truth).mean()
    expected = {
        "infer_feature": 10 * np.average(np.abs(inferred.features.numpy() - truth), weights=weights) / size,
        "translate_feature": 10 * np.abs(translated.features.numpy() - truth).mean() / size,
        "infer_L1": np.average(np.abs(filled - real), weights=np.broadcast_to(hole, real.shape)),
        "translate_L1": np.average(np.abs(fake - real), weights=np.broadcast_to(1 - hole, real.shape)),
    }
    score = nn.BCEWithLogitsLoss()
    for name, generator in {"D1": "infer", "D2": "translate"}.items():
        true, false = true_scores[name], false_scores[name]
        expected[f"{name}_real"] = float(score(true, torch.ones_like(true)))
        expected[f"{name}_fake"] = float(score(false, torch.zeros_like(false)))
        weight = {"infer": 0.25, "translate": 0.5}[generator]
        expected[f"{generator}_GAN"] = weight * float(score(false, torch.ones_like(false)))
    assert logged.keys() == expected.keys()
    for name, value in expected.items():
        assert float(logged[name]) == pytest.approx(float(value), rel=1e-4), name
    sums = [sum(v for k, v in expected.items() if k.startswith("D") == is_judge) for is_judge in (True, False)]
    assert [role for role, _ in turns] == ["discriminator", "generator"]
    assert turns[0][1] == pytest.approx(0.5 * sums[0], rel=1e-4)
    assert turns[1][1] == pytest.approx(sums[1], rel=1e-4)


def m_f(hole, boundary_weight):
    """M_F pixel by pixel."""
    weights = np.zeros_like(hole)
    for n, _, y, x in np.argwhere(hole > 0):
        around = hole[n, 0, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        weights[n, 0, y, x] = 1 if around.all() else boundary_weight
    return weights


def test_gradients_stay_apart_unless_end_to_end(system_of):
    """Feature2Image's losses reach Image2Feature through patch_paste, and only when asked to."""
    only_translate = {"lambda_feature": 0.0, "lambda_gan": 0.0, "lambda_l1": 1e-9}
    apart = gradients_after_step(system_of(translate_from="predicted", **only_translate))
    joined = gradients_after_step(system_of(translate_from="predicted", end_to_end=True, **only_translate))
    assert apart["features"] is None
    assert joined["features"] is None
    assert apart["image2feature"].abs().max() < 1e-6
    assert joined["image2feature"].abs().max() > 1e-4
    torch.testing.assert_close(apart["feature2image"], joined["feature2image"])


def test_one_network_alone_is_trained(photos, features, tmp_path):
    """The other stays as it was, its BatchNorm's statistics too, and is taken from the file that is named."""
    given = {"family": FAMILY, "data": photos, "features": features}
    train(tmp_path / "infer", networks="image2feature", **given)
    first = load_checkpoint(tmp_path / "infer" / CHECKPOINT_FILE).networks
    assert not any(name.startswith("translate") for name in losses(tmp_path / "infer")[0])
    source = {"image2feature": str(tmp_path / "infer"), "translate_from": "predicted"}
    train(tmp_path / "translate", networks="feature2image", seed=1, **given, **source)
    second = load_checkpoint(tmp_path / "translate" / CHECKPOINT_FILE).networks
    assert not any(name.startswith("infer") for name in losses(tmp_path / "translate")[0])
    start = untrained(resolve(Options, PRESETS, "smoke", {})).networks
    for same, other, name in ((start, first, "feature2image"), (first, second, "image2feature")):
        assert all(torch.equal(same[name][key], value) for key, value in other[name].items())
    for before, after, name in ((start, first, "image2feature"), (first, second, "feature2image")):
        assert not any(torch.equal(before[name][key], value) for key, value in after[name].items() if value.ndim == 4)
    # Both together go on from there, with the discriminator that was trained with Feature2Image.
    train(tmp_path / "both", init=str(tmp_path / "translate"), **given)


def test_end_to_end_needs_both(photos, features):
    given = {"data": photos, "features": features, "translate_from": "predicted", "end_to_end": True}
    with pytest.raises(TrainingError, match="end_to_end trains both networks, not feature2image"):
        resolve(Options, PRESETS, "smoke", {**given, "networks": "feature2image", "init": "runs/infer"})


def test_feature2image_alone_needs_its_image2feature():
    with pytest.raises(TrainingError, match="name the Image2Feature that it will be used with"):
        resolve(Options, PRESETS, "demo-translate", {})


def test_what_feature2image_learns_from(system_of):
    """truth: the real features; predicted: those of the filled image; mixture: of each image one or the other."""
    for source in ("truth", "predicted", "mixture"):
        system = system_of(translate_from=source)
        for seed in range(4):
            torch.manual_seed(seed)
            with torch.no_grad():
                made = system.networks(first_batch(system))
            small = torch.nn.functional.max_pool2d(made.hole, 4).numpy()
            candidates = {
                "truth": reference_patch_swap(made.true_features.numpy(), small),
                "predicted": reference_patch_swap(made.inferred.features.numpy(), small),
            }
            if source == "mixture":
                torch.manual_seed(seed)
                taken = ["predicted" if draw < 0.5 else "truth" for draw in torch.rand(2, 1, 1, 1).flatten()]
            else:
                taken = [source, source]
            expected = np.stack([candidates[name][index] for index, name in enumerate(taken)])
            np.testing.assert_allclose(made.translated.swapped.numpy(), expected, atol=1e-5)


def test_training_resumes_to_the_same_weights(photos, features, tmp_path):
    given = {"data": photos, "features": features, "translate_from": "mixture", "save_every": 3}
    whole = train(tmp_path / "whole", family=FAMILY, **given)
    assert whole.total_steps == 4
    partly = train(tmp_path / "partly", family=FAMILY, **given)
    (tmp_path / "partly" / CHECKPOINT_FILE).unlink()
    first = load_checkpoint(tmp_path / "whole" / CHECKPOINT_FILE)
    assert partly.step == 4
    again = train(tmp_path / "partly", family=FAMILY, **given)  # at its end: writes the checkpoint anew
    second = load_checkpoint(tmp_path / "partly" / CHECKPOINT_FILE)
    assert again.step == 4
    assert set(first.networks) == {"image2feature", "features", "feature2image"}
    assert (first.normalization, first.recipe["holes"]) == ("running-stats", "centre,boxes,strokes,several")
    for name, network in first.networks.items():
        for key, value in network.items():
            assert torch.equal(second.networks[name][key], value)
    frozen = load_checkpoint(f"{features}/{CHECKPOINT_FILE}").networks["features"]
    assert all(torch.equal(first.networks["features"][key], value) for key, value in frozen.items())
    start = untrained(resolve(Options, PRESETS, "smoke", {})).networks
    for name in ("image2feature", "feature2image"):
        assert not any(torch.equal(start[name][k], v) for k, v in first.networks[name].items() if v.ndim == 4)
    assert len(losses(tmp_path / "whole")) == 4


def test_both_rates_are_kept(photos, features, tmp_path):
    trainer = train(
        tmp_path,
        family=FAMILY,
        data=photos,
        features=features,
        lr=1e-4,
        lr_infer=3e-3,
        lr_discriminator=4e-4,
        decay_epochs=0,
    )
    groups = trainer.optimizers["generator"].param_groups
    names = {id(p): name for name, p in trainer.system.networks.named_parameters()}
    rates = {names[id(p)].split(".")[0]: group["lr"] for group in groups for p in group["params"]}
    assert rates == {"image2feature": pytest.approx(3e-3), "feature2image": pytest.approx(1e-4)}
    assert [group["lr"] for group in trainer.optimizers["discriminator"].param_groups] == [pytest.approx(4e-4)]


def test_the_papers_preset_has_the_papers_numbers():
    o = resolve(Options, PRESETS, "paper", {})
    assert (o.lr_infer, o.lr_discriminator, o.lr, o.beta1) == (2e-3, 2e-4, 2e-4, 0.5)
    assert (o.lambda_feature, o.lambda_gan_infer) == (10, 1)
    assert (o.lambda_perceptual, o.lambda_gan, o.lambda_l1) == (10, 1, 0)
    assert o.translate_from == "truth"
    assert o.architecture.feature_widths == (64, 128, 256)


def test_the_shipped_engine_fits_ten_megabytes():
    networks = untrained(resolve(Options, PRESETS, "demo-infer", {})).networks
    assert 4 * sum(value.numel() for network in networks.values() for value in network.values()) < 10_000_000


@pytest.mark.parametrize(
    "given",
    [{"translate_from": "dream"}, {"end_to_end": True}, {"batch_size": 1}, {"holes": "centre,star"}, {"n_levels": 1}]
    + [{"feature_widths": text} for text in ("64,128", "a,b,c", "0,1,2", "")]
    + [{"predicted_share": 1.5}, {"lambda_gan": -1.0}, {"lr_infer": 0.0}, {"boundary_weight": 0.0}, {"patch_size": 1}],
)
def test_bad_options_are_refused(given):
    with pytest.raises((TrainingError, InputError, ValueError), match=next(iter(given))):
        Options(**given)


def test_crops_must_fit_the_networks(system_of):
    with pytest.raises(TrainingError, match="crop 36x32: sides must be multiples of 16, at least 32"):
        system_of(crop="36x32")


def test_held_out_photos_are_completed(photos, features, tmp_path):
    train(tmp_path / "run", family=FAMILY, data=photos, features=features)
    checkpoint = load_checkpoint(tmp_path / "run" / CHECKPOINT_FILE)
    folder = Path(photos)
    settings = {"holes": "boxes", "size": "48x64"}
    first, again = (list(held_out(checkpoint, folder, "val", settings)) for _ in range(2))
    assert [item.name for item in first] == ["4", "5"]
    for item, same in zip(first, again, strict=True):
        assert item.fake_image.shape == (48, 64, 3)
        assert 0 < item.hole.mean() < 1
        np.testing.assert_array_equal(item.hole, same.hole)
        np.testing.assert_array_equal(item.fake_image, same.fake_image)
        np.testing.assert_array_equal(item.fake_image[~item.hole], item.real_image[~item.hole])
        np.testing.assert_array_equal(item.input_picture[~item.hole], item.real_image[~item.hole])
        assert (item.input_picture[item.hole] == 127).all()
    for name, value, message in (
        ("size", "40x64", "multiples of 16"),
        ("scales", "3", "multiples of 64"),
        ("scales", "none", "scales is 'none'"),
        ("iterations", "0", "iterations is '0'"),
    ):
        assert name in SETTINGS
        with pytest.raises(InputError, match=message):
            next(held_out(checkpoint, folder, "val", settings | {name: value}))


def test_a_sample_shows_four_pictures(system_of):
    system = system_of()
    before = {name: value.clone() for name, value in system.networks.state_dict().items()}
    batch = first_batch(system)
    picture = system.sample(batch)
    assert picture.shape == (32, 4 * 32, 3)
    shown, coarse, completed, real = np.split(picture, 4, 1)
    is_known = batch["hole"][0].numpy() == 0
    np.testing.assert_array_equal(real, batch["image"][0].numpy())
    np.testing.assert_array_equal(shown[is_known], real[is_known])
    for made in (coarse, completed):
        assert np.abs(made[is_known].astype(int) - real[is_known]).max() <= 1
        assert not np.array_equal(made[~is_known], real[~is_known])
    assert all(torch.equal(value, before[name]) for name, value in system.networks.state_dict().items())


def test_the_commands(photos, features, tmp_path):
    given = ("--data", photos, "--workers", "0")
    dry = command(FAMILY, "smoke", "-o", tmp_path / "run", "--dry-run", "--features", features, *given)
    assert dry.returncode == 0, dry.stderr
    assert "generator" in dry.stdout
    wrong = command(FAMILY, "smoke", "-o", tmp_path / "run", *given)
    assert wrong.returncode == 2
    assert "give --features FILE" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    wrong = command("feature_network", "smoke", "-o", tmp_path / "run", "--widths", "1,2", *given)
    assert wrong.returncode == 2
    assert "expected three integers" in wrong.stderr
