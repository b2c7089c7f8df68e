"""The segmenter: training, checkpoint and engine, and that it earns its score."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from export.errors import ExportError, ParityError
from export.onnx_from_checkpoint import export_onnx
from export.parity import compare, measure
from runtime.engines.engine import engine_spec
from runtime.engines.onnx_engine import OnnxEngine
from tests.training.runs import command, losses, scene_data, train
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.class_tables import CITYSCAPES, STREET
from training.commands.measures import MeasureOptions
from training.data.scene_folder import write_scene
from training.errors import CheckpointError, TrainingError
from training.evaluation.segmentation import FcnScore, Segmenter
from training.networks.layers import initialise
from training.networks.segmenter import Architecture, build
from training.state import CHECKPOINT_FILE
from training.system import HeldOut
from training.systems.segmenter import PRESETS, Options

TINY = Architecture(label_nc=7, width=4, n_downsample=2, n_blocks=1)


def tiny_checkpoint(**changes):
    """Random weights, wide enough that classes alternate, and statistics that differ from BatchNorm's first ones."""
    architecture = Architecture(**{**TINY.__dict__, **changes})
    torch.manual_seed(0)
    network = build(architecture)["segmenter"]
    initialise(network)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand_like(tensor) + 0.5)
        elif name.endswith("running_mean"):
            tensor.copy_(torch.randn_like(tensor))
        elif "weight" in name and tensor.ndim == 4:
            tensor.mul_(20)
        elif name.endswith("bias"):
            tensor.copy_(0.1 * torch.randn_like(tensor))
    mode = "running-stats" if architecture.norm == "batch" else "per-image"
    return Checkpoint("segmenter", architecture, {"segmenter": network.state_dict()}, normalization=mode)


def test_any_size_above_the_smallest():
    network = tiny_checkpoint().build()["segmenter"]
    for height, width in ((TINY.smallest_side, TINY.smallest_side), (33, 21), (64, 40)):
        assert network(torch.zeros(2, 3, height, width)).shape == (2, 7, height, width)


@pytest.mark.parametrize(("name", "value"), [("label_nc", 1), ("width", 0), ("n_downsample", 9), ("norm", "layer")])
def test_impossible_architectures(name, value):
    with pytest.raises(ValueError, match=name):
        Architecture(**{name: value})
    with pytest.raises(TrainingError, match=name):
        Options(**{name: value})


def test_presets_make_sense():
    for preset in PRESETS.values():
        options = Options(**preset)
        assert options.augmentation
        assert sum(p.numel() for p in build(options.architecture)["segmenter"].parameters()) < 3.5e6


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """One scene to learn by heart, and the run that did."""
    folder = tmp_path_factory.mktemp("street")
    write_scene(folder / "data", "train", 3, (64, 128))
    given = {"epochs": 60, "decay_epochs": 20, "lr": 1e-2, "width": 8, "flip": False, "seed": 1, "beta1": 0.9}
    train(folder / "run", family="segmenter", data=str(folder / "data"), save_every=1000, **given)
    return folder


def test_it_learns(street):
    rows = losses(street / "run")
    assert rows[0]["cross_entropy"] > 2.5
    assert rows[-1]["cross_entropy"] < 0.5
    assert rows[-1]["pixel_accuracy"] > 0.85


def test_from_training_to_the_score(street):
    """Checkpoint → engine → FCN-score: the photo scores what training said, another image scores less."""
    export_onnx(street / "run" / CHECKPOINT_FILE, street / "segmenter.onnx")
    label_map = np.array(Image.open(street / "data" / "train_label" / "scene_000003.png")).astype(np.int32)
    photo = np.array(Image.open(street / "data" / "train_img" / "scene_000003.png"))
    score = FcnScore(Segmenter(street / "segmenter.onnx", CITYSCAPES))
    assert engine_spec(street / "segmenter.onnx").labels == CITYSCAPES  # `pix2rt info` describes it
    score.add(HeldOut("scene", photo, np.ascontiguousarray(photo[::-1]), photo, label_map))
    assert score.real()["pixel_accuracy"] > 0.8
    assert score.real()["mean_iou"] > score.generated()["mean_iou"] + 0.2
    knows_parts = replace(load_checkpoint(street / "run" / CHECKPOINT_FILE), labels=STREET)
    judge = MeasureOptions(segmenter=street / "segmenter.onnx").measures(knows_parts)[-1]
    assert isinstance(judge, FcnScore)
    assert judge.segmenter.labels == CITYSCAPES


