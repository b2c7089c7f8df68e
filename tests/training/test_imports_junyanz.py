"""Importing junyanz' checkpoints: every kind of generator and discriminator computes what it computed there."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from runtime.errors import MissingFileError, Pix2rtError
from tests.paths import GOLDEN, needs_golden
from tests.training.junyanz_networks import PatchDiscriminator, PixelDiscriminator, ResNet, UNet, randomised
from tests.training.test_imports import foreign_generator, small
from training.errors import CheckpointError
from training.imports.detection import detect_family, import_checkpoint
from training.networks.layers import to_unit_range
from training.networks.normalization import use_statistics
from training.networks.patchgan import PatchGAN, PixelGAN

TOLERANCE = 1e-5  # measured worst case: 1.2e-6


def saved(network: nn.Module, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


GENERATORS: dict[str, Callable[[], nn.Module]] = {
    "unet": lambda: UNet(3, 3, 6, 2, "batch"),
    "unet of 7 levels": lambda: UNet(1, 3, 7, 2, "instance"),
    "unet of 5 levels": lambda: UNet(3, 2, 5, 3, "none"),
    "resnet with dropout": lambda: ResNet(3, 3, 4, 6, "batch", True),
    "resnet": lambda: ResNet(3, 3, 4, 9, "instance", False),
    "resnet, norm none": lambda: ResNet(3, 1, 4, 2, "none", True),
    "bilinear, batch norm": lambda: ResNet(2, 3, 4, 2, "batch", False, bilinear=True),
    "bilinear, instance norm": lambda: ResNet(3, 3, 4, 1, "instance", True, bilinear=True),
}


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("name", GENERATORS)
def test_generator_computes_the_same(name: str, prefix: str, tmp_path: Path) -> None:
    foreign = randomised(GENERATORS[name]())
    torch.save({prefix + key: value for key, value in foreign.state_dict().items()}, tmp_path / "G.pth")
    checkpoint = import_checkpoint(tmp_path / "G.pth")
    assert (checkpoint.family, checkpoint.labels) == ("pix2pix", None)
    x = torch.rand(2, checkpoint.architecture.input_nc, 128, 128) * 2 - 1
    batch_norm = checkpoint.architecture.norm == "batch"
    for mode in ("per-image", "running-stats", "batch-stats") if batch_norm else ("per-image",):
        mine = dataclasses.replace(checkpoint, normalization=mode).build()["generator"]
        reference = randomised(GENERATORS[name]())
        if mode == "batch-stats":
            use_batch_statistics(reference)
        images = [x] if mode != "per-image" else x.split(1)
        if batch_norm and mode == "per-image":
            use_batch_statistics(reference)  # of one image at a time
        expected = torch.cat([reference(image) for image in images])
        assert expected.std() > 0.05
        assert (mine(x) - expected).abs().max() <= TOLERANCE


def use_batch_statistics(network: nn.Module) -> None:
    """That project's test mode: BatchNorm layers as in training."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.train()


def test_architecture_is_inferred(tmp_path: Path) -> None:
    def architecture(network: nn.Module, **options: object) -> dict[str, object]:
        return vars(import_checkpoint(saved(network, tmp_path / "G.pth"), **options).architecture)  # type: ignore[arg-type]

    unet = {"generator": "unet", "input_nc": 1, "output_nc": 2, "ngf": 2, "n_downsample": 8, "norm": "batch"}
    assert architecture(UNet(1, 2, 8, 2, "batch")).items() >= (unet | {"dropout_blocks": (1, 2, 3)}).items()
    assert architecture(UNet(1, 2, 7, 2, "batch"))["dropout_blocks"] == (1, 2)
    assert architecture(UNet(1, 2, 5, 2, "batch"))["dropout_blocks"] == ()
    assert architecture(UNet(1, 2, 8, 2, "batch"), use_dropout=False)["dropout_blocks"] == ()
    resnet = {"generator": "resnet", "ngf": 4, "n_downsample": 2, "n_blocks": 3, "upsampling": "transposed"}
    assert architecture(ResNet(3, 3, 4, 3, "batch", True)).items() >= (resnet | {"dropout_blocks": (0, 1, 2)}).items()
    assert architecture(ResNet(3, 3, 4, 3, "instance", False)).items() >= (resnet | {"dropout_blocks": ()}).items()
    assert architecture(ResNet(3, 3, 4, 3, "batch", False, True))["upsampling"] == "bilinear"


