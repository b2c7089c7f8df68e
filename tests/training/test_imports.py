"""Importing pix2pixHD's checkpoints: inference of the architecture, what decides the input channels, clear refusals."""

import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from runtime.errors import MissingFileError
from training.errors import CheckpointError
from training.imports.nvidia_pix2pixhd import import_checkpoint
from training.networks.patchgan import MultiScaleDiscriminator, PatchGAN, discriminator_settings
from training.networks.pix2pixhd import Architecture, Encoder, Generator

# --- files made here, named as pix2pixHD numbers its layers (written out, not derived by the importer's own rule)


def foreign_generator(a: Architecture) -> dict[str, Tensor]:
    """A state dict with pix2pixHD's names, from a walk over its layer lists."""
    torch.manual_seed(0)
    state: dict[str, Tensor] = OrderedDict()

    def conv(name: str, output_nc: int, input_nc: int, kernel: int, transposed: bool = False) -> None:
        shape = (input_nc, output_nc) if transposed else (output_nc, input_nc)
        state[f"{name}.weight"] = 0.05 * torch.randn(*shape, kernel, kernel)
        state[f"{name}.bias"] = torch.randn(output_nc)

    def block(name: str, nc: int) -> None:
        conv(f"{name}.conv_block.1", nc, nc, 3)
        conv(f"{name}.conv_block.5", nc, nc, 3)

    nc = a.ngf * 2**a.n_enhancers
    conv("model.1", nc, a.input_nc, 7)
    index = 4
    for _ in range(a.n_downsample):
        conv(f"model.{index}", 2 * nc, nc, 3)
        nc, index = 2 * nc, index + 3
    for _ in range(a.n_blocks):
        block(f"model.{index}", nc)
        index += 1
    for _ in range(a.n_downsample):
        conv(f"model.{index}", nc // 2, nc, 3, transposed=True)
        nc, index = nc // 2, index + 3
    if not a.n_enhancers:
        conv(f"model.{index + 1}", 3, nc, 7)
    for n in range(1, a.n_enhancers + 1):
        nc //= 2
        conv(f"model{n}_1.1", nc, a.input_nc, 7)
        conv(f"model{n}_1.4", 2 * nc, nc, 3)
        for i in range(a.n_blocks_local):
            block(f"model{n}_2.{i}", 2 * nc)
        conv(f"model{n}_2.{a.n_blocks_local}", nc, 2 * nc, 3, transposed=True)
    if a.n_enhancers:
        conv(f"model{a.n_enhancers}_2.{a.n_blocks_local + 4}", 3, nc, 7)
    return state


def foreign_encoder(a: Architecture) -> dict[str, Tensor]:
    return {name.replace("layers.", "model."): value for name, value in Encoder(a).state_dict().items()}


def small(**changes: object) -> Architecture:
    settings = {"label_nc": 5, "ngf": 4, "n_downsample": 2, "n_blocks": 1, "n_blocks_local": 1} | changes
    return Architecture(**settings)  # type: ignore[arg-type]


def saved(state: dict[str, Tensor], path: Path) -> Path:
    torch.save(state, path)
    return path


@pytest.fixture
def generator_file(tmp_path):
    def write(architecture: Architecture) -> Path:
        return saved(foreign_generator(architecture), tmp_path / "latest_net_G.pth")

    return write


@pytest.mark.parametrize(
    "architecture",
    [
        small(),
        small(n_enhancers=1, n_blocks_local=3),
        small(n_enhancers=2, n_blocks=3, n_blocks_local=2),
        small(n_downsample=3, n_blocks=12, label_nc=0, use_edges=False),
        small(n_blocks=0, n_enhancers=1),
        small(label_nc=0, use_edges=True),
        small(label_nc=3, use_edges=False),
    ],
    ids=str,
)
def test_architecture_is_inferred(architecture, generator_file):
    flags = {"label_nc": architecture.label_nc, "use_edges": architecture.use_edges}
    checkpoint = import_checkpoint(generator_file(architecture), **flags)
    settings = vars(checkpoint.architecture) | ({} if architecture.n_enhancers else {"n_blocks_local": 1})
    assert settings == vars(architecture)
    assert (checkpoint.labels is None) == (architecture.label_nc == 0)
    own, foreign = checkpoint.networks["generator"], foreign_generator(architecture)
    assert [value.shape for value in own.values()] == [value.shape for value in foreign.values()]
    assert all(torch.equal(a, b) for a, b in zip(own.values(), foreign.values(), strict=True))


def test_two_enhancers_run(generator_file):
    architecture = small(n_enhancers=2)
    networks = import_checkpoint(generator_file(architecture), label_nc=5).build()
    assert networks["generator"](torch.randn(1, 6, 32, 48)).shape == (1, 3, 32, 48)


@pytest.mark.parametrize(("channels", "expected"), [(36, (35, True)), (3, (0, False))])
def test_channels_of_pix2pixhd_defaults_need_no_word(channels, expected, generator_file):
    path = generator_file(small(label_nc=channels, use_edges=False))
    architecture = import_checkpoint(path).architecture
    assert (architecture.label_nc, architecture.use_edges) == expected


def test_a_word_beats_the_default(generator_file):
    path = generator_file(small(label_nc=36, use_edges=False))
    assert import_checkpoint(path, label_nc=36).architecture.use_edges is False
    assert import_checkpoint(path, use_edges=False).architecture.label_nc == 36


@pytest.mark.parametrize(
    ("channels", "flags", "listed"),
    [
        (6, {}, ["5 classes and the instance edge map", "6 classes and no edge map"]),
        (4, {}, ["3 classes and the", "an RGB image and the instance edge map", "4 classes and no"]),
        (4, {"use_edges": True}, ["3 classes and the", "an RGB image and the"]),
        (6, {"label_nc": 3}, ["none of these fits", "label_nc is 3 according to the flag --label-nc"]),
        (6, {"label_nc": -6}, ["none of these fits"]),
    ],
)
def test_open_channels_are_listed(channels, flags, listed, generator_file):
    path = generator_file(small(label_nc=channels, use_edges=False))
    with pytest.raises(CheckpointError) as caught:
        import_checkpoint(path, **flags)
    assert all(part in str(caught.value) for part in [*listed, "--label-nc", "latest_net_G.pth"])


@pytest.mark.parametrize("prefix", ["module.", ""])
def test_data_parallel_half_and_old_statistics(prefix, tmp_path):
    architecture = small()
    state = {prefix + name: value.half() for name, value in foreign_generator(architecture).items()}
    state |= {f"{prefix}model.2.running_mean": torch.zeros(4), f"{prefix}model.2.running_var": torch.ones(4)}
    checkpoint = import_checkpoint(saved(state, tmp_path / "G.pth"), use_edges=True)
    assert checkpoint.architecture == small(n_blocks_local=3)
    assert {value.dtype for value in checkpoint.networks["generator"].values()} == {torch.float32}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("model.4.bias"), r"missing model\.4\.bias \[8\]"),
        (lambda s: s.update({"model.99.bias": torch.zeros(3)}), r"unexpected model\.99\.bias \[3\]"),
        (lambda s: s.pop("model.4.weight"), r"missing model\.4\.weight \[8, 4, 3, 3\]$"),
        (
            lambda s: s.update({"model.4.weight": torch.zeros(8, 4, 5, 5)}),
            r"model\.4\.weight is \[8, 4, 5, 5\], expected",
        ),
        (lambda s: s.update({"model.18.weight": torch.zeros(1, 4, 7, 7)}), r"model\.18\.bias is \[3\], expected \[1\]"),
        (lambda s: s.update({"model.2.weight": torch.ones(4)}), r"missing model\.2\.bias \[4\]"),
        (lambda s: s.update({"model.4.bias": torch.zeros(8, dtype=torch.int32)}), "floating-point"),
        (lambda s: s.update({"model.1.weight": torch.zeros(())}), "no pix2pixHD generator"),
        (lambda s: [s.update({f"model{i}_1.1.bias": torch.zeros(1)}) for i in range(1, 9)], "n_enhancers is 8"),
        (
            lambda s: (s.clear(), s.update({"scale0_layer0.0.weight": torch.zeros(4, 9, 4, 4)})),
            "looks like a discriminator",
        ),
    ],
)
def test_generator_that_does_not_fit_is_refused(change, message, tmp_path):
    state = foreign_generator(small())
    change(state)
    with pytest.raises(CheckpointError, match=message):
        import_checkpoint(saved(state, tmp_path / "G.pth"), label_nc=5)


