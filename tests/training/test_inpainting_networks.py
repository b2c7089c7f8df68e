"""The networks of inpainting: published sizes, VGG19's features, and the pipeline against a slow form of itself."""

import numpy as np
import pytest
import torch
from torch import nn

from cuda_ext.reference import patch_match as reference_patch_match
from cuda_ext.reference import patch_paste as reference_patch_paste
from cuda_ext.reference import patch_swap as reference_patch_swap
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.errors import CheckpointError
from training.losses import feature_loss, hole_weights
from training.networks import family_networks
from training.networks.feature_network import Architecture as FeatureArchitecture
from training.networks.feature_network import FeatureNetwork
from training.networks.infer_match_translate import Architecture, Feature2Image, Image2Feature
from training.networks.inpainting import Inpainting, build
from training.networks.patchgan import FeaturePatchGAN
from training.networks.smooth_fill import smooth_fill
from training.networks.vgg import VGG19Features

TINY = {"infer_ngf": 2, "n_blocks": 1, "feature_widths": (3, 4, 5), "translate_ngf": 2, "n_levels": 3}


def tiny_networks(seed=0, **more):
    """With weights large enough for images that are not grey, and statistics that are not the initial ones."""
    torch.manual_seed(seed)
    networks = build(Architecture(**{**TINY, **more}))
    for network in networks.values():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight)
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.uniform_(layer.running_mean, -0.2, 0.2)
                nn.init.uniform_(layer.running_var, 0.2, 1.0)
        network.eval().requires_grad_(False)
    return networks


def photo_and_hole(size=(32, 64), seed=0):
    rng = torch.Generator().manual_seed(seed)
    image = torch.rand(2, 3, *size, generator=rng) * 2 - 1
    hole = torch.zeros(2, 1, *size)
    hole[0, :, 5:15, 9:22] = 1
    hole[1, :, 8:12, :7] = 1
    return image, hole


def test_default_networks_are_the_papers():
    with torch.device("meta"):
        networks = {name: network.eval() for name, network in build(Architecture()).items()}
        features = networks["features"](torch.zeros(1, 3, 256, 256))
        assert features.shape == (1, 256, 64, 64)
        assert networks["feature2image"](features).shape == (1, 3, 256, 256)
        assert networks["image2feature"](torch.zeros(1, 4, 256, 256)).shape == (1, 3, 256, 256)
    g1, g2 = networks["image2feature"], networks["feature2image"]

    def count(network, kind, **fields):
        layers = [layer for layer in network.modules() if isinstance(layer, kind)]
        return sum(all(getattr(layer, k) == v for k, v in fields.items()) for layer in layers)

    # Three stride-2, nine dilated residual blocks of two, three transposed.
    assert count(g1, nn.Conv2d, stride=(2, 2)) == 3
    assert count(g1, nn.Conv2d, dilation=(2, 2)) == 9
    assert count(g1, nn.Conv2d) == 3 + 18
    assert count(g1, nn.ConvTranspose2d, stride=(2, 2)) == count(g1, nn.ConvTranspose2d) == 3
    assert count(g1, nn.BatchNorm2d) == count(g1, nn.Conv2d) + 2
    # Seven convolutions; eight transposed, six of them joined with a skip.
    assert count(g2, nn.Conv2d) == 7
    assert count(g2, nn.ConvTranspose2d) == 8
    assert len(g2.up) == 6
    assert count(g2, nn.BatchNorm2d) == 7 + 7
    total = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    # VGG19's first five convolutions have 555,328 weights; ours are of our own choice of widths.
    assert total == {"image2feature": 11_945_219, "features": 555_328, "feature2image": 54_572_675}
    assert (Architecture().size_multiple, Architecture().smallest_side) == (256, 256)


@pytest.mark.parametrize("n_levels", [2, 3, 4])
def test_every_allowed_size_goes_through(n_levels):
    a = Architecture(**{**TINY, "n_levels": n_levels})
    assert a.size_multiple == {2: 8, 3: 16, 4: 32}[n_levels]
    assert a.smallest_side >= 12
    assert a.smallest_side % a.size_multiple == 0
    pipeline = Inpainting(tiny_networks(n_levels=n_levels), scales=1)
    size = (a.smallest_side, a.smallest_side + a.size_multiple)
    image, hole = torch.zeros(1, 3, *size), torch.zeros(1, 1, *size)
    hole[..., :3, :3] = 1
    assert pipeline(image, hole).shape == image.shape