def test_dropout_lies_where_it_lay(tmp_path: Path) -> None:
    """In training mode, with one seed, both networks drop the same values: blocks, order and shapes agree."""
    foreign = randomised(UNet(3, 3, 7, 2, "batch"))
    checkpoint = import_checkpoint(saved(foreign, tmp_path / "G.pth"))
    mine = checkpoint.build()["generator"]
    use_statistics(foreign, "per-image")
    for network in (foreign, mine):
        for layer in network.modules():
            layer.train(isinstance(layer, nn.Dropout))
    x = torch.rand(1, 3, 128, 128) * 2 - 1
    outputs = []
    for network in (foreign, mine, mine):
        torch.manual_seed(5 + (len(outputs) == 2))
        outputs.append(network(x))
    assert (outputs[0] - outputs[1]).abs().max() <= TOLERANCE
    assert (outputs[1] - outputs[2]).abs().max() > 0.01


def test_old_files(tmp_path: Path) -> None:
    """InstanceNorm with running statistics (torch 0.3), BatchNorm without a count of batches, half precision."""
    instance = randomised(UNet(3, 3, 5, 2, "instance")).state_dict()
    statistics = {
        "model.model.1.model.2.running_mean": torch.zeros(4),
        "model.model.1.model.2.running_var": torch.ones(4),
    }
    torch.save({key: value.half() for key, value in (instance | statistics).items()}, tmp_path / "G.pth")
    assert import_checkpoint(tmp_path / "G.pth").architecture.norm == "instance"
    batch = randomised(UNet(3, 3, 5, 2, "batch")).state_dict()
    torch.save({key: v for key, v in batch.items() if not key.endswith("num_batches_tracked")}, tmp_path / "G.pth")
    assert import_checkpoint(tmp_path / "G.pth").architecture.norm == "batch"


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("n_layers", [1, 3, 5, None])
def test_discriminator_computes_the_same(n_layers: int | None, norm: str, tmp_path: Path) -> None:
    generator = saved(randomised(UNet(3, 3, 5, 2, "batch")), tmp_path / "G.pth")
    foreign = randomised(PatchDiscriminator(6, 64, n_layers, norm) if n_layers else PixelDiscriminator(6, 4, norm))
    state = import_checkpoint(generator, discriminator=saved(foreign, tmp_path / "D.pth")).networks["discriminator"]
    mine = PatchGAN(6, 64, n_layers, 1, norm) if n_layers else PixelGAN(6, 4, norm)
    mine.load_state_dict(state)
    x = torch.rand(1, 6, 128, 128)
    assert (mine.eval()(x)[-1] - foreign(x)).abs().max() <= 1e-4 * foreign(x).abs().max()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PatchDiscriminator(9, 4, 3, "batch"), "looks at 9 channels, expected 6 or 3"),
        (lambda: UNet(3, 3, 5, 2, "batch"), "no pix2pix discriminator"),
        (lambda: nn.Sequential(), "holds no network, but an empty dictionary"),
    ],
)
def test_discriminator_that_does_not_fit_is_refused(
    make: Callable[[], nn.Module], message: str, tmp_path: Path
) -> None:
    generator = saved(UNet(3, 3, 5, 2, "batch"), tmp_path / "G.pth")
    with pytest.raises(CheckpointError, match=message):
        import_checkpoint(generator, discriminator=saved(make(), tmp_path / "D.pth"))


