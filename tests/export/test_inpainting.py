"""Inpainters equal their checkpoints; known pixels come back bit for bit."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch.nn import functional as F

from cuda_ext.reference import patch_match, patch_paste, patch_swap
from export.engine_from_onnx import Profile, engine_from_onnx
from export.errors import ExportError, ParityError
from export.inference_modules.inpainting import default_scales
from export.onnx_from_checkpoint import Exported, export_onnx
from export.validate import validate
from runtime import Inpainter
from runtime.bench.runners import open_runner
from runtime.engines.engine import open_engine
from runtime.engines.onnx_engine import OnnxEngine
from runtime.engines.onnx_metadata import read_spec
from runtime.native.library import missing_reason
from tests.export.reference import psnr
from tests.tiny_models import save_tiny_checkpoint
from tests.tolerances import GREY_LEVELS, PSNR_DB
from training.checkpoint import Checkpoint, save_checkpoint
from training.networks.inpainting import Architecture, build, low_pass, masked_input
from training.networks.smooth_fill import smooth_fill

SIZE = (32, 48)
ARCHITECTURE = Architecture(infer_ngf=4, n_blocks=1, feature_widths=(4, 6, 8), translate_ngf=4, n_levels=2)
VARIANTS: dict[str, dict[str, Any]] = {
    "one": {"size": SIZE},
    "two": {"size": SIZE, "options": {"scales": 2, "iterations": 2}},
    "half": {"size": SIZE, "options": {"scales": 2}, "precision": "fp16"},
    "dynamic": {"size": None, "options": {"scales": 2}},
    "style": {"size": SIZE, "options": {"style_transfer": True}},
    "baseline": {"size": SIZE, "options": {"scales": 2}, "baseline": True},
}


def tiny_checkpoint(architecture: Architecture = ARCHITECTURE) -> Checkpoint:
    """Weights that keep the size of their input's values, and statistics that matter."""
    torch.manual_seed(0)
    networks = build(architecture)
    for network in networks.values():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                spread = 3 if isinstance(module, torch.nn.ConvTranspose2d) else 1
                torch.nn.init.normal_(module.weight, 0, spread * (2 / module.weight[0].numel()) ** 0.5)
        for weight in network.parameters():
            if weight.ndim == 1:
                weight.data.add_(0.1 * torch.randn_like(weight))
        for name, statistic in network.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                statistic.uniform_(0.5, 1.5)
    states = {name: network.state_dict() for name, network in networks.items()}
    return Checkpoint("inpainting", architecture, states, normalization="running-stats", step=3)


@pytest.fixture(scope="module")
def checkpoint_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inpainting") / "model.safetensors"
    save_checkpoint(tiny_checkpoint(), path)
    return path


@pytest.fixture(scope="module")
def engines(checkpoint_path: Path) -> Any:
    """Name of a variant → its engine, exported once."""
    made: dict[str, Exported] = {}

    def engine(name: str) -> Exported:
        if name not in made:
            (made[name],) = export_onnx(checkpoint_path, checkpoint_path.with_name(f"{name}.onnx"), **VARIANTS[name])
        return made[name]

    return engine


