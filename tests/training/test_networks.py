"""The networks by themselves: sizes, receptive field, label encoding against loops, gradient checkpointing, VGG19."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from runtime.errors import MissingFileError
from training.errors import CheckpointError
from training.networks.label_encoding import instance_edges, instance_means, one_hot
from training.networks.layers import SmoothUpsampling, initialise, to_unit_range
from training.networks.patchgan import MultiScaleDiscriminator, PatchGAN, discriminator_settings
from training.networks.pix2pixhd import Architecture, Encoder, Generator, build
from training.networks.seen_channels import seen_channels
from training.networks.vgg import VGG19Features

SMALL = {"label_nc": 4, "ngf": 4, "n_downsample": 2, "n_blocks": 2, "n_blocks_local": 1}


# --- PatchGAN


@pytest.mark.parametrize(("n_layers", "field"), [(1, 16), (2, 34), (3, 70)])
def test_receptive_field_of_one_score(n_layers, field):
    """Support of the gradient of the middle score (pix2pix section 3.2.2: 70×70), instance normalisation left out."""
    torch.manual_seed(0)
    discriminator = PatchGAN(1, 2, n_layers)
    for layer in discriminator.layers:
        assert isinstance(layer, nn.Sequential)
        for index, module in enumerate(layer):
            if isinstance(module, nn.InstanceNorm2d):  # its statistics see the whole image
                layer[index] = nn.Identity()
            elif isinstance(module, nn.Conv2d):
                nn.init.constant_(module.weight, 0.1)
    pair = torch.ones(1, 1, 160, 160, requires_grad=True)
    scores = discriminator(pair)[-1]
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert pair.grad is not None
    rows, columns = (pair.grad[0, 0] != 0).nonzero(as_tuple=True)
    assert int(rows.max() - rows.min()) + 1 == int(columns.max() - columns.min()) + 1 == field


def test_discriminator_scales():
    scales = MultiScaleDiscriminator(5, ndf=4, n_layers=3, num_scales=3)(torch.randn(2, 5, 64, 96))
    assert [len(layers) for layers in scales] == [5, 5, 5]
    assert [tuple(layers[0].shape[2:]) for layers in scales] == [(33, 49), (17, 25), (9, 13)]
    assert all(layers[-1].shape[:2] == (2, 1) for layers in scales)


@pytest.mark.parametrize("settings", [(5, 4, 3, 2), (39, 64, 3, 3), (7, 600, 1, 1)])
def test_discriminator_is_rebuilt_from_its_state(settings):
    with torch.device("meta"):
        state = MultiScaleDiscriminator(*settings).state_dict()
    found = discriminator_settings(state)
    assert (found["input_nc"], found["ndf"], found["n_layers"], found["num_scales"]) == settings


def test_settings_of_another_network_are_refused():
    with pytest.raises(CheckpointError, match=r"received trunk\.1\.weight"):
        discriminator_settings(Generator(Architecture(**SMALL)).state_dict())
    with pytest.raises(CheckpointError, match="received nothing"):
        discriminator_settings({})


# --- generator and encoder


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_channels_of_absent_classes_may_be_left_out(network):
    """Output and gradients are those of the whole input; the weights that saw nothing get zero."""
    torch.manual_seed(0)
    condition_nc, behind = SMALL["label_nc"] + 1, 1 if network == "generator" else 4
    built: Generator | MultiScaleDiscriminator
    if network == "generator":
        built = Generator(Architecture(**SMALL, n_enhancers=1)).double()
    else:
        built = MultiScaleDiscriminator(condition_nc + 3, ndf=4, num_scales=2).double()
    label_map = torch.tensor([1, 3])[torch.randint(2, (1, 32, 48))]
    x = torch.cat([one_hot(label_map, 4, torch.float64), torch.randn(1, behind, 32, 48, dtype=torch.float64)], 1)
    channels = seen_channels(label_map.unique(), 4, behind)
    assert channels.tolist() == [1, 3, *range(4, 4 + behind)]
    results = []
    for outputs in (built(x), built(x[:, channels], channels)):
        built.zero_grad()
        last = outputs if isinstance(outputs, torch.Tensor) else outputs[0][-1]
        last.square().sum().backward()
        results.append((last.detach(), {name: weight.grad for name, weight in built.named_parameters()}))
    (whole, gradients), (part, partial) = results
    torch.testing.assert_close(whole, part)
    for name, gradient in gradients.items():
        if gradient is not None and name.endswith("weight"):
            torch.testing.assert_close(partial[name], gradient, msg=name)
    assert all(not partial[name][:, [0, 2]].any() for name in built.first_weights if partial[name] is not None)


def test_smooth_upsampling_leaves_no_grid():
    """A constant stays constant at first, and so does a ramp: the 3×3 form turns both into a grid."""
    torch.manual_seed(0)
    smooth, papers = SmoothUpsampling(4, 2, bias=False), nn.ConvTranspose2d(4, 2, 3, 2, 1, 1, bias=False)
    grids = []
    for layer in (smooth, papers):
        initialise(layer)
        out = layer(torch.ones(1, 4, 16, 16))[0, :, 4:-4, 4:-4].detach()
        grids.append(float((out - out.mean((1, 2), keepdim=True)).abs().max() / out.abs().max()))
    assert grids[0] < 1e-5
    assert grids[1] > 0.1
    ramp = torch.arange(16.0).expand(1, 4, 16, 16)
    steps = smooth(ramp)[0, 0, 8, 4:-4].detach().diff()
    torch.testing.assert_close(steps, steps[:1].expand_as(steps))


def test_released_architecture():
    with torch.device("meta"):
        networks = build(Architecture(ngf=32, n_enhancers=1))
    assert set(networks) == {"generator"}
    state = networks["generator"].state_dict()
    assert len(state) == 74
    assert sum(value.numel() for value in state.values()) == 182_857_059
    assert state["trunk.1.weight"].shape == (64, 36, 7, 7)


@pytest.mark.parametrize("n_enhancers", [0, 1, 2])
def test_generator_size_and_range(n_enhancers):
    architecture = Architecture(**SMALL, n_enhancers=n_enhancers)
    generator = Generator(architecture).eval()
    multiple = architecture.size_multiple
    assert multiple == 4 * 2**n_enhancers
    with torch.no_grad():
        image = generator(torch.randn(2, architecture.input_nc, 3 * multiple, 2 * multiple))
    assert image.shape == (2, 3, 3 * multiple, 2 * multiple)
    assert 0 < float(image.abs().max()) <= 1


def test_a_batch_equals_single_images():
    torch.manual_seed(1)
    architecture = Architecture(**SMALL, n_enhancers=1, feat_num=3)
    for network, channels in ((Generator(architecture), architecture.input_nc), (Encoder(architecture), 3)):
        x = torch.randn(3, channels, 32, 48)
        with torch.no_grad():
            torch.testing.assert_close(network(x), torch.cat([network(one[None]) for one in x]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("n_enhancers", [0, 2])
def test_gradient_checkpointing_gives_the_same_gradients(n_enhancers):
    torch.manual_seed(2)
    architecture = Architecture(**SMALL, n_enhancers=n_enhancers)
    generator = Generator(architecture).train()
    x = torch.randn(1, architecture.input_nc, 32, 32)
    gradients = []
    for use_checkpointing in (False, True):
        generator.use_checkpointing = use_checkpointing
        generator.zero_grad()
        generator(x).square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in generator.parameters()])
    assert any(float(gradient.abs().max()) > 0 for gradient in gradients[0])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_checkpointing_stores_less():
    """What autograd keeps for the backward pass, in elements."""
    generator = Generator(Architecture(**SMALL)).train()
    x = torch.randn(1, 5, 64, 64)
    kept = []
    for use_checkpointing in (False, True):
        generator.use_checkpointing = use_checkpointing
        sizes: dict[int, int] = {}
        hooks = torch.autograd.graph.saved_tensors_hooks(
            lambda t, s=sizes: (s.update({t.data_ptr(): t.numel()}), t)[1], lambda t: t
        )
        with hooks:
            generator(x)
        kept.append(sum(sizes.values()))
    assert kept[1] < 0.8 * kept[0]


def test_freezing_the_global_generator():
    generator = Generator(Architecture(**SMALL, n_enhancers=1))
    generator.freeze_global()
    frozen = {name.split(".")[0] for name, parameter in generator.named_parameters() if not parameter.requires_grad}
    free = {name.split(".")[0] for name, parameter in generator.named_parameters() if parameter.requires_grad}
    assert (frozen, free) == ({"trunk"}, {"enhancers", "head"})


def test_initial_weights():
    torch.manual_seed(0)
    generator = Generator(Architecture(**SMALL | {"ngf": 32}))
    initialise(generator)
    weights = torch.cat(
        [value.detach().flatten() for name, value in generator.named_parameters() if name.endswith("weight")]
    )
    assert abs(float(weights.std()) - 0.02) < 1e-4
    assert all(not value.any() for name, value in generator.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize("field", ["label_nc", "feat_num", "ngf", "n_downsample", "n_blocks", "n_enhancers", "nef"])
@pytest.mark.parametrize("value", [-1, 10**6, 2**70, 1.0, True, "4", None])
def test_architecture_refuses_impossible_numbers(field, value):
    with pytest.raises(ValueError, match=field):
        Architecture(**{field: value})


def test_architecture_refuses_no_width():
    with pytest.raises(ValueError, match="at least 1"):
        Architecture(ngf=0)
    with pytest.raises(ValueError, match="use_edges"):
        Architecture(use_edges=1)  # type: ignore[arg-type]


def test_pixels_to_unit_range():
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    torch.testing.assert_close(to_unit_range(pixels).flatten(), torch.tensor([-1.0, -0.6, 1.0]))


# --- label encoding


def test_one_hot_outside_the_range_is_zero():
    label_map = torch.tensor([[[0, 2, 3, 255]]], dtype=torch.uint8)
    expected = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]], dtype=torch.float32).view(1, 3, 1, 4)
    assert torch.equal(one_hot(label_map, 3), expected)
    assert not one_hot(torch.tensor([[[-1]]], dtype=torch.int32), 3).any()


def edges_by_loop(inst_map: NDArray[np.int32]) -> NDArray[np.float32]:
    height, width = inst_map.shape
    edges = np.zeros((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= v < height and 0 <= u < width and inst_map[v, u] != inst_map[y, x]:
                    edges[y, x] = 1
    return edges


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (1, 7, 1), (2, 9, 12), (1, 16, 16)])
def test_instance_edges_by_loop(shape):
    ids = np.random.default_rng(3).choice([0, 7, 26001, 2**31 - 1], size=shape).astype(np.int32)
    expected = np.stack([edges_by_loop(one) for one in ids])[:, None]
    np.testing.assert_array_equal(instance_edges(torch.from_numpy(ids)).numpy(), expected)


def test_instance_means_by_loop():
    """Ids up to the ends of int32, and the same id in several images of a batch."""
    rng = np.random.default_rng(4)
    ids = rng.choice([-(2**31), -1, 0, 26001, 2**31 - 1], size=(3, 8, 10)).astype(np.int32)
    features = rng.normal(size=(3, 2, 8, 10)).astype(np.float32)
    expected = np.empty_like(features)
    for n in range(3):
        for instance in np.unique(ids[n]):
            inside = ids[n] == instance
            expected[n][:, inside] = features[n][:, inside].mean(axis=1, keepdims=True)
    means = instance_means(torch.from_numpy(features), torch.from_numpy(ids))
    np.testing.assert_allclose(means.numpy(), expected, rtol=0, atol=1e-6)


def test_instance_means_gradient():
    ids = torch.tensor([[[0, 0, 5], [5, 5, 5]]])
    features = torch.randn(1, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    instance_means(features, ids).sum().backward()
    torch.testing.assert_close(features.grad, torch.ones_like(features), atol=1e-6, rtol=0)


# --- VGG19


@pytest.fixture(scope="module")
def vgg_state():
    """Random weights under torchvision's names, with a classifier entry that is to be ignored."""
    torch.manual_seed(5)
    layout = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128), 12: (256, 256), 14: (256, 256)}
    layout |= {16: (256, 256), 19: (512, 256), 21: (512, 512), 23: (512, 512), 25: (512, 512), 28: (512, 512)}
    layout |= {30: (512, 512), 32: (512, 512), 34: (512, 512)}
    state = {"classifier.0.weight": torch.zeros(2, 2)}
    for index, (output_nc, input_nc) in layout.items():
        state[f"features.{index}.weight"] = torch.randn(output_nc, input_nc, 3, 3) * (2 / (9 * input_nc)) ** 0.5
        state[f"features.{index}.bias"] = torch.zeros(output_nc)
    return state