def test_claimed_size_is_not_allocated(tmp_path):
    """The front has a width for which the other layers would take terabytes: shapes are compared before any is made."""
    state = {f"model.{index}.weight": torch.zeros(1, 1, 3, 3) for index in range(4, 52, 3)}
    state["model.1.weight"] = torch.zeros(1024, 6, 7, 7)
    with pytest.raises(CheckpointError, match="missing"):
        import_checkpoint(saved(state, tmp_path / "G.pth"), label_nc=5)


# --- encoder, discriminator, styles, opt.txt


@pytest.fixture
def with_features(tmp_path):
    architecture = small(feat_num=3, nef=4, n_downsample_encoder=2)
    files = {"encoder": saved(foreign_encoder(architecture), tmp_path / "latest_net_E.pth")}
    return saved(foreign_generator(architecture), tmp_path / "latest_net_G.pth"), files


def test_encoder_decides_the_features(with_features):
    generator, files = with_features
    checkpoint = import_checkpoint(generator, **files, label_nc=5)
    assert checkpoint.architecture == small(feat_num=3, nef=4, n_downsample_encoder=2, n_blocks_local=3)
    assert set(checkpoint.build()) == {"generator", "encoder"}


def test_older_encoder_is_refused(with_features, tmp_path):
    generator, files = with_features
    state = torch.load(files["encoder"], weights_only=True)
    older = {name.replace("model.17", "model.16"): value for name, value in state.items()}
    with pytest.raises(CheckpointError, match=r"older pix2pixHD.*model\.16 in place of model\.17"):
        import_checkpoint(generator, encoder=saved(older, tmp_path / "old_E.pth"), label_nc=5)
    with pytest.raises(CheckpointError, match="no pix2pixHD encoder"):
        import_checkpoint(generator, encoder=generator, label_nc=5)


