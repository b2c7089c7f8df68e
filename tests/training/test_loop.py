"""The loop: resumption, stages, several processes, mixed precision, and what stops a run."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from runtime.errors import MissingFileError
from tests.paths import DATA, needs_data
from tests.training.runs import ENVIRONMENT, command, losses, scene_data, train
from training.checkpoint import load_checkpoint
from training.data.augmentation import Augmentation
from training.data.label_maps import LabelMaps, find_samples
from training.errors import CheckpointError, DivergenceError, TrainingError
from training.loop import LOG_FILE, Trainer
from training.networks.label_encoding import instance_means
from training.networks.layers import to_unit_range
from training.options import resolve
from training.state import CHECKPOINT_FILE, STATE_FILE, load_state
from training.styles import fit_styles
from training.system import family_system
from training.systems.pix2pixhd import Options, create

TINY = {"ngf": 4, "n_blocks": 1, "n_downsample": 2, "ndf": 4, "resize": "64x128", "save_every": 2, "log_every": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return str(scene_data(tmp_path_factory.mktemp("scenes")))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    """A finished smoke run: 8 steps."""
    folder = tmp_path_factory.mktemp("runs") / "smoke"
    train(folder, data=data)
    return folder


def test_a_finished_run_holds_all_that_inference_needs(finished):
    checkpoint = load_checkpoint(finished / CHECKPOINT_FILE)
    assert checkpoint.step == 8
    assert set(checkpoint.networks) == {"generator", "encoder"}
    assert 7 in checkpoint.styles, "road has styles"
    assert checkpoint.labels.names[26] == "car"
    checkpoint.build()
    assert json.loads((finished / "options.json").read_text())["preset"] == "smoke"
    assert list(finished.glob("events.out.tfevents.*"))


def test_styles_are_means_of_the_encoder(finished, data):
    """With as many centres as instances K-means returns the instance features themselves."""
    checkpoint = load_checkpoint(finished / CHECKPOINT_FILE)

    samples = find_samples(Path(data), "train", 35, True)
    dataset = LabelMaps(samples, 35, Augmentation(resize=(64, 128), flip=False))
    encoder = checkpoint.build()["encoder"]
    bank = fit_styles(encoder, dataset, count=100, seed=0, progress=lambda _: None)
    for index in range(len(dataset)):
        item = dataset[0, index]
        image, inst = to_unit_range(item["real_image"][None]), item["inst_map"][None]
        means = instance_means(encoder(image), inst)[0]
        for instance in inst.unique():
            mask = inst[0] == instance
            if mask.sum() < 64:
                continue
            centres = bank[int(item["condition"][mask].mode().values)]
            distance = (centres - means[:, mask][:, 0]).abs().amax(1).min()
            assert distance < 1e-4


def test_resumed_equals_uninterrupted(tmp_path, data, finished):
    class Stop(Exception):
        pass

    original = Trainer._train_step

    def interrupted(self, batch):
        if self.step == 5:
            raise Stop
        return original(self, batch)

    Trainer._train_step = interrupted
    try:
        with pytest.raises(Stop):
            train(tmp_path, data=data)
    finally:
        Trainer._train_step = original
    assert len(losses(tmp_path)) == 5
    assert load_state(tmp_path)["step"] == 4
    train(tmp_path, data=data)
    assert losses(tmp_path) == losses(finished)
    resumed, whole = (load_checkpoint(f / CHECKPOINT_FILE) for f in (tmp_path, finished))
    for network, state in whole.networks.items():
        for name, value in state.items():
            torch.testing.assert_close(resumed.networks[network][name], value, rtol=0, atol=0)


def test_other_options_are_refused(finished, data):
    with pytest.raises(TrainingError, match=r"holds a run with other options \(ngf 4 → 8\)"):
        train(finished, data=data, ngf=8)


def test_the_papers_three_stages(tmp_path, data):
    """Global generator; enhancer with the global generator fixed; both together."""
    enhanced = {**TINY, "ngf": 2, "n_enhancers": 1, "n_blocks_local": 1, "epochs": 1, "decay_epochs": 0, "data": data}
    train(tmp_path / "1", "global", data=data, **TINY, epochs=1, decay_epochs=0)
    train(tmp_path / "2", "enhancer", **enhanced, num_scales=3, init=str(tmp_path / "1"))
    train(tmp_path / "3", "joint", **enhanced, num_scales=3, init=str(tmp_path / "2"))
    one, two, three = (load_checkpoint(tmp_path / n / CHECKPOINT_FILE).networks["generator"] for n in "123")
    trunk = [name for name in one if name.startswith("trunk.")]
    assert all(torch.equal(one[name], two[name]) for name in trunk), "fixed in the second stage"
    assert not any(torch.equal(two[name], three[name]) for name in trunk if name.endswith("weight"))
    assert any(name.startswith("enhancers.0.") for name in two)


def test_coarse_discriminators_are_kept_when_a_finer_is_added(tmp_path, data):

    train(tmp_path / "1", "global", data=data, **TINY, epochs=1, decay_epochs=0)
    options = Options(data=data, **{**TINY, "ngf": 2}, n_enhancers=1, num_scales=3, init=str(tmp_path / "1"))
    new = create(options).roles["discriminator"].state_dict()
    old = load_state(tmp_path / "1")["roles"]["discriminator"]
    for name, value in old.items():
        _, scale, rest = name.split(".", 2)
        assert torch.equal(new[f"scales.{int(scale) + 1}.{rest}"], value)


def test_start_from_another_architecture_lists_the_difference(tmp_path, data, finished):
    with pytest.raises(
        CheckpointError, match=r"generator: the weights do not fit the architecture, nothing was loaded"
    ):
        train(tmp_path, data=data, init=str(finished), n_blocks=2)


def test_rgb_input(tmp_path):

    for side in "AB":
        (tmp_path / f"train_{side}").mkdir()
        for k in range(2):
            pixels = np.random.default_rng(k).integers(0, 256, (64, 64, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"train_{side}" / f"{k}.png")
    options = {**TINY, "resize": "", "label_nc": 0, "use_edges": False, "epochs": 1, "decay_epochs": 0}
    train(tmp_path / "run", "global", data=str(tmp_path), **options)
    assert load_checkpoint(tmp_path / "run" / CHECKPOINT_FILE).labels is None


@pytest.mark.parametrize(
    "given",
    [
        {"precision": "bf16"},
        {"precision": "auto"},
        {"checkpointing": True},
        {"gan_mode": "vanilla"},
        {"batch_size": 2},
        {"norm": "batch", "batch_size": 2, "upsampling": "smooth"},
    ],
)
def test_variants_train(tmp_path, data, given):
    train(tmp_path, data=data, epochs=1, decay_epochs=0, **given)
    assert all(np.isfinite(value) for row in losses(tmp_path) for value in row.values())


def test_checkpointing_changes_memory_only(tmp_path, data):
    for name, checkpointing in (("plain", False), ("saving", True)):
        train(tmp_path / name, data=data, epochs=1, decay_epochs=0, checkpointing=checkpointing)
    pairs = zip(losses(tmp_path / "plain"), losses(tmp_path / "saving"), strict=True)
    for plain, saving in pairs:  # channels of absent classes are left out in one of them, so sums are rounded otherwise
        assert plain == pytest.approx(saving, rel=1e-3)


def test_perceptual_loss_needs_its_weights(tmp_path, data):

    with pytest.raises(MissingFileError, match="VGG19 weights .*vgg19.pth does not exist"):
        train(tmp_path, data=data, vgg=str(tmp_path / "vgg19.pth"))


def test_losses_that_are_not_finite_stop_the_run(tmp_path, data):
    with pytest.raises(DivergenceError, match=r"no longer finite; the last checkpoint is kept|nothing was saved yet"):
        train(tmp_path, data=data, lr=1e30, epochs=20)
    for row in losses(tmp_path):
        assert all(np.isfinite(value) for value in row.values())


def finite(folder: Path) -> bool:
    states = load_checkpoint(folder / CHECKPOINT_FILE).networks.values()
    return all(torch.isfinite(value).all() for state in states for value in state.values())


@pytest.mark.parametrize("spoil", ["loss", "weight"])
def test_what_diverged_is_never_saved(tmp_path, data, monkeypatch, spoil):
    """Losses are logged every 100 steps and saved every second; from step 5 on they, or only the weights, are NaN."""
    original = Trainer._train_step

    def spoilt(self, batch):
        found = original(self, batch)
        if self.step >= 4 and spoil == "loss":
            return found | {"G_GAN": torch.tensor(torch.nan)}
        if self.step == 5:
            next(self.system.roles["generator"].parameters()).data[0] = torch.nan
        return found

    monkeypatch.setattr(Trainer, "_train_step", spoilt)
    with pytest.raises(DivergenceError, match=r"step 6: .* is no longer finite; the last checkpoint is kept") as caught:
        train(tmp_path, data=data, log_every=100, save_every=2)
    assert caught.value.exit_code == 1
    assert finite(tmp_path)
    assert load_checkpoint(tmp_path / CHECKPOINT_FILE).step == load_state(tmp_path)["step"] == 4


def test_a_diverged_run_ends_with_1(tmp_path, data):
    options = ("--lr", "1e30", "--log-every", "1000", "--save-every", "1000", "--workers", "0")
    result = command("pix2pixhd", "smoke", "--data", data, "-o", tmp_path / "run", *options)
    assert result.returncode == 1, result.stderr
    assert "no longer finite; nothing was saved yet" in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run" / CHECKPOINT_FILE).exists()


def test_tensorboard_keeps_the_point_of_the_save(tmp_path, data):
    """A run is saved at step 2 and killed after step 3: what is kept is steps 1 and 2, then 3 anew."""
    original, killed = Trainer._save, RuntimeError("killed")

    def die_after_the_first(self):
        original(self)
        if self.step == 4:
            raise killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_save", die_after_the_first)
        with pytest.raises(RuntimeError, match="killed"):
            train(tmp_path, data=data, save_every=4)
    train(tmp_path, data=data, save_every=4)
    events = EventAccumulator(str(tmp_path), purge_orphaned_data=True)
    events.Reload()
    assert [point.step for point in events.Scalars("G_GAN")] == list(range(1, 9))


NOISE_OF_RANKS = """
import sys, torch
from pathlib import Path
from accelerate import PartialState
from training.loop import Trainer
from tests.training.runs import train

