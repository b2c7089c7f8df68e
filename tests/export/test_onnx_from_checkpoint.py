"""Engines equal their checkpoints, describe themselves, and are not written where they do not."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from export import onnx_from_checkpoint
from export.errors import ExportError, ParityError
from export.onnx_from_checkpoint import export_onnx
from export.torch_to_onnx import MAX_BYTES
from runtime.engines.onnx_metadata import read_spec
from tests.export.conftest import SIZE, Tiny
from tests.export.reference import psnr, random_inputs, reference_bytes, run
from tests.paths import ROOT
from tests.tiny_models import ARCHITECTURES, save_tiny_checkpoint, tiny_checkpoint
from tests.tolerances import GREY_LEVELS, PSNR_DB
from training.checkpoint import save_checkpoint, sha256_of
from training.networks import family_networks

VARIANTS = tuple(ARCHITECTURES)
DYNAMIC = (
    pytest.param("global", "fp32", marks=pytest.mark.nightly),
    pytest.param("no_edges", "fp32", marks=pytest.mark.nightly),
    pytest.param("rgb", "fp32", marks=pytest.mark.nightly),
    pytest.param("features", "fp32", marks=pytest.mark.nightly),
    ("features", "fp16"),
)
FP16 = tuple(
    one if one in ("local", "features", "rgb_to_five") else pytest.param(one, marks=pytest.mark.nightly)
    for one in VARIANTS
)


@pytest.mark.parametrize("variant", VARIANTS)
def test_fp32_engine_equals_checkpoint(variant: str, tiny_engines: Tiny) -> None:
    checkpoint = tiny_checkpoint(variant)
    for seed in range(3):
        inputs = random_inputs(checkpoint, 1, *SIZE, seed)
        expected = reference_bytes(checkpoint, inputs)
        received = run(tiny_engines(variant)[0], inputs)
        assert received.dtype == np.uint8
        assert np.ptp(expected) > 50
        assert np.abs(received.astype(int) - expected).max() <= GREY_LEVELS["fp32"]


@pytest.mark.parametrize("variant", FP16)
def test_fp16_engine_is_close_to_checkpoint(variant: str, tiny_engines: Tiny) -> None:
    checkpoint = tiny_checkpoint(variant)
    inputs = random_inputs(checkpoint, 1, *SIZE)
    assert psnr(reference_bytes(checkpoint, inputs), run(tiny_engines(variant, "fp16")[0], inputs)) >= PSNR_DB["fp16"]


@pytest.mark.parametrize(("variant", "precision"), DYNAMIC)
def test_dynamic_engine_takes_any_size_and_a_batch_equals_singles(
    variant: str, precision: str, tiny_engines: Tiny
) -> None:
    checkpoint = tiny_checkpoint(variant)
    engine = tiny_engines(variant, precision, dynamic=True)[0]
    for count, height, width in ((1, 16, 24), (3, 64, 32), (2, 40, 56)):
        inputs = random_inputs(checkpoint, count, height, width)
        batch = run(engine, inputs)
        singles = [run(engine, {name: value[n : n + 1] for name, value in inputs.items()}) for n in range(count)]
        assert np.array_equal(batch, np.concatenate(singles))
        expected = reference_bytes(checkpoint, inputs)
        if precision == "fp32":
            assert np.abs(batch.astype(int) - expected).max() <= GREY_LEVELS[precision]
        else:
            assert psnr(expected, batch) >= PSNR_DB[precision]


def test_dynamic_engine_takes_any_number_of_styles(tiny_engines: Tiny) -> None:
    checkpoint = tiny_checkpoint("features")
    inputs = random_inputs(checkpoint, 2, 32, 32)
    fewer = {**inputs, "styles": np.ascontiguousarray(inputs["styles"][:, :5])}
    engine = tiny_engines("features", dynamic=True)[0]
    assert np.array_equal(run(engine, fewer), run(engine, inputs))


def test_styles_and_instances_reach_the_image(tiny_engines: Tiny) -> None:
    engine = tiny_engines("features")[0]
    inputs = random_inputs(tiny_checkpoint("features"), 1, *SIZE)
    other = {**inputs, "styles": -inputs["styles"]}
    assert not np.array_equal(run(engine, inputs), run(engine, other))


def test_encoder_is_written_beside_the_synthesizer(tiny_engines: Tiny) -> None:
    synthesizer, encoder = tiny_engines("features")
    assert encoder.path == synthesizer.path.with_suffix(".encoder.onnx")
    assert (synthesizer.spec.kind, encoder.spec.kind) == ("synthesizer", "style_encoder")
    image = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    with torch.inference_mode():
        pixels = torch.from_numpy(image.transpose(0, 3, 1, 2).astype(np.float32)) / 127.5 - 1
        expected = tiny_checkpoint("features").build()["encoder"](pixels).numpy()
    np.testing.assert_allclose(run(encoder, {"image": image}), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("variant", "precision", "dynamic"), [(v, "fp32", False) for v in VARIANTS] + [("features", "fp16", True)]
)
def test_specification_travels_in_the_file(variant: str, precision: str, dynamic: bool, tiny_engines: Tiny) -> None:
    architecture = ARCHITECTURES[variant]
    for engine in tiny_engines(variant, precision, dynamic):
        spec = read_spec(engine.path)
        assert spec == engine.spec
        assert spec.checkpoint_sha256 == sha256_of(engine.path.with_name("model.safetensors"))
        assert spec.size == (None if dynamic else SIZE)
        assert spec.size_multiple == architecture.size_multiple
        assert spec.precision == precision
        gives_floats = any(output.dtype.startswith("float") for output in spec.outputs)
        floats = {"float_difference"} if gives_floats else set()
        assert spec.parity.keys() == {"max_grey_levels", "psnr_db", "differing_bytes"} | floats
        assert min(spec.cost.macs, spec.cost.parameters, spec.cost.weight_bytes, spec.cost.activation_bytes) > 0
        model = onnx.load(engine.path)
        onnx.checker.check_model(model, full_check=True)
        assert [tensor.name for tensor in spec.inputs] == [value.name for value in model.graph.input]
        assert model.opset_import[0].version >= 20
        assert model.producer_name == "pix2rt"


def test_style_bank_travels_in_the_file(tiny_engines: Tiny) -> None:
    bank = read_spec(tiny_engines("features")[0].path).styles
    styles = tiny_checkpoint("features").styles
    assert bank is not None
    assert bank.centres == {c: tuple(map(tuple, value.tolist())) for c, value in styles.items()}


@pytest.mark.parametrize(("variant", "precision"), [("features", "fp32"), ("rgb", "fp16")])
def test_bytes_only_at_the_edges(variant: str, precision: str, tiny_engines: Tiny) -> None:
    for engine in tiny_engines(variant, precision):
        graph = onnx.shape_inference.infer_shapes(onnx.load(engine.path)).graph
        ends = {value.name for value in (*graph.input, *graph.output)}
        dtypes = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input, *graph.output)}
        assert {name for name, dtype in dtypes.items() if dtype == TensorProto.UINT8} <= ends
        for node in graph.node:
            if any(dtypes.get(name) == TensorProto.UINT8 for name in (*node.input, *node.output)):
                assert node.op_type == "Cast"


def test_fp16_computes_in_fp16_but_normalises_in_fp32(tiny_engines: Tiny) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load(tiny_engines("local", "fp16")[0].path))
    dtypes = {v.name: v.type.tensor_type.elem_type for v in model.graph.value_info}
    inputs = {
        op: {dtypes[n.input[0]] for n in model.graph.node if n.op_type == op}
        for op in ("Conv", "InstanceNormalization")
    }
    assert inputs == {"Conv": {TensorProto.FLOAT16}, "InstanceNormalization": {TensorProto.FLOAT}}


def test_file_tells_nothing_of_the_machine_and_repeats(tiny_engines: Tiny, tmp_path: Path) -> None:
    engine = tiny_engines("local")[0]
    content = engine.path.read_bytes()
    for trace in (str(ROOT), "torch/", "site-packages", ".py", "pkg.torch", str(Path.home()) + "/"):
        assert trace.encode() not in content
    again = export_onnx(engine.path.with_name("model.safetensors"), tmp_path / "again.onnx", size=SIZE)[0]
    assert again.path.read_bytes() == content


def test_baseline_is_the_plain_network(tmp_path: Path) -> None:
    checkpoint = save_tiny_checkpoint("local", tmp_path / "c.safetensors")
    (engine,) = export_onnx(checkpoint, tmp_path / "b.onnx", size=SIZE, baseline=True)
    assert engine.spec.kind == "baseline"
    assert [(t.name, t.dtype, t.shape) for t in engine.spec.inputs] == [("input", "float32", (1, 7, *SIZE))]
    weights = {tensor.name for tensor in onnx.load(engine.path).graph.initializer}
    assert {"trunk.1.bias", "head.1.weight"} <= weights


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named_and_nothing_is_written(value: float, tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint("local")
    checkpoint.networks["generator"]["head.1.weight"][1, 2, 3, 3] = value
    save_checkpoint(checkpoint, tmp_path / "c.safetensors")
    with pytest.raises(ExportError, match=r"generator\.head\.1\.weight: 1 of"):
        export_onnx(tmp_path / "c.safetensors", tmp_path / "out" / "e.onnx", size=SIZE)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("broken", ["trunk.1.weight", "layers.1.weight"], ids=["the generator", "only its encoder"])
def test_engine_with_other_weights_is_refused_and_nothing_is_left(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = onnx_from_checkpoint.torch_to_onnx

    def traced(*args: object) -> onnx.ModelProto:
        model = trace(*args)
        for weight in (tensor for tensor in model.graph.initializer if tensor.name.endswith(broken)):
            flipped = np.flip(onnx.numpy_helper.to_array(weight), 0).copy()
            weight.CopyFrom(onnx.numpy_helper.from_array(flipped, weight.name))
        return model

    checkpoint = save_tiny_checkpoint("features", tmp_path / "c.safetensors")
    monkeypatch.setattr(onnx_from_checkpoint, "torch_to_onnx", traced)
    with pytest.raises(ParityError, match="differs from the checkpoint by"):
        export_onnx(checkpoint, tmp_path / "e.onnx", size=SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


def test_constant_checkpoint_gives_a_constant_engine(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint("no_edges")
    checkpoint.networks["generator"]["head.1.weight"].zero_()
    save_checkpoint(checkpoint, tmp_path / "c.safetensors")
    (engine,) = export_onnx(tmp_path / "c.safetensors", tmp_path / "e.onnx", size=SIZE)
    assert engine.spec.parity["max_grey_levels"] == 0


@pytest.mark.parametrize("size", [(30, 48), (32, 0), (32, 4), (32, 32768), (-32, 32)])
def test_unfitting_size_names_the_multiple(size: tuple[int, int], tmp_path: Path) -> None:
    checkpoint = save_tiny_checkpoint("features", tmp_path / "c.safetensors")
    with pytest.raises(ExportError, match="multiples of 4"):
        export_onnx(checkpoint, tmp_path / "e.onnx", size=size)


def test_unfitting_requests_are_refused(tmp_path: Path) -> None:
    path = save_tiny_checkpoint("no_edges", tmp_path / "c.safetensors")
    with pytest.raises(ExportError, match="ends in .onnx"):
        export_onnx(path, tmp_path / "e.bin", size=SIZE)
    with pytest.raises(ExportError, match="'int4' is not one of"):
        export_onnx(path, tmp_path / "e.onnx", size=SIZE, precision="int4")
    with pytest.raises(ExportError, match="--baseline"):
        export_onnx(path, tmp_path / "e.onnx", baseline=True)


def test_too_many_weights_for_one_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_BYTES < 2**31
    monkeypatch.setattr("export.torch_to_onnx.MAX_BYTES", 1000)
    path = save_tiny_checkpoint("no_edges", tmp_path / "c.safetensors")
    with pytest.raises(ExportError, match="one ONNX file holds at most 1,000"):
        export_onnx(path, tmp_path / "e.onnx", size=SIZE)


@pytest.mark.parametrize("mode", ["running-stats", pytest.param("batch-stats", marks=pytest.mark.nightly)])
def test_batch_norm_of_pix2pixhd_in_every_mode(mode: str, tiny_engines: Tiny) -> None:
    checkpoint = tiny_checkpoint("batch_norm")
    inputs = random_inputs(checkpoint, 1, *SIZE)
    engines = tiny_engines("batch_norm", normalization=mode)
    per_image = reference_bytes(checkpoint, inputs)
    checkpoint.normalization = mode
    expected = reference_bytes(checkpoint, inputs)
    assert np.abs(run(engines[0], inputs).astype(int) - expected).max() <= GREY_LEVELS["fp32"]
    assert engines[0].spec.normalization == engines[1].spec.normalization == mode
    if mode == "running-stats":  # nothing is left to compute
        halves = tiny_engines("batch_norm", "fp16", normalization=mode)
        nodes = [node.op_type for engine in (*engines, *halves) for node in onnx.load(engine.path).graph.node]
        assert "BatchNormalization" not in nodes
        assert np.abs(per_image.astype(int) - expected).max() > 10


def test_images_that_no_runner_shows_are_refused(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint("no_edges")
    checkpoint.architecture = dataclasses.replace(checkpoint.architecture, output_nc=1)
    networks = family_networks("pix2pixhd").build(checkpoint.architecture)
    checkpoint.networks = {name: network.state_dict() for name, network in networks.items()}
    save_checkpoint(checkpoint, tmp_path / "c.safetensors")
    with pytest.raises(ExportError, match="images of 1 channels from a label map"):
        export_onnx(tmp_path / "c.safetensors", tmp_path / "e.onnx", size=SIZE)
    export_onnx(tmp_path / "c.safetensors", tmp_path / "e.onnx", size=SIZE, baseline=True)