def styles_file(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "features_clustered_010.npy"
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return path


@pytest.mark.parametrize("key", [int, str, np.int64, np.int32])
def test_styles_with_keys_of_any_kind(key, with_features, tmp_path):
    generator, files = with_features
    centres = np.arange(6.0).reshape(2, 3)
    path = styles_file(tmp_path, {key(4): centres, key(1): np.asfortranarray(centres * 0.1), key(2): np.zeros((0, 3))})
    styles = import_checkpoint(generator, **files, styles=path, label_nc=5).styles
    assert set(styles) == {1, 4}
    np.testing.assert_array_equal(styles[4].numpy(), centres)
    np.testing.assert_array_equal(styles[1].numpy(), (centres * 0.1).astype(np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({5: np.zeros((2, 3))}, r"styles of classes \[5\]"),
        ({1: np.zeros((2, 4))}, "feat_num is 3 according to .*latest_net_E.*but 4 according to .*features_clustered"),
        ({1: np.zeros((2, 3)), 2: np.zeros((2, 4))}, r"\[3, 4\] values"),
        ({1: np.zeros(3)}, r"class 1 has shape \[3\]"),
        ({"road": np.zeros((1, 3))}, "road is no class id|'road' is no class id"),
        ({-1: np.zeros((1, 3))}, "no class id"),
        ({1.0: np.zeros((1, 3))}, "no class id"),
        ({1: 7}, "class 1 holds int"),
        ({1: np.zeros((1, 3), bool)}, "class 1 holds"),
        ({}, "no values"),
    ],
)
def test_styles_that_do_not_fit_are_refused(content, message, with_features, tmp_path):
    generator, files = with_features
    with pytest.raises(CheckpointError, match=message):
        import_checkpoint(generator, **files, styles=styles_file(tmp_path, content), label_nc=5)


def test_styles_without_an_encoder_are_refused(with_features, tmp_path):
    path = styles_file(tmp_path, {1: np.zeros((2, 3))})
    with pytest.raises(CheckpointError, match=r"no encoder was given; give .*_net_E\.pth"):
        import_checkpoint(with_features[0], styles=path, label_nc=5)


def foreign_discriminator(own: MultiScaleDiscriminator, with_feature_matching: bool) -> dict[str, Tensor]:
    state = {}
    for i, scale in enumerate(own.scales):
        assert isinstance(scale, PatchGAN)
        number = len(own.scales) - 1 - i
        for j, layer in enumerate(scale.layers):
            prefix = (
                f"scale{number}_layer{j}.0" if with_feature_matching else f"layer{number}.{(0, 2, 5, 8, 11, 14)[j]}"
            )
            state |= {f"{prefix}.{name.split('.')[1]}": value for name, value in layer.state_dict().items()}
    return state


@pytest.mark.parametrize("with_feature_matching", [True, False])
@pytest.mark.parametrize("settings", [(9, 4, 3, 2), (9, 300, 2, 3), (9, 8, 4, 1)])
def test_discriminator_with_and_without_feature_matching(with_feature_matching, settings, generator_file, tmp_path):
    torch.manual_seed(0)
    own = MultiScaleDiscriminator(*settings)
    path = saved(foreign_discriminator(own, with_feature_matching), tmp_path / "D.pth")
    state = import_checkpoint(generator_file(small()), discriminator=path, label_nc=5).networks["discriminator"]
    assert state.keys() == own.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in own.state_dict().items())
    names = ("input_nc", "ndf", "n_layers", "num_scales")
    assert discriminator_settings(state) == dict(zip(names, settings, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("scale0_layer4.0.bias"), r"missing scales\.1\.layers\.4\.0\.bias"),
        (lambda s: s.update({"scale7_layer0.0.bias": torch.zeros(4)}), "do not fit|multi-scale"),
        (lambda s: s.update({"model.1.weight": torch.zeros(4, 9, 7, 7)}), r"unexpected model\.1\.weight"),
        (lambda s: s.pop("scale1_layer0.0.weight"), "no multi-scale discriminator"),
    ],
)
def test_discriminator_that_does_not_fit_is_refused(change, message, generator_file, tmp_path):
    state = foreign_discriminator(MultiScaleDiscriminator(9, 4), True)
    change(state)
    with pytest.raises(CheckpointError, match=message):
        import_checkpoint(generator_file(small()), discriminator=saved(state, tmp_path / "D.pth"), label_nc=5)


