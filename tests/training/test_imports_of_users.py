"""Files as people have them: wrapped, in dictionaries, whole, of other channel counts, and those that are none."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from tests.paths import CASES, needs_cases
from tests.training.junyanz_networks import PatchDiscriminator, ResNet, UNet, randomised
from tests.training.nvidia_networks import global_generator
from training.checkpoint import load_checkpoint, save_checkpoint
from training.errors import CheckpointError
from training.imports.detection import import_checkpoint
from training.imports.networks_in_file import read_network

TOLERANCE = 1e-5  # measured worst case: 1.9e-6
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def imported_output(path: Path, x: Tensor, mode: str = "per-image", **options: object) -> Tensor:
    checkpoint = import_checkpoint(path, **options)  # type: ignore[arg-type]
    checkpoint.normalization = mode if checkpoint.architecture.norm == "batch" else "per-image"
    return checkpoint.build()["generator"](x)


# --- pix2pixHD on images, and with BatchNorm


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize(("input_nc", "output_nc"), [(1, 3), (1, 1), (3, 1), (3, 3)])
def test_pix2pixhd_on_images_computes_the_same(input_nc: int, output_nc: int, norm: str, tmp_path: Path) -> None:
    foreign = global_generator(input_nc, output_nc, norm)
    torch.save(foreign.state_dict(), tmp_path / "G.pth")
    (tmp_path / "opt.txt").write_text(
        f"label_nc: 0\ninput_nc: {input_nc}\noutput_nc: {output_nc}\nnetG: global\nno_instance: True\nnorm: {norm}\n"
    )
    x = torch.rand(2, input_nc, 32, 48) * 2 - 1
    for opt in (None, tmp_path / "opt.txt"):
        checkpoint = import_checkpoint(tmp_path / "G.pth", opt=opt)
        assert (checkpoint.family, checkpoint.labels, checkpoint.architecture.label_nc) == ("pix2pixhd", None, 0)
        assert (checkpoint.architecture.image_nc, checkpoint.architecture.output_nc) == (input_nc, output_nc)
        assert (imported_output(tmp_path / "G.pth", x, "running-stats", opt=opt) - foreign(x)).abs().max() <= TOLERANCE


def test_batch_norm_of_classes_in_every_mode(tmp_path: Path) -> None:
    foreign = global_generator(36, 3, "batch")
    torch.save(foreign.state_dict(), tmp_path / "G.pth")
    x = torch.rand(2, 36, 32, 48)
    trained = foreign(x)
    assert import_checkpoint(tmp_path / "G.pth").architecture.norm == "batch"
    assert (imported_output(tmp_path / "G.pth", x, "running-stats") - trained).abs().max() <= TOLERANCE
    foreign.train()  # pix2pixHD's test mode
    batch, single = foreign(x), torch.cat([foreign(image) for image in x.split(1)])
    assert (imported_output(tmp_path / "G.pth", x, "batch-stats") - batch).abs().max() <= TOLERANCE
    assert (imported_output(tmp_path / "G.pth", x, "per-image") - single).abs().max() <= TOLERANCE
    assert min((batch - single).abs().max(), (trained - batch).abs().max()) > 0.01


def test_batch_norm_with_an_encoder(tmp_path: Path) -> None:
    torch.save(global_generator(7, 3, "batch").state_dict(), tmp_path / "G.pth")
    encoder = global_generator(3, 2, "batch", n_blocks=0)
    torch.save(encoder.state_dict(), tmp_path / "E.pth")
    checkpoint = import_checkpoint(tmp_path / "G.pth", encoder=tmp_path / "E.pth", label_nc=5, use_edges=False)
    checkpoint.normalization = "running-stats"
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    assert (checkpoint.build()["encoder"](x) - encoder(x)).abs().max() <= TOLERANCE
    torch.save(global_generator(3, 2, "instance", n_blocks=0).state_dict(), tmp_path / "E.pth")
    with pytest.raises(CheckpointError, match=r"norm is batch according to .*G\.pth, but instance according to .*E"):
        import_checkpoint(tmp_path / "G.pth", encoder=tmp_path / "E.pth", label_nc=5, use_edges=False)


def test_two_halvings_with_batch_norm_are_told_apart_by_the_biases(tmp_path: Path) -> None:
    torch.save(global_generator(3, 3, "batch", n_down=2).state_dict(), tmp_path / "hd.pth")
    torch.save(ResNet(3, 3, 4, 2, "batch", False).state_dict(), tmp_path / "resnet.pth")
    assert import_checkpoint(tmp_path / "hd.pth").family == "pix2pixhd"
    assert import_checkpoint(tmp_path / "resnet.pth").family == "pix2pix"


def test_images_of_unusual_channels_need_a_word(tmp_path: Path) -> None:
    torch.save(global_generator(5, 3, "instance").state_dict(), tmp_path / "G.pth")
    with pytest.raises(CheckpointError, match=r"5 classes and no edge map.*--label-nc 5 --no-edges") as caught:
        import_checkpoint(tmp_path / "G.pth")
    assert "an image of" not in str(caught.value)
    with pytest.raises(CheckpointError, match=r"(?s)image of 4 channels and the .*image of 5 channels and no"):
        import_checkpoint(tmp_path / "G.pth", label_nc=0)
    assert import_checkpoint(tmp_path / "G.pth", label_nc=0, use_edges=False).architecture.image_nc == 5
    (tmp_path / "opt.txt").write_text("label_nc: 0\ninput_nc: 4\n")
    architecture = import_checkpoint(tmp_path / "G.pth", opt=tmp_path / "opt.txt").architecture
    assert (architecture.image_nc, architecture.use_edges) == (4, True)
    (tmp_path / "opt.txt").write_text("label_nc: 0\ninput_nc: 3\n")
    with pytest.raises(CheckpointError, match=r"none of these fits.*image_nc is 3 according to .*opt\.txt"):
        import_checkpoint(tmp_path / "G.pth", opt=tmp_path / "opt.txt")


def test_new_fields_survive_saving_and_old_files_load(tmp_path: Path) -> None:
    torch.save(global_generator(1, 2, "batch").state_dict(), tmp_path / "G.pth")
    checkpoint = import_checkpoint(tmp_path / "G.pth")
    save_checkpoint(checkpoint, tmp_path / "c.safetensors")
    assert load_checkpoint(tmp_path / "c.safetensors").architecture == checkpoint.architecture


@pytest.mark.parametrize(("side", "depth"), [(32, 5), (64, 6), (512, 9), (1024, 10)])
def test_u_nets_of_any_depth_with_their_options(side: int, depth: int, tmp_path: Path) -> None:
    torch.save(UNet(3, 3, depth, 1, "batch").state_dict(), tmp_path / "G.pth")
    (tmp_path / "opt.txt").write_text(f"netG: unet_{side}\nnorm: batch\n")
    assert import_checkpoint(tmp_path / "G.pth", opt=tmp_path / "opt.txt").architecture.n_downsample == depth


def test_res_nets_of_any_depth_with_their_options(tmp_path: Path) -> None:
    torch.save(ResNet(3, 3, 4, 3, "batch", False).state_dict(), tmp_path / "G.pth")
    (tmp_path / "opt.txt").write_text("netG: resnet_3blocks\n")
    assert import_checkpoint(tmp_path / "G.pth", opt=tmp_path / "opt.txt").architecture.n_blocks == 3
    (tmp_path / "opt.txt").write_text("netG: resnet_6blocks\n")
    with pytest.raises(CheckpointError, match="n_blocks is 3 .*but 6 according to"):
        import_checkpoint(tmp_path / "G.pth", opt=tmp_path / "opt.txt")


# --- wrapped, or among other things

UNET = UNet(3, 3, 5, 2, "batch")
HD = global_generator(3, 3, "instance")


def prefixed(prefix: str, network: nn.Module = UNET) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in network.state_dict().items()}


def with_compiled_part(network: nn.Module) -> dict[str, Tensor]:
    return {name.replace("model.model.1.", "model.model._orig_mod.1."): v for name, v in network.state_dict().items()}


def of_average(network: nn.Module) -> dict[str, Tensor]:
    return torch.optim.swa_utils.AveragedModel(network).state_dict()


def optimiser_state() -> dict[str, object]:
    """Of Adam after a step: it holds tensors, too."""
    layer = nn.Conv2d(3, 3, 1)
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 3, 2, 2)).sum().backward()
    optimiser.step()
    return optimiser.state_dict()


LIGHTNING = {
    **{"epoch": 3, "global_step": 90, "pytorch-lightning_version": "2.4.0", "callbacks": {}, "loops": {"fit": {}}},
    **{"optimizer_states": [{"state": {}, "param_groups": []}], "lr_schedulers": [], "hparams_name": "kwargs"},
}
OBJECTS = Namespace(lr=2e-4, path=Path("data"), part=slice(0, 3))
HOLDERS: dict[str, tuple[object, dict[str, str]]] = {
    "compiled": (prefixed("_orig_mod."), {}),
    "compiled in parallel": (prefixed("module._orig_mod."), {}),
    "parallel, compiled": (prefixed("_orig_mod.module."), {}),
    "wrapped over and over": (prefixed("module._orig_mod.module.module._orig_mod."), {}),
    "compiled in part": (with_compiled_part(UNET), {}),
    "an average": (of_average(UNET), {}),
    "half": ({name: value.half() if value.ndim else value for name, value in UNET.state_dict().items()}, {}),
    "bfloat16": ({name: value.bfloat16() if value.ndim else value for name, value in UNET.state_dict().items()}, {}),
    "double": ({name: value.double() if value.ndim else value for name, value in UNET.state_dict().items()}, {}),
    "with a prefix": (prefixed("netG."), {}),
    "with a long prefix": (prefixed("model.generator."), {}),
    "as lightning's model": (prefixed("model."), {}),
    "with an epoch": (UNET.state_dict() | {"epoch": 3}, {}),
    "state_dict": ({"state_dict": UNET.state_dict(), "epoch": 3, "best": 0.1, "optimizer": {"param_groups": []}}, {}),
    "lightning": (LIGHTNING | {"state_dict": prefixed("netG."), "hyper_parameters": {"lr": 2e-4}}, {}),
    "lightning with objects": (LIGHTNING | {"state_dict": prefixed("generator."), "hyper_parameters": OBJECTS}, {}),
    "lightning with a loss's network": (
        LIGHTNING | {"state_dict": prefixed("netG.") | {"vgg.slice1.0.weight": torch.zeros(4, 3, 3, 3)}},
        {},
    ),
    "lightning's two": (LIGHTNING | {"state_dict": prefixed("netG.") | prefixed("netD.", HD)}, {"key": "netG"}),
    "lightning's two, in full": (
        LIGHTNING | {"state_dict": prefixed("netG.") | prefixed("netD.", HD)},
        {"key": "state_dict.netG"},
    ),
    "several": ({"netG": UNET.state_dict(), "netD": HD.state_dict()}, {"key": "netG"}),
    "an average beside": ({"g": HD.state_dict(), "g_ema": UNET.state_dict()}, {"key": "g_ema"}),
    "a list": ({"models": [HD.state_dict(), UNET.state_dict()]}, {"key": "models.1"}),
    "with its optimiser": ({"net": UNET.state_dict(), "optimizer": optimiser_state(), "epoch": 3}, {}),
    "whole": (UNET, {}),
    "whole, in a dictionary": ({"net": UNET, "epoch": 3}, {}),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_the_network_is_found(name: str, tmp_path: Path) -> None:
    document, options = HOLDERS[name]
    torch.save(document, tmp_path / "G.pth")
    state = import_checkpoint(tmp_path / "G.pth", **options).networks["generator"]  # type: ignore[arg-type]
    torch.save(UNET.state_dict(), tmp_path / "plain.pth")
    expected = import_checkpoint(tmp_path / "plain.pth").networks["generator"]
    tolerance = {"half": 1e-3, "bfloat16": 1e-2}.get(name, 0)
    assert state.keys() == expected.keys()
    assert all(torch.allclose(state[key], value, atol=tolerance) for key, value in expected.items())


@pytest.mark.parametrize(
    "network", [UNET, HD, ResNet(3, 3, 4, 2, "instance", False), ResNet(5, 3, 4, 1, "instance", False, bilinear=True)]
)
def test_safetensors_of_others_in_any_order(network: nn.Module, tmp_path: Path) -> None:
    save_file(prefixed("netG.", network), tmp_path / "G.safetensors")
    torch.save(network.state_dict(), tmp_path / "G.pth")
    found, expected = (import_checkpoint(tmp_path / f"G.{suffix}") for suffix in ("safetensors", "pth"))
    assert found.architecture == expected.architecture
    ours, theirs = found.networks["generator"], expected.networks["generator"]
    assert all(torch.equal(ours[key], value) for key, value in theirs.items())


@pytest.mark.parametrize(
    ("document", "parts"),
    [
        ({"netG": UNET.state_dict(), "netD": {}, "epoch": 7}, ["several networks, netG, netD (and epoch)", "--key"]),
        ({"params": UNET.state_dict(), "params_ema": UNET.state_dict()}, ["params, params_ema", "--key"]),
        (prefixed("netG.") | prefixed("netD.", HD), ["netD, netG", "--key"]),
        ({"G": [UNET.state_dict(), HD.state_dict()]}, ["G.0, G.1"]),
        ({"state": {}, "param_groups": [{"lr": 1e-3}]}, ["no network, but the state of an optimizer"]),
        (optimiser_state(), ["no network, but the state of an optimizer"]),
        ({"epoch": 3, "note": "none"}, ["no network, but a dictionary of epoch, note"]),
        (Namespace(lr=2), ["an object of the class argparse.Namespace"]),
        (torch.zeros(3), ["a single tensor"]),
        (prefixed("module.") | prefixed(""), ["with and without its wrapper"]),
    ],
)
def test_what_holds_no_network_or_several_says_so(document: object, parts: list[str], tmp_path: Path) -> None:
    torch.save(document, tmp_path / "G.pth")
    with pytest.raises(CheckpointError) as caught:
        import_checkpoint(tmp_path / "G.pth")
    assert all(part in str(caught.value) for part in [*parts, "G.pth"]), caught.value


def test_a_key_that_is_not_there_is_refused(tmp_path: Path) -> None:
    torch.save(
        {"netG": UNET.state_dict(), "ema": {"netG": HD.state_dict()}, "d": {"D": UNET.state_dict()}},
        tmp_path / "G.pth",
    )
    with pytest.raises(CheckpointError, match=r"--key 'netF' names 0 networks of netG, ema\.netG, d\.D"):
        import_checkpoint(tmp_path / "G.pth", key="netF")
    assert read_network(tmp_path / "G.pth", "generator", "netG").keys() == UNET.state_dict().keys()


def test_a_part_of_a_network_is_never_taken_for_one(tmp_path: Path) -> None:
    """Inner levels of a U-Net begin as a whole one does."""
    for prefix in ("", "netG."):
        state = prefixed(prefix)
        del state[f"{prefix}model.model.0.weight"]
        torch.save(state, tmp_path / "G.pth")
        with pytest.raises(CheckpointError):
            import_checkpoint(tmp_path / "G.pth")


# --- normalised weights


def normalised(network: nn.Module, how: Callable[..., nn.Module], **options: object) -> nn.Module:
    for layer in list(network.modules()):
        if isinstance(layer, nn.Conv2d):
            how(layer, **options)
        elif isinstance(layer, nn.ConvTranspose2d):
            how(layer, **({"dim": 1} | options))
    with torch.no_grad():
        for _ in range(20):
            network.train()(torch.rand(1, 3, 64, 64))  # the power iteration
    return network.eval()


@pytest.mark.parametrize(
    "how", [spectral_norm, parametrizations.spectral_norm, weight_norm, parametrizations.weight_norm]
)
@pytest.mark.parametrize("make", [lambda: UNet(3, 3, 5, 4, "none"), lambda: ResNet(3, 3, 4, 1, "instance", False)])
def test_normalised_weights_are_folded(
    make: Callable[[], nn.Module], how: Callable[..., nn.Module], tmp_path: Path
) -> None:
    foreign = normalised(randomised(make()), how)
    torch.save(foreign.state_dict(), tmp_path / "G.pth")
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        expected = foreign(x)
    assert expected.std() > 0.001
    assert (imported_output(tmp_path / "G.pth", x) - expected).abs().max() <= TOLERANCE


def test_half_a_normalisation_is_refused(tmp_path: Path) -> None:
    state = normalised(ResNet(3, 3, 4, 1, "instance", False), spectral_norm).state_dict()
    del state["model.4.weight_v"]
    torch.save(state, tmp_path / "G.pth")
    with pytest.raises(CheckpointError, match=r"model\.4\.weight_orig .*spectral .*model\.4\.weight_v is missing"):
        import_checkpoint(tmp_path / "G.pth")


def test_our_own_checkpoint_is_sent_on(tmp_path: Path) -> None:
    torch.save(UNET.state_dict(), tmp_path / "G.pth")
    save_checkpoint(import_checkpoint(tmp_path / "G.pth"), tmp_path / "c.safetensors")
    with pytest.raises(CheckpointError, match="pix2rt checkpoint already.*export onnx"):
        import_checkpoint(tmp_path / "c.safetensors")


def test_a_discriminator_among_several_says_how_to_save_it(tmp_path: Path) -> None:
    torch.save(UNET.state_dict(), tmp_path / "G.pth")
    both = {"netG": UNET.state_dict(), "netD": PatchDiscriminator(6, 4, 3, "batch").state_dict()}
    torch.save(both, tmp_path / "D.pth")
    with pytest.raises(CheckpointError, match=r"netG, netD; one is to be the discriminator: save that one alone"):
        import_checkpoint(tmp_path / "G.pth", discriminator=tmp_path / "D.pth")


# --- the files themselves

SHARED_FILES: dict[str, tuple[str, str, dict[str, object]]] = {  # file → options file, family, some of the architecture
    "hd_global_1to3.pth": ("hd_1to3_opt.txt", "pix2pixhd", {"image_nc": 1, "output_nc": 3, "label_nc": 0}),
    "hd_global_1to1.pth": ("hd_1to1_opt.txt", "pix2pixhd", {"image_nc": 1, "output_nc": 1, "label_nc": 0}),
    "compiled_net_G.pth": ("", "pix2pix", {"n_downsample": 7, "norm": "batch"}),
    "hd_norm_batch_36.pth": ("", "pix2pixhd", {"label_nc": 35, "use_edges": True, "norm": "batch"}),
    "unet_512_net_G.pth": ("unet512_train_opt.txt", "pix2pix", {"n_downsample": 9, "norm": "batch"}),
    "spectral_old.pth": ("", "pix2pix", {"generator": "resnet", "norm": "instance"}),
}


@needs_cases
@pytest.mark.parametrize("name", SHARED_FILES)
def test_files_of_users_are_imported(name: str) -> None:
    opt, family, expected = SHARED_FILES[name]
    folder = CASES / "checkpoints"
    for options in ({}, {"opt": folder / opt}) if opt else ({},):
        checkpoint = import_checkpoint(folder / name, **options)
        assert checkpoint.family == family
        assert expected.items() <= vars(checkpoint.architecture).items()


@needs_cases
def test_files_of_users_that_are_none() -> None:
    with pytest.raises(CheckpointError, match="web page .*Quota exceeded"):
        import_checkpoint(CASES / "checkpoints" / "html_net_G.pth")
    several = CASES / "checkpoints" / "dict_of_nets.pth"
    with pytest.raises(CheckpointError, match=r"several networks, netG, netD \(and epoch, optG\).*--key"):
        import_checkpoint(several)
    assert import_checkpoint(several, key="netG").architecture.n_downsample == 7