@pytest.mark.parametrize(
    "field",
    [{"infer_ngf": 0}, {"n_levels": 1}, {"dilation": 99}, {"n_blocks": True}, {"translate_ngf": 1.5}]
    + [{"feature_widths": widths} for widths in ((1, 2), (0, 1, 2), (1, 2, 4096), "123", 7, (1, 2, True))],
)
def test_absurd_architectures_are_refused(field):
    with pytest.raises(ValueError, match=f"architecture: {next(iter(field))}"):
        Architecture(**field)


def test_feature_networks_refuse_absurd_widths():
    with pytest.raises(ValueError, match="architecture: widths"):
        FeatureArchitecture((1, 2))


def test_vgg19s_weights_give_vgg19s_relu3_1(tmp_path):
    torch.manual_seed(0)
    widths = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512)
    state, nc, index = {}, 3, 0
    for width in widths:
        if width:
            state[f"features.{index}.weight"] = torch.randn(width, nc, 3, 3) / (9 * nc) ** 0.5
            state[f"features.{index}.bias"] = torch.randn(width) / 10
        nc, index = width or nc, index + (2 if width else 1)
    torch.save(state, tmp_path / "vgg19.pth")
    network = FeatureNetwork()
    wanted = {name for name in network.state_dict() if name.startswith("features.")}
    assert wanted < state.keys()
    network.load_state_dict({name: state[name] for name in wanted}, strict=False)
    image = torch.rand(1, 3, 24, 36) * 2 - 1
    expected = VGG19Features(tmp_path / "vgg19.pth")(image)[2]
    torch.testing.assert_close(network(image), expected, rtol=0, atol=0)


@pytest.mark.parametrize("scales", [1, 2, 3])
@pytest.mark.parametrize("iterations", [1, 2])
def test_known_pixels_come_back_exactly(scales, iterations):
    image, hole = photo_and_hole((64, 128))
    pipeline = Inpainting(tiny_networks(), scales, iterations)
    is_known = hole.expand_as(image) == 0
    for completed in (pipeline(image, hole), pipeline.coarse(image, hole)):
        assert torch.equal(completed[is_known], image[is_known])
        assert not torch.allclose(completed[~is_known], image[~is_known])


@pytest.mark.parametrize("swap", [True, False])
def test_the_pipeline_is_the_papers_step_by_step(swap):
    """Two scales and eight iterations, with what is ours, spelt out in numpy but for the networks themselves."""
    image, hole = photo_and_hole()
    networks = tiny_networks()
    expected = slow_pipeline(networks, image[:1].numpy(), hole[:1].numpy(), 2, 8, swap)
    completed = Inpainting(networks, 2, 8, swap)(image[:1], hole[:1])
    np.testing.assert_allclose(completed.numpy(), expected, atol=2e-5)


