"""pix2pix's networks: published sizes, what skips and dropout do, whose statistics normalise, receptive fields."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.tiny_models import tiny_checkpoint
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.errors import CheckpointError
from training.networks.layers import initialise
from training.networks.normalization import BatchStatistics, has_batch_norm, use_statistics
from training.networks.patchgan import PATCH_LAYERS, patch_discriminator
from training.networks.pix2pix import Architecture, build

TINY = {"ngf": 4, "n_downsample": 4, "dropout_blocks": ()}


def generator_of(**fields):
    torch.manual_seed(0)
    network = build(Architecture(**{**TINY, **fields}))["generator"]
    initialise(network)
    for name, weight in network.named_parameters():
        weight.data = torch.randn_like(weight) * 0.2 + (1.0 if "norm" in name else 0.0)
    return network


@pytest.mark.parametrize(
    ("architecture", "tensors", "millions"),
    [
        # Published by the projects whose checkpoints we read: unet_256 54.41 M in 82 tensors, resnet_9blocks 11.38 M.
        (Architecture(), 82, 54.414),
        (Architecture(generator="resnet", n_downsample=2, norm="instance", dropout_blocks=()), 48, 11.378),
        (Architecture(n_downsample=7), 70, 41.829),
    ],
)
def test_published_sizes(architecture, tensors, millions):
    with torch.device("meta"):
        network = build(architecture)["generator"]
    assert len(network.state_dict()) == tensors
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=5e-4)


@pytest.mark.parametrize("depth", range(1, 9))
@pytest.mark.parametrize("use_skips", [True, False])
def test_unet_of_any_depth(depth, use_skips):
    network = generator_of(n_downsample=depth, ngf=2, use_skips=use_skips, norm="none")
    with torch.no_grad():
        image = network(torch.rand(1, 3, 2**depth, 2 ** (depth + 1)) * 2 - 1)
    assert image.shape == (1, 3, 2**depth, 2 ** (depth + 1))
    assert image.abs().max() <= 1


@pytest.mark.parametrize("upsampling", ["transposed", "smooth", "bilinear"])
@pytest.mark.parametrize("channels", [(1, 3), (3, 1), (5, 2)])
def test_resnet_of_any_channels(upsampling, channels):
    network = generator_of(
        generator="resnet", n_blocks=2, upsampling=upsampling, input_nc=channels[0], output_nc=channels[1]
    )
    assert network(torch.rand(1, channels[0], 32, 48)).shape == (1, channels[1], 32, 48)


@pytest.mark.parametrize(("use_skips", "passes"), [(True, True), (False, False)])
def test_skips_carry_what_the_bottleneck_loses(use_skips, passes):
    """With the innermost convolution at zero, only skips can tell the output about the input."""
    network = generator_of(use_skips=use_skips, norm="none")
    nn.init.zeros_(network.down[-1][-1].weight)
    with torch.no_grad():
        first, second = network(torch.rand(2, 3, 16, 16)).split(1)
    assert (first - second).abs().max().item() > 1e-3 if passes else torch.equal(first, second)


def test_dropout_is_where_the_architecture_says():
    network = build(Architecture(**{**TINY, "dropout_blocks": (0, 2)}))["generator"]
    assert [isinstance(block[-1], nn.Dropout) for block in network.up] == [True, False, True]
    resnet = build(Architecture(generator="resnet", n_blocks=3, n_downsample=1, dropout_blocks=(1,)))["generator"]
    blocks = [layer for layer in resnet.layers if hasattr(layer, "layers")]
    assert [any(isinstance(m, nn.Dropout) for m in block.modules()) for block in blocks] == [False, True, False]


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("generator", ["unet", "resnet"])
def test_norm_is_the_only_normalisation(generator, norm):
    kinds = {type(m) for m in generator_of(generator=generator, norm=norm, n_blocks=1).modules()}
    assert (nn.BatchNorm2d in kinds, nn.InstanceNorm2d in kinds) == (norm == "batch", norm == "instance")


# --- whose statistics


def batch_norm() -> nn.BatchNorm2d:
    torch.manual_seed(1)
    norm = nn.BatchNorm2d(5)
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
        tensor.normal_()
    norm.running_var.uniform_(0.5, 2)
    return norm.eval()


def test_modes_are_what_torch_computes():
    x = torch.randn(3, 5, 6, 7) * 2 + 1
    norm = batch_norm()
    affine = {"weight": norm.weight, "bias": norm.bias}
    expected = {
        "per-image": F.instance_norm(x, **affine),
        "running-stats": F.batch_norm(x, norm.running_mean, norm.running_var, **affine),
        "batch-stats": F.batch_norm(x, None, None, **affine, training=True),
    }
    for mode, values in expected.items():
        network = nn.Sequential(copy.deepcopy(norm))
        use_statistics(network, mode)
        assert (network.eval()(x) - values).abs().max().item() < 1e-5, mode


def test_a_batch_equals_singles_unless_it_normalises_together():
    state = generator_of().state_dict()
    x = torch.rand(3, 3, 32, 32) * 2 - 1
    differences = {}
    for mode in ("per-image", "running-stats", "batch-stats"):
        network = Checkpoint("pix2pix", Architecture(**TINY), {"generator": state}, normalization=mode).build()[
            "generator"
        ]
        with torch.no_grad():
            differences[mode] = (network(x) - torch.cat([network(image) for image in x.split(1)])).abs().max().item()
    assert differences["per-image"] < 1e-5
    assert differences["running-stats"] < 1e-5
    assert differences["batch-stats"] > 1e-2
    assert has_batch_norm(generator_of())
    assert any(isinstance(m, BatchStatistics) for m in network.modules())


def test_modes_need_batch_norm():
    checkpoint = tiny_checkpoint("global")
    checkpoint.normalization = "running-stats"
    with pytest.raises(CheckpointError, match="no batch normalisation"):
        checkpoint.build()


def test_checkpoint_round_trip(tmp_path):
    architecture = Architecture(**{**TINY, "dropout_blocks": (1,), "use_skips": False})
    state = build(architecture)["generator"].state_dict()
    recipe = {"derive": "edges", "direction": "BtoA"}
    save_checkpoint(
        Checkpoint("pix2pix", architecture, {"generator": state}, recipe=recipe), tmp_path / "a.safetensors"
    )
    loaded = load_checkpoint(tmp_path / "a.safetensors")
    assert loaded.architecture == architecture
    assert loaded.recipe == recipe
    assert all(torch.equal(loaded.networks["generator"][name].to(value.dtype), value) for name, value in state.items())
    loaded.build()


@pytest.mark.parametrize(
    "fields",
    [
        {"generator": "vgg"},
        {"norm": "layer"},
        {"upsampling": "nearest"},
        {"ngf": 0},
        {"input_nc": 1000},
        {"n_downsample": 40},
        {"n_downsample": True},
        {"dropout_blocks": (3,)},
        {"dropout_blocks": (-1,)},
        {"use_skips": "yes"},
    ],
)
def test_impossible_architectures(fields):
    with pytest.raises(ValueError, match=f"architecture: {next(iter(fields))}"):
        Architecture(**{**TINY, **fields})


# --- discriminators


@pytest.mark.parametrize("patch_size", PATCH_LAYERS)
def test_receptive_field(patch_size):
    """Support of the gradient of the middle score; paper section 4.4: 1, 16, 70 and 286 pixels."""
    discriminator = patch_discriminator(1, 1, patch_size, "none")
    for module in discriminator.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 0.1)
    pair = torch.ones(1, 1, 640, 640, requires_grad=True)
    scores = discriminator(pair)[-1]
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    rows, columns = (pair.grad[0, 0] != 0).nonzero(as_tuple=True)
    assert int(rows.max() - rows.min()) + 1 == int(columns.max() - columns.min()) + 1 == patch_size