def test_discriminator_of_another_run_is_refused(generator_file, tmp_path):
    path = saved(foreign_discriminator(MultiScaleDiscriminator(12, 4), True), tmp_path / "latest_net_D.pth")
    with pytest.raises(CheckpointError, match=r"condition_nc is 9 .*latest_net_D.*but 6 .*latest_net_G"):
        import_checkpoint(generator_file(small()), discriminator=path, label_nc=5)


OPTIONS = """------------ Options -------------
instance_feat: False
label_nc: 5 \t[default: 35]
n_blocks_global: 1
n_downsample_global: 2
name: label2city
netG: global
ngf: 4
no_instance: False
-------------- End ----------------
"""


def test_options_decide(generator_file, tmp_path):
    (tmp_path / "opt.txt").write_text(OPTIONS)
    checkpoint = import_checkpoint(generator_file(small()), opt=tmp_path / "opt.txt")
    assert (checkpoint.architecture.label_nc, checkpoint.architecture.use_edges) == (5, True)


@pytest.mark.parametrize(
    ("old", "new", "flags", "message"),
    [
        ("ngf: 4", "ngf: 64", {}, r"ngf is 4 according to .*G\.pth, but 64 according to .*opt\.txt"),
        ("netG: global", "netG: local\nn_local_enhancers: 1", {}, r"n_enhancers is 0 .*but 1 according to .*opt\.txt"),
        (
            "no_instance: False",
            "no_instance: True",
            {},
            r"none of these fits.*use_edges is False according to .*opt\.txt",
        ),
        ("", "", {"label_nc": 6}, r"label_nc is 6 according to the flag --label-nc, but 5 according to .*opt\.txt"),
        ("instance_feat: False", "instance_feat: True\nfeat_num: 3", {}, r"opt\.txt .*3 feature channels.*no encoder"),
        ("ngf: 4", "ngf: many", {}, "ngf is 'many', expected a whole number"),
        ("no_instance: False", "no_instance: no", {}, "expected True or False"),
        (OPTIONS, "nothing here\n", {}, "no 'key: value' line"),
    ],
)
def test_options_that_contradict_are_refused(old, new, flags, message, generator_file, tmp_path):
    (tmp_path / "opt.txt").write_text(OPTIONS.replace(old, new))
    with pytest.raises(CheckpointError, match=re.compile(message, re.DOTALL)):
        import_checkpoint(generator_file(small()), opt=tmp_path / "opt.txt", **flags)


@pytest.mark.parametrize("what", ["generator", "encoder", "discriminator", "styles", "opt"])
def test_missing_file_is_named(what, generator_file, tmp_path):
    files = {"generator": generator_file(small()), what: tmp_path / "not_here"}
    with pytest.raises(MissingFileError, match="not_here"):
        import_checkpoint(files.pop("generator"), **files, label_nc=5)


def test_released_model_size():
    """label2city_1024p: 74 tensors, 182,857,059 parameters, 36 input channels."""
    with torch.device("meta"):
        released = Generator(Architecture(n_enhancers=1, ngf=32))
    state = released.state_dict()
    assert len(state) == 74
    assert sum(value.numel() for value in state.values()) == 182_857_059
    assert released.trunk[1].in_channels == 36