def random_inputs(count: int, height: int, width: int, seed: int = 0, style: bool = False) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    arrays = {"image": rng.integers(0, 256, (count, height, width, 3), np.uint8)}
    arrays["hole_mask"] = np.zeros((count, height, width), np.uint8)
    for mask in arrays["hole_mask"]:
        mask[height // 4 : height // 2, width // 8 : width // 2] = rng.integers(1, 256)
        mask[-5:, -7:] = 1
    if style:
        arrays["style_image"] = rng.integers(0, 256, (count, height, width, 3), np.uint8)
    return arrays


def run(engine: Exported, arrays: dict[str, Any]) -> Any:
    (output,) = OnnxEngine(engine.path, engine.spec, "cpu", 1).run(arrays).values()
    return output


def swapped(features: torch.Tensor, hole: torch.Tensor, compared: torch.Tensor | None = None) -> torch.Tensor:
    if compared is None:
        return torch.from_numpy(patch_swap(features.numpy(), hole.numpy()))
    match = patch_match(compared.numpy(), hole.numpy())
    return torch.from_numpy(patch_paste(features.numpy(), hole.numpy(), match))


def completed(arrays: dict[str, Any], scales: int, iterations: int) -> Any:
    """Infer, Match, Translate by the definitions, from the networks and the reference of patch-swap alone."""
    networks = tiny_checkpoint().build()
    image = torch.from_numpy(arrays["image"].transpose(0, 3, 1, 2) / np.float32(127.5) - 1)
    hole = torch.from_numpy((arrays["hole_mask"] > 0).astype(np.float32))[:, None]
    made = None
    for scale in reversed(range(scales)):
        small, missing = F.avg_pool2d(image, 2**scale), F.max_pool2d(hole, 2**scale)

        def paste(new: torch.Tensor, small: torch.Tensor = small, missing: torch.Tensor = missing) -> torch.Tensor:
            return new * missing + small * (1 - missing)

        if made is None:
            made = networks["image2feature"](masked_input(small, missing))
        else:
            larger, smooth = F.interpolate(made, scale_factor=2, mode="bilinear"), smooth_fill(small, missing)
            depth = low_pass(missing) ** 2
            made = larger * depth + smooth * (1 - depth)
        guess = paste(made)
        features, cells = networks["features"](guess), F.max_pool2d(missing, 4)
        if scale == scales - 1:
            larger, times = F.interpolate(F.avg_pool2d(guess, 2), scale_factor=2, mode="bilinear"), iterations
        features = swapped(features, cells, networks["features"](larger))
        for _ in range(times - 1):
            features = swapped(features, cells)
        times = max(1, times // 2)
        made = networks["feature2image"](features)
        made = paste(made + smooth_fill(small - made, missing))
        made = paste(made + low_pass(guess) - low_pass(made))
    return quantised(made)


def restyled(arrays: dict[str, Any]) -> Any:
    """Content beside style in one map of features, all of the content a hole."""
    networks = tiny_checkpoint().build()
    content, style = (
        networks["features"](torch.from_numpy(arrays[name].transpose(0, 3, 1, 2) / np.float32(127.5) - 1))
        for name in ("image", "style_image")
    )
    features = torch.cat([content, style], 3)
    hole = torch.zeros_like(features[:, :1])
    hole[..., : content.shape[3]] = 1
    return quantised(networks["feature2image"](swapped(features, hole)[..., : content.shape[3]]))


def quantised(image: torch.Tensor) -> Any:
    return np.clip(127.5 * image.numpy() + np.float32(127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


DYNAMIC = pytest.param("dynamic", marks=pytest.mark.nightly)


@pytest.mark.parametrize(("name", "scales", "iterations"), [("one", 1, 1), ("two", 2, 2)])
@torch.no_grad()
def test_fp32_engine_equals_the_definition(name: str, scales: int, iterations: int, engines: Any) -> None:
    engine = engines(name)
    assert engine.backends == (("onnxruntime",) if missing_reason() else ("onnxruntime", "native"))
    for seed in range(3):
        sizes = [(1, *SIZE)] if engine.spec.size else [(2, 32, 48), (1, 64, 32), (1, 32, 32)]
        for size in sizes:
            arrays = random_inputs(*size, seed=seed)
            expected, received = completed(arrays, scales, iterations), run(engine, arrays)
            missing = arrays["hole_mask"] > 0
            assert np.ptp(expected[missing]) > 50
            assert np.abs(received.astype(int) - expected)[missing].max() <= GREY_LEVELS["fp32"]
            np.testing.assert_array_equal(received[~missing], arrays["image"][~missing])
            for threads in (1, 3) if "native" in engine.backends and not seed else ():
                native = open_engine(engine.path, "cpu", backend="native", threads=threads).run(arrays)["completed"]
                assert np.abs(native.astype(int) - expected)[missing].max() <= GREY_LEVELS["fp32"]
                np.testing.assert_array_equal(native[~missing], arrays["image"][~missing])
            if size[0] > 1:
                single = {key: array[:1] for key, array in arrays.items()}
                np.testing.assert_array_equal(run(engine, single), received[:1])


@torch.no_grad()
def test_fp16_engine_is_close(engines: Any) -> None:
    engine, arrays = engines("half"), random_inputs(1, *SIZE)
    missing = arrays["hole_mask"] > 0
    received = run(engine, arrays)
    np.testing.assert_array_equal(received[~missing], arrays["image"][~missing])
    assert engine.spec.parity["psnr_db"] >= PSNR_DB["fp16"]
    assert psnr(completed(arrays, 2, 1), received) >= PSNR_DB["fp16"]
    model = onnx.load(engine.path)
    dtypes = {constant.name: constant.data_type for constant in model.graph.initializer}
    weights = [node.input[1] for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert len(weights) > 20
    assert {dtypes[name] for name in weights} == {TensorProto.FLOAT16}
    assert (engine.backends, bool(engine.obstacle)) == (("onnxruntime",), True)


@torch.no_grad()
def test_style_transfer_equals_the_definition(engines: Any) -> None:
    engine, arrays = engines("style"), random_inputs(1, *SIZE, style=True)
    assert (engine.backends, bool(engine.obstacle)) == (("onnxruntime",), True)
    missing = arrays["hole_mask"] > 0
    expected, received = restyled(arrays), run(engine, arrays)
    assert np.abs(received.astype(int) - expected)[missing].max() <= GREY_LEVELS["fp32"]
    np.testing.assert_array_equal(received[~missing], arrays["image"][~missing])


@pytest.mark.parametrize("name", ["one", DYNAMIC, "style"])
def test_tensors_are_those_of_the_kind(name: str, engines: Any) -> None:
    spec = read_spec(engines(name).path)
    n, h, w = ("N", "H", "W") if name == "dynamic" else (1, *SIZE)
    expected = [("image", "uint8", (n, h, w, 3)), ("hole_mask", "uint8", (n, h, w))]
    expected += [("style_image", "uint8", (n, h, w, 3))] if name == "style" else []
    assert [(t.name, t.dtype, t.shape) for t in spec.inputs] == expected
    assert [(t.name, t.dtype, t.shape) for t in spec.outputs] == [("completed", "uint8", (n, h, w, 3))]
    assert (spec.kind, spec.family, spec.normalization) == ("inpainter", "inpainting", "running-stats")
    scales = 2 if name == "dynamic" else 1
    assert spec.options == {"scales": scales, "iterations": 1}
    assert (spec.size_multiple, spec.smallest_side) == (8 * scales, 16 * scales)


def test_the_graph_holds_the_operators_and_their_functions(engines: Any) -> None:
    model = onnx.load(engines("two").path)
    onnx.checker.check_model(model)
    ours = [node for node in model.graph.node if node.domain == "pix2rt"]
    assert [node.op_type for node in ours] == 3 * ["PatchMatch", "PatchPaste"]  # two at the lowest scale
    assert {function.name for function in model.functions} == {"PatchMatch", "PatchPaste"}
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    types = {value.name: value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
    types |= {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    for node in model.graph.node:  # TensorRT: bytes at the edges only
        if any(types.get(name) == TensorProto.UINT8 for name in (*node.input, *node.output)):
            assert node.op_type == "Cast"


def test_cost_counts_the_match(engines: Any) -> None:
    """At one scale: 8 features of 8×12 pixels, made twice, a quarter of them matched with the others."""
    cost = engines("one").spec.cost
    networks = tiny_checkpoint().build()
    macs = 0

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal macs
        map_size = inputs[0] if isinstance(module, torch.nn.ConvTranspose2d) else output
        macs += module.weight.numel() * map_size[0, 0].numel()  # type: ignore[operator, union-attr]

    for network in networks.values():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                module.register_forward_hook(count)
    with torch.no_grad():
        networks["image2feature"](torch.zeros(1, 4, *SIZE))
        for _ in range(2):
            features = networks["features"](torch.zeros(1, 3, *SIZE))
        networks["feature2image"](features)
    assert cost.macs == macs + 8 * (96 // 4) * (96 - 96 // 4)
    assert cost.parameters == sum(weight.numel() for network in networks.values() for weight in network.parameters())


@torch.no_grad()
def test_the_baseline_gives_the_same(engines: Any) -> None:
    arrays = random_inputs(1, *SIZE)
    image, mask = arrays["image"][0], arrays["hole_mask"][0]
    assert (engines("baseline").backends, bool(engines("baseline").obstacle)) == (("onnxruntime",), True)
    received = open_runner(engines("baseline").path).run(image, mask)
    assert np.abs(received.astype(int) - completed(arrays, 2, 1)[0]).max() <= GREY_LEVELS["fp32"]


def test_overflow_in_half_precision_is_refused(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint()
    checkpoint.networks["features"]["features.7.weight"] *= 1e6
    checkpoint.networks["feature2image"]["down.0.0.weight"] *= 1e-6
    save_checkpoint(checkpoint, tmp_path / "c.safetensors")
    with pytest.raises(ParityError):
        export_onnx(tmp_path / "c.safetensors", tmp_path / "e.onnx", size=SIZE, precision="fp16")
    assert not (tmp_path / "e.onnx").exists()


def test_validation_knows_scales_iterations_and_style(engines: Any, checkpoint_path: Path) -> None:
    paths = [engines(name).path for name in ("two", "style", "baseline")]
    assert [row.failure for row in validate(checkpoint_path, paths)] == ["", "", ""]
    other = tiny_checkpoint()
    other.networks["feature2image"]["head.1.bias"] += 0.3
    save_checkpoint(other, checkpoint_path.with_name("other.safetensors"))
    for row in validate(checkpoint_path.with_name("other.safetensors"), paths[:2]):
        assert re.search("differs from the checkpoint|matches a patch whose cosine is", row.failure)
    unet = save_tiny_checkpoint("unet", checkpoint_path.with_name("unet.safetensors"))
    with pytest.raises(ExportError, match="comes from a network of family inpainting, this checkpoint .* of pix2pix;"):
        validate(unet, paths[:1])


@pytest.mark.parametrize("name", ["two", "half", DYNAMIC, "style"])
def test_tensorrt_rtx_builds_it(name: str, engines: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    profile = Profile((1, 32, 32), (1, 32, 48), (1, 64, 64)) if name == "dynamic" else None
    plan = engine_from_onnx(engines(name).path, tmp_path / "e.engine", flavor="tensorrt-rtx", profile=profile)
    assert plan.path.stat().st_size > 10_000


@pytest.mark.parametrize("name", ["two", "half", DYNAMIC, "style"])
def test_the_runtime_completes_any_size(name: str, engines: Any) -> None:
    image = random_inputs(1, 90, 75)["image"][0]
    mask, near = np.zeros((2, 90, 75), bool)
    mask[40:50, 30:45] = mask[:4, -6:] = True
    near[39:51, 29:46] = near[:5, -7:] = True
    style = image[::-1, :40] if name == "style" else None
    filled = Inpainter(engines(name).path, threads=1).run(image, mask, style=style, feather=1)
    np.testing.assert_array_equal(filled[~near], image[~near])
    assert (filled[mask] != image[mask]).mean() > 0.9


@pytest.mark.parametrize(
    ("size", "n_levels", "scales"),
    [
        *[((512, 512), 7, 2), ((256, 256), 7, 1), ((768, 768), 7, 1), ((1024, 1024), 7, 3), ((1024, 512), 7, 2)],
        *[((768, 768), 3, 2), ((128, 128), 3, 1), (None, 7, 2)],
    ],
)
def test_default_scales_lead_down_to_256_pixels(size: tuple[int, int] | None, n_levels: int, scales: int) -> None:
    assert default_scales(Architecture(n_levels=n_levels), size) == scales


def test_what_cannot_be_exported(checkpoint_path: Path, tmp_path: Path) -> None:
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"options": {"stochastic": True}}, "--stochastic is no option of inpainting networks"),
        ({"normalization": "per-image"}, "--normalization per-image: inpainting uses the statistics of training"),
        ({"options": {"scales": 0}}, "--scales is 0, expected a number from 1 to 6"),
        ({"options": {"iterations": 17}}, "--iterations is 17, expected a number from 1 to 16"),
        ({"options": {"scales": 2, "style_transfer": True}}, "style transfer works at one scale"),
        ({"baseline": True, "options": {"style_transfer": True}}, "the yardstick only completes"),
        ({"size": (32, 40), "options": {"scales": 2}}, "multiples of 16 from 32"),
        ({"size": (0, 64)}, "--size 0x64: height and width must be multiples of"),
    ]
    for options, message in mistakes:
        with pytest.raises(ExportError, match=message):
            export_onnx(checkpoint_path, tmp_path / "e.onnx", **{"size": SIZE, **options})
    unet = save_tiny_checkpoint("unet", tmp_path / "unet.safetensors")
    for options, message in (
        ({"scales": 2}, "--scales is no option of pix2pix networks"),
        ({"iterations": 2}, "--iterations is no option"),
        ({"style_transfer": True}, "--style-transfer is no option"),
    ):
        with pytest.raises(ExportError, match=message):
            export_onnx(unet, tmp_path / "e.onnx", size=SIZE, options=options)