# --- strictness


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("model.model.1.model.1.weight"), r"unexpected model\.model\.1\.model\.2\.weight"),
        (lambda s: s.pop("model.model.3.bias"), r"missing model\.model\.3\.bias \[3\]$"),
        (
            lambda s: s.pop("model.model.1.model.6.running_var"),
            r"missing model\.model\.1\.model\.6\.running_var \[2\]$",
        ),
        (lambda s: s.update({"model.model.9.bias": torch.zeros(3)}), r"unexpected model\.model\.9\.bias \[3\]$"),
        (
            lambda s: s.update({"model.model.1.model.1.bias": torch.zeros(4)}),
            r"unexpected model\.model\.1\.model\.1\.bias",
        ),
        (
            lambda s: s.update({"model.model.1.model.1.weight": torch.zeros(4, 2, 3, 3)}),
            r"model\.1\.weight is \[4, 2, 3, 3\], expected \[4, 2, 4, 4\]",
        ),
        (lambda s: s.pop("model.model.0.weight"), "expected a 4×4 convolution 'model.model.0.weight'"),
        (lambda s: s.update({"model.model.0.weight": torch.zeros(())}), "no pix2pix generator"),
        (lambda s: s.update({"model.model.3.weight": torch.zeros(4, 99, 4, 4)}), "output_nc is 99"),
        (lambda s: s.update({"model.model.3.bias": torch.zeros(3, dtype=torch.int64)}), "floating-point"),
    ],
)
def test_generator_that_does_not_fit_is_refused(
    change: Callable[[dict[str, Tensor]], object], message: str, tmp_path: Path
) -> None:
    state = UNet(3, 3, 6, 2, "batch").state_dict()
    change(state)
    torch.save(state, tmp_path / "G.pth")
    with pytest.raises(CheckpointError, match=message):
        import_checkpoint(tmp_path / "G.pth")


@pytest.mark.parametrize("name", GENERATORS)
def test_damaged_names_and_shapes_never_import(name: str, tmp_path: Path) -> None:
    """Each of 25 random losses, additions and changes of shape is refused with an error of ours."""
    state = GENERATORS[name]().state_dict()
    rng = np.random.default_rng(len(name))
    for _ in range(25):
        damaged = dict(state)
        victim = str(rng.choice([key for key in state if not key.endswith("num_batches_tracked")]))
        kind = rng.integers(3)
        if kind == 0:
            del damaged[victim]
        elif kind == 1:
            damaged[re.sub(r"\d+", lambda match: str(int(match[0]) + 40), victim, count=1) + "x"] = state[victim]
        else:
            damaged[victim] = torch.zeros(*state[victim].shape, 2)
        torch.save(damaged, tmp_path / "G.pth")
        for family in ("pix2pix", None):
            with pytest.raises(Pix2rtError):
                import_checkpoint(tmp_path / "G.pth", family=family)


# --- whose file it is


def test_families_are_told_apart(tmp_path: Path) -> None:
    def family(state: dict[str, Tensor], flags: str | None = None) -> str:
        torch.save(state, tmp_path / "G.pth")
        return detect_family(tmp_path / "G.pth", None, flags)

    for make in GENERATORS.values():
        assert family(make().state_dict()) == "pix2pix"
    assert family(ResNet(5, 3, 4, 2, "instance", True).state_dict()) == "pix2pix"  # dropout within blocks
    assert family(ResNet(5, 3, 4, 2, "instance", False, True).state_dict()) == "pix2pix"  # bilinear
    rgb = {"label_nc": 0, "use_edges": False}
    assert family(foreign_generator(small(n_downsample=3, **rgb))) == "pix2pixhd"
    assert family(foreign_generator(small(n_enhancers=1))) == "pix2pixhd"
    assert family(foreign_generator(small(**rgb))) == "pix2pix"  # one function in both
    assert family(foreign_generator(small(**rgb)), "pix2pixhd") == "pix2pixhd"
    assert family(foreign_generator(small()), "pix2pixhd") == "pix2pixhd"
    with pytest.raises(CheckpointError, match="--family pix2pix or --family pix2pixhd.*--label-nc [0-9]+ --edges"):
        family(foreign_generator(small()))


def test_the_common_case_is_one_function(tmp_path: Path) -> None:
    torch.save(foreign_generator(small(label_nc=0, use_edges=False)), tmp_path / "G.pth")
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    outputs = [
        import_checkpoint(tmp_path / "G.pth", family=f).build()["generator"](x) for f in ("pix2pix", "pix2pixhd")
    ]
    assert torch.equal(*outputs)


def test_options_of_the_other_family_are_refused(tmp_path: Path) -> None:
    path = saved(UNet(3, 3, 5, 2, "batch"), tmp_path / "G.pth")
    with pytest.raises(CheckpointError, match="--label-nc belongs to pix2pixHD"):
        import_checkpoint(path, label_nc=3)
    torch.save(foreign_generator(small(n_downsample=3)), path)
    with pytest.raises(CheckpointError, match="--dropout belongs to pix2pix"):
        import_checkpoint(path, use_dropout=True, label_nc=5)
    with pytest.raises(CheckpointError, match="'cyclegan' is not one of pix2pix, pix2pixhd"):
        import_checkpoint(path, family="cyclegan")


