"""Training that begins without a discriminator, or with BatchNorm, and what is refused or told before it begins."""

import pytest
import torch

import training.run
from tests.training.runs import losses, scene_data, train
from training.checkpoint import Checkpoint, load_checkpoint
from training.class_tables import CITYSCAPES, STREET
from training.data.scene_folder import write_scene
from training.errors import TrainingError
from training.networks.pix2pixhd import Architecture, build
from training.options import resolve
from training.state import CHECKPOINT_FILE
from training.systems.pix2pixhd import PRESETS, Options, create
from training.systems.pix2pixhd.held_out import held_out


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


def test_batch_norm_is_run_with_the_statistics_of_training(tmp_path, data):
    train(tmp_path, data=data, epochs=1, decay_epochs=0, norm="batch", batch_size=2)
    assert load_checkpoint(tmp_path / CHECKPOINT_FILE).normalization == "running-stats"


@pytest.mark.parametrize(
    "given", [{"norm": "group"}, {"upsampling": "nearest"}, {"label_nc": 300}, {"style_items": -1}]
)
def test_options_that_make_no_network_are_refused(given):
    (name,) = given
    with pytest.raises(TrainingError, match=f"option {name} is"):
        resolve(Options, PRESETS, "smoke", given)


def test_styles_begin_as_the_colours_of_objects(tmp_path, data):
    """The loss counts an object once, however large it is, and falls."""
    options = {"lambda_gan": 0.0, "lambda_l1": 1.0, "lambda_colour": 100.0, "lr": 2e-3, "precision": "no"}
    trainer = train(tmp_path, data=data, epochs=30, decay_epochs=0, **options)
    distances = [row["G_colour"] for row in losses(tmp_path)]
    assert sum(distances[-8:]) < 0.7 * sum(distances[:8])
    batch = {name: torch.as_tensor(value)[None] for name, value in trainer.system.dataset[0, 0].items()}
    made = trainer.system.roles["generator"](batch)
    ids = batch["inst_map"][0]
    distance = 0.0
    for of in ids.unique():
        style, fake, real = (
            image[0][:, ids == of].mean(1, dtype=torch.float64) for image in (made.styles, made.fake, made.real)
        )
        distance += ((style - real).abs().mean() + (fake - real).abs().mean()).item() / len(ids.unique())
    shown = trainer.system.step(batch, trainer.system.roles, lambda *_: None)
    assert shown["G_colour"].item() == pytest.approx(100 * distance, rel=1e-4)


def test_colours_need_a_feature_for_each(tmp_path, data):
    with pytest.raises(TrainingError, match="lambda_colour compares features with 3 colours, but feat_num is 5"):
        train(tmp_path, data=data, lambda_colour=1.0, feat_num=5)


def test_style_items_are_at_most_so_many(tmp_path, data, monkeypatch):
    used = []

    def fit(encoder, items, *_):
        used.append(len(items))
        return {}

    monkeypatch.setattr("training.systems.pix2pixhd.system.fit_styles", fit)
    for style_items in (0, 1, 3, 99):
        train(tmp_path / str(style_items), data=data, epochs=1, decay_epochs=0, style_items=style_items)
    assert used == [4, 1, 2, 4]


def test_evaluation_counts_parts_to_their_objects(tmp_path):
    write_scene(tmp_path / "scenes", "val", 3, (64, 128), parts=True)
    architecture = Architecture(label_nc=STREET.label_nc, ngf=4, n_downsample=1, n_blocks=1)
    networks = {"generator": build(architecture)["generator"].state_dict()}
    checkpoint = Checkpoint("pix2pixhd", architecture, networks, STREET)
    (item,) = held_out(checkpoint, tmp_path / "scenes", "val", {})
    assert item.label_map is not None
    assert item.label_map.max() < CITYSCAPES.label_nc


def test_nothing_to_learn_from_is_refused(tmp_path, data):
    with pytest.raises(TrainingError, match="lambda_gan is 0, which leaves nothing to learn from"):
        train(tmp_path, data=data, lambda_gan=0.0)


def test_software_bfloat16_is_told(tmp_path, data, monkeypatch):
    told = []
    monkeypatch.setattr(training.run, "has_bf16", lambda: False)
    options = resolve(Options, PRESETS, "smoke", {"data": data, "precision": "bf16", "workers": 0})
    training.run.open_run("pix2pixhd", options, "smoke", tmp_path, told.append)
    assert "--precision auto" in told[0]