drawn = []
original = Trainer._train_step
def recording(self, batch):
    system = self.system
    step = system.step
    def recorded(*arguments):
        drawn.append((self.step, torch.rand(3), torch.nn.functional.dropout(torch.ones(64))))
        return step(*arguments)
    system.step = recorded
    try:
        return original(self, batch)
    finally:
        system.step = step
Trainer._train_step = recording
trainer = train(Path(sys.argv[1]), data=sys.argv[2])
torch.save(drawn, Path(sys.argv[1]) / f"drawn_{PartialState().process_index}.pt")
"""


def drawn_by_ranks(folder, data, processes):
    (folder / "noise.py").write_text(NOISE_OF_RANKS)
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    line += [str(folder / "noise.py"), str(folder), str(data)]
    done = subprocess.run(
        line, env=ENVIRONMENT, capture_output=True, encoding="utf-8", errors="replace", timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [torch.load(folder / f"drawn_{rank}.pt") for rank in range(processes)]


@pytest.mark.nightly
def test_processes_draw_different_noise(tmp_path, data):
    (tmp_path / "two").mkdir()
    first, second = drawn_by_ranks(tmp_path / "two", data, 2)
    assert [step for step, *_ in first] == [step for step, *_ in second] == [0, 1, 2, 3]
    for (_, z, mask), (_, other_z, other_mask) in zip(first, second, strict=True):
        assert not torch.equal(z, other_z)
        assert not torch.equal(mask, other_mask)
    assert len({tuple(z.tolist()) for _, z, _ in first + second}) == 8


def test_damaged_state_is_named(tmp_path, data, finished):
    for name in ("options.json", STATE_FILE):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    (tmp_path / STATE_FILE).write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(CheckpointError, match=r"training_state.pt is damaged .* train into a new folder"):
        train(tmp_path, data=data)


def test_two_processes(tmp_path, data):
    """torchrun on two CPU processes: together they take one batch of two, and the run resumes on one process."""

    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "training"]
    line += ["pix2pixhd", "smoke", "--data", data, "-o", str(tmp_path), "--workers", "0"]
    done = subprocess.run(
        line, env=ENVIRONMENT, capture_output=True, encoding="utf-8", errors="replace", timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [row["step"] for row in losses(tmp_path)] == [1, 2, 3, 4]
    assert load_checkpoint(tmp_path / CHECKPOINT_FILE).step == 4


def test_command_line(tmp_path, data):
    planned = command("pix2pixhd", "smoke", "--data", data, "-o", tmp_path / "run", "--dry-run", "--lr", "0.001")
    assert planned.returncode == 0, planned.stderr
    assert "0.001" in planned.stdout
    assert "generator: " in planned.stdout
    assert not (tmp_path / "run").exists()
    wrong = command("pix2pixhd", "smoke", "--data", tmp_path / "nothing", "-o", tmp_path / "run")
    assert wrong.returncode == 2
    assert wrong.stderr.strip().startswith("data folder")
    assert "Traceback" not in wrong.stderr


def test_corrupt_image_found_by_a_loader_process_is_one_line(tmp_path):
    folder = scene_data(tmp_path / "scenes", 2)
    (folder / "train_img" / "scene_000001.png").write_bytes(b"broken")
    result = command("pix2pixhd", "smoke", "--data", folder, "-o", tmp_path / "run", "--workers", "1")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "scene_000001.png cannot be read as an image" in result.stderr


def test_untrained_weights_of_the_released_architecture(tmp_path):
    """The preset `joint` is NVIDIA's released network: 182.86 M parameters, 36 input channels."""
    module = family_system("pix2pixhd")
    options = resolve(module.Options, module.PRESETS, "joint", {})
    with torch.device("meta"):
        checkpoint = module.untrained(options)
    assert sum(value.numel() for value in checkpoint.networks["generator"].values()) == 182_857_059
    assert options.architecture.input_nc == 36
    result = command("untrained", "pix2pixhd", "smoke", "-o", tmp_path / "smoke.safetensors")
    assert result.returncode == 0, result.stderr
    assert load_checkpoint(tmp_path / "smoke.safetensors").step == 0