def test_vgg_loads_both_formats(vgg_state, tmp_path):
    torch.save(vgg_state, tmp_path / "vgg.pth")
    save_file(vgg_state, tmp_path / "vgg.safetensors")
    image = 2 * torch.rand(1, 3, 32, 48) - 1
    outputs = [VGG19Features(tmp_path / name)(image) for name in ("vgg.pth", "vgg.safetensors")]
    shapes = [(64, 32, 48), (128, 16, 24), (256, 8, 12), (512, 4, 6), (512, 2, 3)]
    assert [tuple(value.shape[1:]) for value in outputs[0]] == shapes
    assert all(torch.equal(a, b) and bool((a >= 0).all()) and bool(a.any()) for a, b in zip(*outputs, strict=True))
    network = VGG19Features(tmp_path / "vgg.pth")
    assert not any(parameter.requires_grad for parameter in network.parameters())
    first = nn.functional.conv2d(
        (0.5 * (image + 1) - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1),
        vgg_state["features.0.weight"],
        padding=1,
    ).relu()
    torch.testing.assert_close(outputs[0][0], first, atol=1e-5, rtol=0)


def test_vgg_refuses_other_files(vgg_state, tmp_path):
    with pytest.raises(MissingFileError, match="VGG19 weights"):
        VGG19Features(tmp_path / "none.pth")
    torch.save({name: value for name, value in vgg_state.items() if name != "features.28.bias"}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"1 of 26 tensors.*features\.28\.bias"):
        VGG19Features(tmp_path / "a.pth")
    (tmp_path / "b.safetensors").write_bytes(b"no such thing")
    with pytest.raises(CheckpointError, match=r"b\.safetensors was not loaded: it is text \(no such thing\)"):
        VGG19Features(tmp_path / "b.safetensors")
