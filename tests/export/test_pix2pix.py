"""Translators equal their checkpoints in every normalisation mode, at every size they promise."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from export.errors import ExportError
from export.inference_modules import Request
from export.onnx_from_checkpoint import export_onnx, graphs_of
from export.validate import validate
from runtime.engines.onnx_metadata import read_spec
from tests.export.conftest import SIZE, Tiny
from tests.export.reference import psnr, random_inputs, reference_bytes, run
from tests.tiny_models import ARCHITECTURES, TRANSLATORS, save_tiny_checkpoint, tiny_checkpoint
from tests.tolerances import GREY_LEVELS, PSNR_DB
from training.checkpoint import Checkpoint, save_checkpoint
from training.errors import CheckpointError

MODES = ("per-image", "running-stats", "batch-stats")
WITHOUT_BATCH_NORM = tuple(name for name, a in TRANSLATORS.items() if a.norm != "batch")
STATIC = [("unet", mode) for mode in MODES] + [("resnet", mode) for mode in MODES]
STATIC += [("encoder_decoder", "running-stats"), *((variant, None) for variant in WITHOUT_BATCH_NORM)]
DYNAMIC = [("unet", mode) for mode in MODES] + [("unet_grey", None), ("resnet", "batch-stats")]


def in_mode(variant: str, mode: str | None) -> Checkpoint:
    return dataclasses.replace(tiny_checkpoint(variant), normalization=mode or "per-image")


@pytest.mark.parametrize(("variant", "mode"), STATIC)
def test_fp32_engine_equals_checkpoint(variant: str, mode: str | None, tiny_engines: Tiny) -> None:
    checkpoint = in_mode(variant, mode)
    engine = tiny_engines(variant, normalization=mode)[0]
    assert engine.spec.normalization == checkpoint.normalization
    for seed in range(3):
        inputs = random_inputs(checkpoint, 1, *SIZE, seed)
        expected = reference_bytes(checkpoint, inputs)
        received = run(engine, inputs)
        assert received.shape == (1, *SIZE, checkpoint.architecture.output_nc)
        assert np.ptp(expected) > 50
        assert np.abs(received.astype(int) - expected).max() <= GREY_LEVELS["fp32"]


@pytest.mark.parametrize(
    ("variant", "mode"),
    [("unet", "per-image"), ("unet", "running-stats"), ("resnet", "batch-stats"), ("unet_grey", None)],
)
def test_fp16_engine_is_close_and_normalises_in_fp32(variant: str, mode: str | None, tiny_engines: Tiny) -> None:
    checkpoint = in_mode(variant, mode)
    engine = tiny_engines(variant, "fp16", normalization=mode)[0]
    inputs = random_inputs(checkpoint, 1, *SIZE)
    assert psnr(reference_bytes(checkpoint, inputs), run(engine, inputs)) >= PSNR_DB["fp16"]
    model = onnx.shape_inference.infer_shapes(onnx.load(engine.path))
    dtypes = {v.name: v.type.tensor_type.elem_type for v in model.graph.value_info}
    dtypes |= {constant.name: constant.data_type for constant in model.graph.initializer}
    convolutions = ("Conv", "ConvTranspose")
    for node in model.graph.node:
        if node.op_type in ("InstanceNormalization", "ReduceMean", "BatchNormalization"):
            assert {dtypes[name] for name in node.input if name in dtypes} <= {TensorProto.FLOAT, TensorProto.INT64}
        if node.op_type in convolutions:
            assert {dtypes[name] for name in node.input} == {TensorProto.FLOAT16}


@pytest.mark.parametrize(("variant", "mode"), DYNAMIC)
def test_dynamic_engine_takes_any_size(variant: str, mode: str | None, tiny_engines: Tiny) -> None:
    checkpoint = in_mode(variant, mode)
    engine = tiny_engines(variant, dynamic=True, normalization=mode)[0]
    m, least = engine.spec.size_multiple, engine.spec.smallest_side
    for count, height, width in ((1, least, least), (3, least, 3 * m), (2, 4 * m, 2 * m)):
        inputs = random_inputs(checkpoint, count, height, width)
        batch = run(engine, inputs)
        assert np.abs(batch.astype(int) - reference_bytes(checkpoint, inputs)).max() <= GREY_LEVELS["fp32"]
        singles = np.concatenate([run(engine, {"image": image[None]}) for image in inputs["image"]])
        assert np.array_equal(batch, singles) == (mode != "batch-stats" or count == 1)


def test_running_statistics_are_folded_away(tiny_engines: Tiny) -> None:
    for variant in ("unet", "resnet"):
        model = onnx.load(tiny_engines(variant, normalization="running-stats")[0].path)
        assert {node.op_type for node in model.graph.node}.isdisjoint({"BatchNormalization", "InstanceNormalization"})


@pytest.mark.parametrize("stochastic", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_tensors_are_those_of_the_kind(stochastic: bool, tiny_engines: Tiny) -> None:
    for dynamic, (n, h, w) in ((False, (1, *SIZE)), (True, ("N", "H", "W"))):
        engine = tiny_engines("unet_grey", dynamic=dynamic, stochastic=stochastic)[0]
        spec = read_spec(engine.path)
        assert (spec.kind, spec.family, spec.labels, spec.styles) == ("translator", "pix2pix", None, None)
        assert (spec.size_multiple, spec.smallest_side) == (16, 16)
        expected = [("image", "uint8", (n, h, w, 1))] + ([("seed", "int32", (n,))] if stochastic else [])
        assert [(t.name, t.dtype, t.shape) for t in spec.inputs] == expected
        assert [(t.name, t.dtype, t.shape) for t in spec.outputs] == [("translation", "uint8", (n, h, w, 3))]
        assert "fake_image" in {name for node in onnx.load(engine.path).graph.node for name in node.output}


def test_baseline_is_the_plain_network_in_the_same_mode(tmp_path: Path) -> None:
    checkpoint = save_tiny_checkpoint("unet_plain", tmp_path / "c.safetensors")
    (engine,) = export_onnx(checkpoint, tmp_path / "b.onnx", size=SIZE, baseline=True)
    spec = engine.spec
    assert (spec.kind, spec.labels, spec.normalization) == ("baseline", None, "per-image")
    assert [(t.name, t.shape) for t in spec.inputs + spec.outputs] == [
        ("input", (1, 5, *SIZE)),
        ("output", (1, 1, *SIZE)),
    ]
    inputs = random_inputs(tiny_checkpoint("unet_plain"), 1, *SIZE)
    output = run(engine, {"input": inputs["image"].transpose(0, 3, 1, 2) / np.float32(127.5) - 1})
    received = np.clip(127.5 * output + 127.5, 0, 255).transpose(0, 2, 3, 1)
    assert np.abs(received - reference_bytes(tiny_checkpoint("unet_plain"), inputs)).max() < 1.1  # truncated


def test_checkpoint_decides_the_mode_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(in_mode("unet", "running-stats"), path)
    assert export_onnx(path, tmp_path / "a.onnx", size=SIZE)[0].spec.normalization == "running-stats"
    told = export_onnx(path, tmp_path / "b.onnx", size=SIZE, normalization="batch-stats")
    assert told[0].spec.normalization == "batch-stats"
    assert [row.failure for row in validate(path, [tmp_path / "a.onnx", tmp_path / "b.onnx"])] == ["", ""]


def test_validation_feeds_seeds(tiny_engines: Tiny) -> None:
    engine = tiny_engines("unet", stochastic=True)[0].path
    assert [row.failure for row in validate(engine.with_name("model.safetensors"), [engine])] == [""]


@pytest.mark.parametrize("variant", ["unet_grey", "unet_plain", "local"])
def test_mode_without_batch_norm_is_refused(variant: str, tmp_path: Path) -> None:
    path = save_tiny_checkpoint(variant, tmp_path / "c.safetensors")
    with pytest.raises(CheckpointError, match="no batch normalisation"):
        export_onnx(path, tmp_path / "e.onnx", size=SIZE, normalization="batch-stats")
    with pytest.raises(ExportError, match="'groups' is not one of per-image, running-stats, batch-stats"):
        export_onnx(path, tmp_path / "e.onnx", size=SIZE, normalization="groups")


def test_noise_without_dropout_is_refused(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint("unet")
    checkpoint.architecture = dataclasses.replace(checkpoint.architecture, dropout_blocks=())
    save_checkpoint(checkpoint, tmp_path / "c.safetensors")
    hd = save_tiny_checkpoint("local", tmp_path / "hd.safetensors")
    with pytest.raises(ExportError, match="has no dropout"):
        export_onnx(tmp_path / "c.safetensors", tmp_path / "e.onnx", size=SIZE, options={"stochastic": True})
    with pytest.raises(ExportError, match="--stochastic is no option of pix2pixhd networks"):
        export_onnx(hd, tmp_path / "e.onnx", size=SIZE, options={"stochastic": True})
    noisy = save_tiny_checkpoint("unet", tmp_path / "unet.safetensors")
    with pytest.raises(ExportError, match="--baseline --stochastic: the yardstick draws no noise"):
        export_onnx(noisy, tmp_path / "e.onnx", size=SIZE, options={"stochastic": True}, baseline=True)


@pytest.mark.parametrize(
    ("changes", "words"), [({"use_edges": True}, "instance edges:"), ({"feat_num": 3}, "instance features:")]
)
def test_pix2pixhd_on_images_with_maps_is_refused(changes: dict[str, object], words: str) -> None:
    checkpoint = tiny_checkpoint("rgb")
    checkpoint.architecture = dataclasses.replace(ARCHITECTURES["rgb"], **changes)  # type: ignore[arg-type]
    from training.networks.pix2pixhd import build

    checkpoint.networks = {name: net.state_dict() for name, net in build(checkpoint.architecture).items()}
    with pytest.raises(ExportError, match=words):
        graphs_of(checkpoint, Request(SIZE))
    assert graphs_of(checkpoint, Request(SIZE), baseline=True)[0].kind == "baseline"


@pytest.mark.parametrize("size", [(24, 32), (0, 16), (8, 16)])
def test_unfitting_size_names_the_multiple(size: tuple[int, int], tmp_path: Path) -> None:
    checkpoint = save_tiny_checkpoint("unet", tmp_path / "c.safetensors")
    with pytest.raises(ExportError, match="multiples of 16 from 16"):
        export_onnx(checkpoint, tmp_path / "e.onnx", size=size)