def test_evaluate(finished, data, tmp_path):
    result = command("evaluate", finished / CHECKPOINT_FILE, "--data", data, "--split", "train", "-o", tmp_path)
    assert result.returncode == 0, result.stderr

    with Image.open(tmp_path / "scene_000000.png") as picture:
        pixels = np.array(picture)
    fake, real = pixels[:, 256:512], pixels[:, 512:]
    figure = peak_signal_noise_ratio(real, fake)
    assert f"| scene_000000 | {figure:.2f} |" in (tmp_path / "report.md").read_text()
    assert fake.std() > 1
    sampled = command("evaluate", finished / CHECKPOINT_FILE, "--data", data, "--split", "train", "--styles", "sampled")
    assert sampled.returncode == 0, sampled.stderr


@pytest.mark.nightly
@needs_data
def test_losses_fall_on_cityscapes(tmp_path):
    """Eight real triples at reduced size: what the discriminators' features see of the photos comes closer."""
    for folder in (DATA / "cityscapes_sample").glob("train_*"):
        (tmp_path / "small" / folder.name).mkdir(parents=True)
        for path in folder.glob("*.png"):  # decoding them whole in every epoch would take most of the time
            with Image.open(path) as image:
                small = image.resize((256, 128), Image.Resampling.NEAREST)
            small.save(tmp_path / "small" / folder.name / path.name)
    given = {"resize": "64x128", "save_every": 100, "log_every": 1, "lr": 1e-3, "feat_num": 3, "nef": 4}
    tiny = {"ngf": 8, "n_downsample": 2, "n_downsample_encoder": 2, "n_blocks": 2, "ndf": 8}
    train(tmp_path, "global", data=str(tmp_path / "small"), epochs=15, decay_epochs=5, **given, **tiny)
    matching = [row["G_feature_matching"] for row in losses(tmp_path)]
    assert (tmp_path / LOG_FILE).is_file()
    assert np.mean(matching[-16:]) < 0.8 * np.mean(matching[:8])