def test_classes_that_do_not_count_are_never_learned(street):
    checkpoint = load_checkpoint(street / "run" / CHECKPOINT_FILE)
    assert checkpoint.normalization == "running-stats"
    assert checkpoint.labels == CITYSCAPES
    photo = torch.from_numpy(np.array(Image.open(street / "data" / "train_img" / "scene_000003.png")))
    scores = checkpoint.build()["segmenter"](photo.permute(2, 0, 1)[None] / 127.5 - 1)
    found = set(scores.argmax(1).unique().tolist())
    assert 7 in found, "road"
    assert not found & {1, 2, 3, 4, 6, 9}


def test_a_checkpoint_of_another_width_is_no_start(street, tmp_path):
    words = ["segmenter", "smoke", "--data", street / "data", "-o", tmp_path / "run"]
    result = command(*words, "--init", street / "run", "--width", "6")
    assert result.returncode == 2
    assert "weights do not fit" in result.stderr


@pytest.mark.parametrize("norm", ["batch", pytest.param("instance", marks=pytest.mark.nightly)])
@pytest.mark.parametrize(("size", "precision"), [(None, "fp32"), ((40, 24), "fp32"), (None, "fp16")])
def test_engine(tmp_path, norm, size, precision):
    """The gate compares ids; this compares them with torch, computed by itself, at an odd size."""
    checkpoint = tiny_checkpoint(norm=norm)
    save_checkpoint(checkpoint, tmp_path / "s.safetensors")
    (engine,) = export_onnx(tmp_path / "s.safetensors", tmp_path / "s.onnx", size=size, precision=precision)
    assert engine.spec.kind == "segmenter"
    count, height, width = (1, *size) if size else (2, 37, 51)
    image = np.random.default_rng(0).integers(0, 256, (count, height // 4 + 1, width // 4 + 1, 3), np.uint8)
    image = image.repeat(4, 1).repeat(4, 2)[:, :height, :width]
    (found,) = OnnxEngine(engine.path, engine.spec, "cpu", 1).run({"image": image}).values()
    planes = torch.from_numpy(image.transpose(0, 3, 1, 2).astype(np.float32)) / 127.5 - 1
    with torch.inference_mode():
        expected = checkpoint.build()["segmenter"](planes).argmax(1).numpy()
    assert len(np.unique(expected)) > 2
    assert np.mean(found != expected) <= {"fp32": 0.001, "fp16": 0.02}[precision]


def test_the_gate_counts_wrong_ids():
    ids = np.random.default_rng(0).integers(0, 19, (1, 100, 100)).astype(np.uint8)
    few, many = ids.copy(), ids.copy()
    few[0, 0, :5] += 1
    many[0, 0, :50] += 1
    assert compare("label_map", ids, few, "fp32").differing_bytes == pytest.approx(5e-4)
    with pytest.raises(ParityError, match=r"0\.50% of the fp32 engine's ids"):
        compare("label_map", ids, many, "fp32")
    assert measure(ids, many).max_grey_levels == 255
    with pytest.raises(ParityError, match="grey levels"):
        compare("image", ids[..., None], few[..., None] + np.uint8(1), "fp32")


def test_what_a_segmenter_does_not_offer(street, tmp_path):
    checkpoint = street / "run" / CHECKPOINT_FILE
    for flags in ({"options": {"stochastic": True}}, {"baseline": True, "size": (64, 64)}):
        with pytest.raises(ExportError, match="segmenter.*leave it out"):
            export_onnx(checkpoint, tmp_path / "s.onnx", **flags)
    result = command("evaluate", checkpoint, "--data", street / "data", "--split", "train")
    assert result.returncode == 2
    assert "makes no images; give one of" in result.stderr
    assert "pix2pix, pix2pixhd" in result.stderr


def test_untrained_and_dry_run(tmp_path):
    data = scene_data(tmp_path / "data", 1)
    result = command("untrained", "segmenter", "smoke", "-o", tmp_path / "s.safetensors")
    assert result.returncode == 0, result.stderr
    assert load_checkpoint(tmp_path / "s.safetensors").step == 0
    result = command("segmenter", "scenes", "--data", data, "-o", tmp_path / "run", "--dry-run")
    assert "generator: 1.7" in result.stdout
    assert not (tmp_path / "run").exists()


def test_a_truncated_architecture_is_refused(tmp_path):
    checkpoint = tiny_checkpoint()
    del checkpoint.networks["segmenter"]["head.bias"]
    with pytest.raises(CheckpointError, match=r"missing head\.bias"):
        checkpoint.build()
    assert json.dumps(TINY.__dict__), "an architecture is JSON"