# --- train_opt.txt

OPTIONS = """----------------- Options ---------------
                direction: BtoA   \t[default: AtoB]
                 input_nc: 3
                     netG: unet_128   \t[default: unet_256]
                      ngf: 2   \t[default: 64]
               no_dropout: False
                     norm: batch
                output_nc: 3
----------------- End -------------------
"""


def test_options_decide_dropout(tmp_path: Path) -> None:
    path = saved(UNet(3, 3, 7, 2, "batch"), tmp_path / "G.pth")
    opt = tmp_path / "train_opt.txt"
    opt.write_text(OPTIONS)
    assert import_checkpoint(path, opt=opt).architecture.dropout_blocks == (1, 2)
    opt.write_text(OPTIONS.replace("no_dropout: False", "no_dropout: True"))
    assert import_checkpoint(path, opt=opt).architecture.dropout_blocks == ()
    torch.save(foreign_generator(small()), path)
    assert detect_family(path, opt) == "pix2pix"


@pytest.mark.parametrize(
    ("old", "new", "flags", "message"),
    [
        ("ngf: 2", "ngf: 64", {}, r"ngf is 2 according to .*G\.pth, but 64 according to .*train_opt\.txt"),
        ("unet_128", "unet_256", {}, r"n_downsample is 7 .*but 8 according to"),
        ("unet_128", "resnet_9blocks", {}, r"generator is unet .*but resnet according to"),
        ("unet_128", "unet_9", {}, r"netG is 'unet_9', expected unet_SIDE"),
        ("norm: batch", "norm: instance", {}, r"norm is batch .*but instance according to"),
        ("input_nc: 3", "input_nc: 1", {}, r"input_nc is 3 .*but 1 according to"),
        ("output_nc: 3", "output_nc: 1", {}, r"output_nc is 3 .*but 1 according to"),
        (
            "",
            "",
            {"use_dropout": False},
            r"use_dropout is False according to the flag --dropout/--no-dropout, but True",
        ),
        ("no_dropout: False", "no_dropout: 0", {}, "expected True or False"),
        (OPTIONS, "nothing here\n", {}, "no 'key: value' line"),
    ],
)
def test_options_that_contradict_are_refused(
    old: str, new: str, flags: dict[str, bool], message: str, tmp_path: Path
) -> None:
    path = saved(UNet(3, 3, 7, 2, "batch"), tmp_path / "G.pth")
    (tmp_path / "train_opt.txt").write_text(OPTIONS.replace(old, new) if old else OPTIONS)
    with pytest.raises(CheckpointError, match=message):
        import_checkpoint(path, opt=tmp_path / "train_opt.txt", **flags)  # type: ignore[arg-type]


def test_dropout_flag_that_contradicts_a_resnet_is_refused(tmp_path: Path) -> None:
    path = saved(ResNet(3, 3, 4, 2, "batch", True), tmp_path / "G.pth")
    with pytest.raises(CheckpointError, match="use_dropout is True according to .*but False according to the flag"):
        import_checkpoint(path, use_dropout=False)


@pytest.mark.parametrize("what", ["generator", "discriminator", "opt"])
def test_missing_file_is_named(what: str, tmp_path: Path) -> None:
    files = {"generator": saved(UNet(3, 3, 5, 2, "batch"), tmp_path / "G.pth"), what: tmp_path / "not_here"}
    with pytest.raises(MissingFileError, match="not_here"):
        import_checkpoint(files.pop("generator"), **files)  # type: ignore[arg-type]


@needs_golden
@pytest.mark.parametrize("mode", ["per-image", "running-stats", "batch-stats"])
def test_golden_unet_in_every_mode(mode: str) -> None:
    """Measured worst case: 6.4e-7."""
    folder = GOLDEN / "pix2pix_unet128"
    checkpoint = import_checkpoint(folder / "latest_net_G.pth")
    with np.load(folder / "expected.npz") as expected:
        image, output = expected["image"], expected[f"output_{mode.replace('-', '_')}"]
    generator = dataclasses.replace(checkpoint, normalization=mode).build()["generator"]
    np.testing.assert_allclose(generator(to_unit_range(torch.from_numpy(image))).numpy(), output, rtol=0, atol=1e-4)
