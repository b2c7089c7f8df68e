"""The completion step as an engine: torch's gradient inside it, long searches, batches, TensorRT, refusals."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from export.engine_from_onnx import engine_from_onnx
from export.errors import ExportError
from export.gradient_graph import TracedStep
from export.inference_modules import Request
from export.inference_modules.contextual_gan import CompletionStep, engines
from export.onnx_from_checkpoint import Exported, export_onnx
from export.validate import validate
from runtime import SketchCompleter
from runtime.engines.native_engine import NativeEngine
from runtime.engines.onnx_engine import OnnxEngine
from runtime.native.library import instruction_sets, missing_reason
from runtime.runners.search import Search
from tests.tolerances import COMPLETION
from training.checkpoint import Checkpoint, save_checkpoint
from training.networks.completion_losses import contextual_loss, perceptual_loss
from training.networks.contextual_gan import Architecture, build
from training.systems.contextual_gan.completion import Search as TrainingSearch

needs_kernels = pytest.mark.skipif(missing_reason() is not None, reason="native kernels are not built here")
TINY = Architecture(z_nc=12, ngf=6, ndf=6, n_levels=2)
SIDE = TINY.size[0]


def tiny_checkpoint(seed: int = 0, **changes: object) -> Checkpoint:
    """Random weights that make images of contrast, with statistics and biases that show when they get lost."""
    architecture = Architecture(**{**TINY.__dict__, **changes})
    torch.manual_seed(seed)
    networks = build(architecture)
    for network in networks.values():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(0, 0.2)
            elif tensor.ndim > 1:
                tensor.mul_(3)
    states = {name: network.state_dict() for name, network in networks.items()}
    return Checkpoint("contextual_gan", architecture, states, normalization="running-stats")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder: Path = tmp_path_factory.mktemp("contextual")
    save_checkpoint(tiny_checkpoint(), folder / "model.safetensors")
    return export_onnx(folder / "model.safetensors", folder / "model.onnx")[0]


def drawing(seed: int = 0) -> np.ndarray:
    lines = np.random.default_rng(seed).random((SIDE // 2, SIDE // 2)) < 0.3
    return np.where(np.kron(lines, np.ones((2, 2))), 0, 255).astype(np.uint8)[..., None].repeat(3, 2)


def double_precision_gradient(checkpoint: Checkpoint, z: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """d(L_contextual + λ·L_perceptual)/dz by autograd in float64, on the networks as they were trained."""
    networks = {name: network.double() for name, network in checkpoint.build().items()}
    latent = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    joint = networks["generator"](latent)
    observed = torch.tensor(arrays["observed"], dtype=torch.float64).permute(0, 3, 1, 2) / 127.5 - 1
    known = torch.tensor(arrays["known_mask"], dtype=torch.float64)[:, None] / 255
    weight = float(arrays["perceptual_weight"][0])
    loss = contextual_loss(joint, observed, known) + weight * perceptual_loss(networks["discriminator"](joint))
    (gradient,) = torch.autograd.grad(loss.sum(), latent)
    return gradient.numpy()


@pytest.mark.parametrize("changes", [{}, {"n_levels": 3, "z_nc": 7}, {"d_norm": "none", "ndf": 3}])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_gradient_is_autograds(changes: dict[str, object], seed: int) -> None:
    checkpoint = tiny_checkpoint(seed, **changes)
    (graph,) = engines(checkpoint, checkpoint.build(), Request())
    arrays = graph.examples(3, 0, 0, np.random.default_rng(seed))
    arrays["momentum"][0], arrays["learning_rate"][0], arrays["perceptual_weight"][0] = 0, 1, 0.5
    with torch.no_grad():
        _, velocity, *_ = graph.module(*(torch.from_numpy(arrays[tensor.name]) for tensor in graph.inputs))
    expected = -double_precision_gradient(checkpoint, arrays["z"], arrays)
    assert np.abs(expected).max() > 1e-3
    assert np.linalg.norm(velocity.numpy() - expected) < COMPLETION["gradient"] * np.linalg.norm(expected)


def test_the_engines_gradient_is_autograds(exported: Exported) -> None:
    checkpoint = tiny_checkpoint()
    (graph,) = engines(checkpoint, checkpoint.build(), Request())
    engine = OnnxEngine(exported.path, exported.spec, "cpu", 1)
    for count in (1, 4):
        arrays = graph.examples(count, 0, 0, np.random.default_rng(count))
        arrays["momentum"][0], arrays["learning_rate"][0] = 0, 1
        velocity = engine.run(arrays)["next_velocity"]
        expected = -double_precision_gradient(checkpoint, arrays["z"], arrays)
        assert np.linalg.norm(velocity - expected) < COMPLETION["gradient"] * np.linalg.norm(expected)


@needs_kernels
@pytest.mark.parametrize(
    "changes",
    [
        {},
        *(
            pytest.param(one, marks=pytest.mark.nightly)
            for one in ({"n_levels": 3, "z_nc": 7}, {"d_norm": "none", "ndf": 3})
        ),
    ],
)
def test_the_native_gradient_is_autograds(changes: dict[str, object], tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(1, **changes)
    save_checkpoint(checkpoint, tmp_path / "model.safetensors")
    exported = export_onnx(tmp_path / "model.safetensors", tmp_path / "model.onnx")[0]
    assert exported.backends == ("onnxruntime", "native")
    (graph,) = engines(checkpoint, checkpoint.build(), Request())
    for kernels in instruction_sets():
        engine = NativeEngine(exported.path, exported.spec, 2, kernels)
        for count in (1, 5):
            arrays = graph.examples(count, 0, 0, np.random.default_rng(count))
            arrays["momentum"][0], arrays["learning_rate"][0] = 0, 1
            loop = engine.loop(arrays, {})
            loop.step()
            expected = -double_precision_gradient(checkpoint, arrays["z"], arrays)
            for velocity in (engine.run(arrays)["next_velocity"], loop.fetch("next_velocity")):
                assert np.linalg.norm(velocity - expected) < COMPLETION["gradient"] * np.linalg.norm(expected)


def test_500_steps_follow_torch(exported: Exported) -> None:
    completer = SketchCompleter(exported.path, "cpu", threads=1)
    observed, mask = completer.joint(drawing())
    options = {"learning_rate": 0.2, "momentum": 0.9, "perceptual_weight": 0.01}
    found = completer.complete(observed, mask, iterations=500, candidates=1, stop_early=False, **options)
    networks = tiny_checkpoint().build()
    start = np.random.default_rng([0, 0]).uniform(-1, 1, (1, TINY.z_nc)).astype(np.float32)
    z = nn.Parameter(torch.from_numpy(start))
    # torch's SGD keeps another velocity (without the learning rate), which comes to the same steps.
    optimizer = torch.optim.SGD([z], lr=0.2, momentum=0.9)
    target = torch.from_numpy(observed)[None].permute(0, 3, 1, 2) / 127.5 - 1
    known = torch.from_numpy(mask)[None, None].float() / 255
    curve = []
    for _ in range(501):
        joint = networks["generator"](z)
        loss = contextual_loss(joint, target, known)
        curve.append(float(loss.detach()))
        optimizer.zero_grad()
        (loss + 0.01 * perceptual_loss(networks["discriminator"](joint))).sum().backward()
        optimizer.step()
        with torch.no_grad():
            z.clamp_(-1, 1)
    np.testing.assert_allclose(found.contextual_loss[:, 0], curve, rtol=COMPLETION["500 steps"])
    assert curve[-1] < 0.9 * curve[0]


def test_the_file_says_what_it_is(exported: Exported) -> None:
    spec = exported.spec
    assert (spec.kind, spec.family, spec.normalization) == ("sketch", "contextual_gan", "running-stats")
    assert spec.input("z").shape == ("N", TINY.z_nc)  # type: ignore[union-attr]
    assert spec.parity["max_grey_levels"] <= 1
    model = onnx.load(exported.path)
    assert not any(node.domain for node in model.graph.node)
    assert not any("atch" in node.op_type for node in model.graph.node)  # no BatchNormalization is left
    # Weights are there once, though both directions use them.
    networks = tiny_checkpoint().build()
    numbers = sum(p.numel() for network in networks.values() for p in network.parameters())
    assert exported.path.stat().st_size < 4 * numbers + 60_000


def test_validate_knows_the_engine(exported: Exported) -> None:
    (row,) = validate(exported.path.with_suffix(".safetensors"), [exported.path])
    assert row.failure == ""
    save_checkpoint(tiny_checkpoint(seed=5), exported.path.with_name("other.safetensors"))
    (row,) = validate(exported.path.with_name("other.safetensors"), [exported.path])
    assert "differs from the checkpoint" in row.failure


def test_tensorrt_rtx_builds_the_step(exported: Exported, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    plan = engine_from_onnx(exported.path, tmp_path / "e.engine", flavor="tensorrt-rtx")
    assert plan.path.stat().st_size > 0
    assert plan.spec == exported.spec


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp16"}, "gradients of a Contextual GAN underflow"),
        ({"size": (32, 64)}, "makes joint images of 16x32 only"),
        ({"options": {"stochastic": True}}, "--stochastic is no option of contextual_gan networks"),
        ({"normalization": "per-image"}, "does not depend on its batch mates"),
        ({"baseline": True, "size": (16, 32)}, "nothing naive does what a contextual_gan engine does"),
    ],
)
def test_what_makes_no_sense_is_refused(exported: Exported, options: dict[str, object], message: str) -> None:
    output = exported.path.with_name("refused.onnx")
    with pytest.raises(ExportError, match=message):
        export_onnx(exported.path.with_suffix(".safetensors"), output, **options)  # type: ignore[arg-type]
    assert not output.exists()


def test_the_checkpoints_networks_stay_as_they_are() -> None:
    networks = tiny_checkpoint().build()
    z = torch.rand(2, TINY.z_nc)
    before = networks["generator"](z)
    CompletionStep(networks, TINY.z_nc)
    torch.testing.assert_close(networks["generator"](z), before, rtol=0, atol=0)


@pytest.mark.parametrize(("stride", "padding", "dilation", "side"), [(1, 0, 1, 9), (2, 1, 1, 8), (3, 2, 2, 11)])
@pytest.mark.parametrize("transposed", [False, True])
def test_backward_convolutions_of_any_form(
    stride: int, padding: int, dilation: int, side: int, transposed: bool
) -> None:
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    torch.manual_seed(0)
    layer = kind(4, 6, (3, 2), stride, padding, groups=2, dilation=dilation).double().requires_grad_(False)
    x = torch.randn(2, 4, side, side + 1, dtype=torch.float64)

    def total(x: torch.Tensor, weights: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.func.functional_call(layer, dict(weights), (x,)).sin().sum()

    traced = TracedStep(lambda w, x: torch.func.grad(total)(x, w["layer"]), {"layer": layer}, (x,))
    assert not any("convolution_backward" in str(node.target) for node in traced.step.graph.nodes)
    other = torch.randn(3, 4, side, side + 1, dtype=torch.float64).requires_grad_(True)
    (expected,) = torch.autograd.grad(layer(other).sin().sum(), other)
    torch.testing.assert_close(traced(other.detach()), expected)


def test_gradients_by_weights_are_refused() -> None:
    layer = nn.Conv2d(1, 1, 3)

    def total(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, dict(weights), (x,)).square().sum()

    with pytest.raises(NotImplementedError, match="by a convolution's weights"):
        TracedStep(
            lambda w, x: torch.func.grad(total)(w["layer"], x)["weight"], {"layer": layer}, (torch.ones(2, 1, 5, 5),)
        )


def test_training_searches_as_the_runtime_does():
    """Two packages that must not import each other hold the same defaults."""
    trained, run = asdict(TrainingSearch()), asdict(Search())
    assert trained == {name: run[name] for name in trained}