def slow_pipeline(networks, image, hole, scales, iterations, swap):
    def run(name, array):
        return networks[name](torch.from_numpy(np.ascontiguousarray(array, np.float32))).numpy()

    made = None
    for scale in reversed(range(scales)):
        known, missing = shrink(image, hole, 2**scale)
        if made is None:
            smooth = slow_smooth_fill(known[0], missing[0, 0])
            made = run("image2feature", np.concatenate([smooth[None], missing], 1))
        else:
            smooth = slow_smooth_fill(known[0], missing[0, 0])[None]
            coarser = bilinear(made)
            made = smooth + slow_low_pass(missing) ** 2 * (coarser - smooth)
        guess = np.where(missing > 0, made, known)
        features = run("features", guess)
        _, missing_features = shrink(guess, missing, 4)
        if scale == scales - 1:
            halved = guess.reshape(*guess.shape[:2], guess.shape[2] // 2, 2, guess.shape[3] // 2, 2).mean((3, 5))
            coarser, times = bilinear(halved), iterations
        if swap:
            match = reference_patch_match(run("features", coarser), missing_features)
            features = reference_patch_paste(features, missing_features, match)
        for _ in range(times - 1 if swap else 0):
            features = reference_patch_swap(features, missing_features)
        times = max(1, times // 2)
        made = run("feature2image", features)
        missed = slow_smooth_fill((known - made)[0], missing[0, 0])[None]
        made = np.where(missing > 0, made + missed, known)
        made = np.where(missing > 0, made + slow_low_pass(guess) - slow_low_pass(made), known)
    return made


def shrink(image, hole, factor):
    """The mean of the known pixels of each block, weighted by the mask, and whether any is missing."""
    n, c, height, width = image.shape
    small, missing = (
        np.zeros((n, c, height // factor, width // factor)),
        np.zeros((n, 1, height // factor, width // factor)),
    )
    for y in range(height // factor):
        for x in range(width // factor):
            window = np.s_[:, :, y * factor : (y + 1) * factor, x * factor : (x + 1) * factor]
            weight = 1 - hole[window]
            small[:, :, y, x] = (image[window] * weight).sum((2, 3)) / np.maximum(weight.sum((2, 3)), 1)
            missing[:, :, y, x] = hole[window].max((2, 3))
    return small.astype(np.float32), missing.astype(np.float32)


def slow_smooth_fill(image, hole):
    """Pull-push with float64 loops: shares of known pixels halve three times, spread, and come back."""
    levels = [(image * (1.0 - hole), 1.0 - hole)]
    for _ in range(3):
        weighted, share = levels[-1]
        blocks = [np.s_[..., y::2, x::2] for y in range(2) for x in range(2)]
        levels.append((sum(weighted[b] for b in blocks) / 4, sum(share[b] for b in blocks) / 4))
    weighted, share = levels.pop()
    is_reached = share > 1e-3
    colour = np.where(is_reached, weighted / np.maximum(share, 1e-3), 0)
    for _ in range(16):
        colour, is_reached = one_cell_further(colour, is_reached)
    for weighted, share in reversed(levels):
        colour = weighted + (1 - share) * bilinear(colour[None])[0]
    return colour


def one_cell_further(colour, is_reached):
    after, more = colour.copy(), is_reached.copy()
    for y, x in np.argwhere(~is_reached):
        around = np.s_[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        if is_reached[around].any():
            more[y, x] = True
            after[:, y, x] = colour[:, *around][:, is_reached[around]].mean(1)
    return after, more


def slow_low_pass(image):
    """Means of 8×8 pixels, each the mean with its neighbours, enlarged again."""
    n, c, height, width = image.shape
    cells = image.reshape(n, c, height // 8, 8, width // 8, 8).mean((3, 5))
    smooth = np.empty_like(cells)
    for y, x in np.ndindex(cells.shape[2:]):
        smooth[..., y, x] = cells[..., max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].mean((2, 3))
    return bilinear(smooth, 8)


def bilinear(image, factor=2):
    """Pixel centres are half a pixel in from the border, which is repeated."""
    for axis in (2, 3):
        size = image.shape[axis]
        at = np.clip((np.arange(factor * size) + 0.5) / factor - 0.5, 0, size - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape([-1 if k == axis else 1 for k in range(4)])
        first, second = (np.take(image, np.minimum(index, size - 1), axis) for index in (low, low + 1))
        image = (1 - share) * first + share * second
    return image


@pytest.mark.parametrize("shape", ["box", "corner", "wide", "all", "none"])
def test_smooth_filling_is_pull_push(shape):
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (3, 96, 80))
    hole = np.zeros((96, 80))
    window = {"box": np.s_[13:50, 20:61], "corner": np.s_[70:, 60:], "wide": np.s_[:, 9:75], "all": np.s_[:], "none": 0}
    hole[window[shape]] = shape != "none"
    given = (torch.tensor(array, dtype=torch.float64) for array in (image[None], hole[None, None]))
    filled = smooth_fill(*given)[0].numpy()
    np.testing.assert_allclose(filled, slow_smooth_fill(image, hole), atol=1e-12)
    np.testing.assert_array_equal(filled[:, hole == 0], image[:, hole == 0])
    known = image[:, hole == 0] if shape != "all" else np.zeros((3, 1))
    assert (filled.min((1, 2)) >= known.min(1) - 1e-9).all()
    assert (filled.max((1, 2)) <= known.max(1) + 1e-9).all()


def test_smooth_filling_continues_one_colour():
    image = torch.tensor([0.5, -0.25, 1.0]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    hole = torch.zeros(1, 1, 64, 64)
    hole[..., 8:60, 4:64] = 1
    torch.testing.assert_close(smooth_fill(torch.where(hole > 0, torch.nan, image), hole), image)


def test_what_lies_in_the_hole_is_not_read():
    image, hole = photo_and_hole()
    pipeline = Inpainting(tiny_networks(), scales=2)
    noise = torch.where(hole > 0, torch.rand_like(image) * 2 - 1, image)
    is_missing = hole.expand_as(image) > 0
    torch.testing.assert_close(pipeline(noise, hole)[is_missing], pipeline(image, hole)[is_missing], rtol=0, atol=1e-6)


def test_a_batch_equals_single_calls():
    image, hole = photo_and_hole()
    pipeline = Inpainting(tiny_networks(), scales=2)
    both = pipeline(image, hole)
    single = [pipeline(image[k : k + 1], hole[k : k + 1]) for k in range(2)]
    torch.testing.assert_close(both, torch.cat(single), rtol=0, atol=1e-5)


def test_style_transfer_has_the_styles_features():
    networks = tiny_networks()
    given = {}
    networks["feature2image"].register_forward_pre_hook(lambda _, inputs: given.update(features=inputs[0]))
    content, style = torch.rand(1, 3, 32, 32) * 2 - 1, torch.rand(1, 3, 32, 64) * 2 - 1
    made = Inpainting(networks, scales=1).forward_style(content, style)
    assert made.shape == content.shape
    # Every value is a mean of the style's own, so none is outside their range.
    of_style = networks["features"](style)
    low, high = (f(of_style, (0, 2, 3)).view(1, -1, 1, 1) for f in (torch.amin, torch.amax))
    assert ((given["features"] >= low - 1e-6) & (given["features"] <= high + 1e-6)).all()
    wide = np.concatenate([networks["features"](content).numpy(), of_style.numpy()], 3)
    hole = np.zeros_like(wide[:, :1])
    hole[..., :8] = 1
    np.testing.assert_allclose(given["features"].numpy(), reference_patch_swap(wide, hole)[..., :8], atol=1e-5)


def test_scales_and_iterations_below_one_are_refused():
    for field in ({"scales": 0}, {"iterations": 0}):
        with pytest.raises(ValueError, match="expected at least 1"):
            Inpainting(tiny_networks(), **field)


def test_checkpoints_of_both_families(tmp_path):
    architecture = Architecture(**TINY)
    states = {name: network.state_dict() for name, network in tiny_networks().items()}
    save_checkpoint(Checkpoint("inpainting", architecture, states, normalization="running-stats"), tmp_path / "a")
    loaded = load_checkpoint(tmp_path / "a")
    assert loaded.architecture == architecture
    image, hole = photo_and_hole()
    expected = Inpainting(tiny_networks(), 2)(image, hole)
    torch.testing.assert_close(Inpainting(loaded.build(), 2)(image, hole), expected, rtol=0, atol=0)
    features = Checkpoint("feature_network", FeatureArchitecture((3, 4, 5)), {"features": states["features"]})
    assert set(features.build()) == {"features"}
    with pytest.raises(CheckpointError, match="no batch normalisation"):
        Checkpoint(**{**vars(features), "normalization": "running-stats"}).build()
    assert family_networks("feature_network").Architecture().widths == (64, 128, 256)


def test_hole_weights_count_the_boundary_more():
    hole = torch.zeros(1, 1, 6, 7)
    hole[..., 1:5, 2:7] = 1
    expected = torch.tensor(
        [
            [0, 0, 0, 0, 0, 0, 0],
            [0, 0, 3, 3, 3, 3, 3],
            [0, 0, 3, 1, 1, 1, 1],
            [0, 0, 3, 1, 1, 1, 1],
            [0, 0, 3, 3, 3, 3, 3],
            [0, 0, 0, 0, 0, 0, 0],
        ],
        dtype=torch.float32,
    )
    assert torch.equal(hole_weights(hole, 3.0)[0, 0], expected)


def test_feature_loss_is_a_share():
    fake, real = torch.rand(2, 4, 5, 6), torch.rand(2, 4, 5, 6)
    weights = torch.rand(2, 1, 5, 6)
    f, r, w = (t.double().numpy() for t in (fake, real, weights))
    expected = np.average(np.abs(f - r), weights=np.broadcast_to(w, f.shape)) / np.abs(r).mean()
    assert float(feature_loss(fake, real, weights)) == pytest.approx(expected, rel=1e-5)
    assert float(feature_loss(7 * fake, 7 * real, weights)) == pytest.approx(expected, rel=1e-5)
    assert float(feature_loss(fake, real)) == pytest.approx(np.abs(f - r).mean() / np.abs(r).mean(), rel=1e-5)
    assert float(feature_loss(fake, real, torch.zeros_like(weights))) == 0


def test_the_discriminator_of_image_and_features_sees_70_pixels():
    critic = FeaturePatchGAN(3, 5, ndf=4, norm="none").double()
    image = torch.zeros(1, 3, 160, 160, dtype=torch.float64, requires_grad=True)
    scores = critic(image + 0.1, torch.zeros(1, 5, 40, 40, dtype=torch.float64))
    assert scores.shape == (1, 1, 18, 18)
    (gradient,) = torch.autograd.grad(scores[0, 0, 9, 9], image)
    rows = gradient.abs().sum((0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70


def test_the_networks_are_the_classes_that_export_looks_for():
    networks = tiny_networks()
    assert isinstance(networks["image2feature"], Image2Feature)
    assert isinstance(networks["feature2image"], Feature2Image)
    assert isinstance(networks["features"], FeatureNetwork)
