"""Whose checkpoint is it? Imports a generator of any project that this pix2rt knows.

The names in a file of NVIDIA's pix2pixHD and in one of junyanz' pytorch-CycleGAN-and-pix2pix are alike where the
network is one chain of layers. What separates them:

- nested levels (`model.model…`) are a U-Net, `model1_1…` a local enhancer;
- only junyanz' files have convolutions without bias, dropout within blocks, or bilinear upsampling;
- only pix2pixHD's have BatchNorm after a convolution with a bias;
- junyanz' ResNets halve the image twice, always; pix2pixHD's four times by default;
- options files name `netG`; flags that only pix2pixHD has, speak for it.

What is left, two halvings with InstanceNorm, is one and the same function in both projects if the input is an RGB
image, and 1 channel is a grey image: both are read as pix2pix. With any other input, or where one of pix2pixHD's
options is needed, `--family` has to say.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from training.checkpoint import Checkpoint
from training.errors import CheckpointError
from training.imports import junyanz_pix2pix, nvidia_pix2pixhd
from training.imports.junyanz_pix2pix import has_resnet_dropout, is_unet, norm_of, resnet_counts
from training.imports.networks_in_file import read_network
from training.imports.options_file import read_options

FAMILIES = ("pix2pix", "pix2pixhd")
_FLAGS = {
    "encoder": "--encoder",
    "styles": "--styles",
    "label_nc": "--label-nc",
    "use_edges": "--edges",
    "use_dropout": "--dropout",
}
_IMAGE_CHANNELS = (1, 3)
_PIX2PIX_DOWNSAMPLINGS = 2


def import_checkpoint(
    generator: Path,
    *,
    family: str | None = None,
    encoder: Path | None = None,
    discriminator: Path | None = None,
    styles: Path | None = None,
    opt: Path | None = None,
    label_nc: int | None = None,
    use_edges: bool | None = None,
    use_dropout: bool | None = None,
    key: str | None = None,
) -> Checkpoint:
    """Read the files of one training run of either project; the arguments are those of its own importer.

    Args:
        generator: `latest_net_G.pth`.
        family: "pix2pix" or "pix2pixhd"; None to find out.
        encoder: of pix2pixHD.
        discriminator: of either.
        styles: of pix2pixHD.
        opt: of either.
        label_nc: of pix2pixHD.
        use_edges: of pix2pixHD.
        use_dropout: of pix2pix.
        key: which network of `generator`, where that file holds several.

    Raises:
        MissingFileError: a file is not there.
        CheckpointError: as the importer of the family says; or the family is open, or an option belongs to the other.
    """
    of_pix2pixhd = {"encoder": encoder, "styles": styles, "label_nc": label_nc, "use_edges": use_edges}
    given = {name: value for name, value in of_pix2pixhd.items() if value is not None}
    if family is None:
        speaks = "pix2pixhd" if given else "pix2pix" if use_dropout is not None else None
        family = detect_family(generator, opt, speaks, key)
    if family not in FAMILIES:
        raise CheckpointError(f"--family {family!r} is not one of {', '.join(FAMILIES)}")
    if family == "pix2pix":
        _refuse(given, generator, "pix2pix", "pix2pixHD")
        return junyanz_pix2pix.import_checkpoint(
            generator, discriminator=discriminator, opt=opt, use_dropout=use_dropout, key=key
        )
    _refuse({} if use_dropout is None else {"use_dropout": 0}, generator, "pix2pixHD", "pix2pix")
    return nvidia_pix2pixhd.import_checkpoint(
        generator,
        encoder=encoder,
        discriminator=discriminator,
        styles=styles,
        opt=opt,
        label_nc=label_nc,
        use_edges=use_edges,
        key=key,
    )


def detect_family(
    generator: Path, opt: Path | None = None, family_of_flags: str | None = None, key: str | None = None
) -> str:
    """Find out, as this module's head says, whether a generator is "pix2pix" or "pix2pixhd".

    Args:
        generator: `latest_net_G.pth`.
        opt: options file of the run.
        family_of_flags: the family that has the flags which were given.
        key: which network of `generator`, where that file holds several.

    Raises:
        MissingFileError: a file is not there.
        CheckpointError: the generator cannot be read, or can be either.
    """
    state = read_network(generator, "generator", key)
    if is_unet(state) or _only_pix2pix_has(state):
        return "pix2pix"
    front = state.get("model.1.weight")
    if front is None or any(name.startswith("model1_") for name in state) or _only_pix2pixhd_has(state):
        return "pix2pixhd"
    net = read_options(opt).get("netG", "") if opt else ""
    if net or family_of_flags:
        family_of_net = "pix2pixhd" if net in ("global", "local") else "pix2pix"
        return family_of_net if net else str(family_of_flags)
    if front.ndim == 4 and front.shape[1] in _IMAGE_CHANNELS:
        return "pix2pix"
    raise CheckpointError(
        f"{generator} can be a ResNet of pix2pix with {front.shape[1]} image channels, or a generator of pix2pixHD "
        "that takes classes; say which with --family pix2pix or --family pix2pixhd, or give the options with --opt "
        f"(pix2pixHD also wants to know what its channels are: --label-nc {front.shape[1] - 1} --edges, or --label-nc "
        f"{front.shape[1]} --no-edges, either of which says --family pix2pixhd, too)"
    )


def _only_pix2pix_has(state: Mapping[str, Tensor]) -> bool:
    """Whether a chain of layers is none that pix2pixHD makes."""
    if "model.1.weight" not in state or any(name.startswith("model1_") for name in state):
        return False
    return has_resnet_dropout(state) or not _has_bias(state) or _is_bilinear(state)


def _only_pix2pixhd_has(state: Mapping[str, Tensor]) -> bool:
    """Whether a chain of layers is none that junyanz' project makes."""
    return resnet_counts(state)[0] != _PIX2PIX_DOWNSAMPLINGS or (norm_of(state) == "batch" and _has_bias(state))


def _has_bias(state: Mapping[str, Tensor]) -> bool:
    return "model.1.bias" in state


def _is_bilinear(state: Mapping[str, Tensor]) -> bool:
    """Whether no layer's weights are laid out as a transposed convolution's: [wide, narrow, 3, 3]."""
    chain = [v for name, v in state.items() if re.fullmatch(r"model\.\d+\.weight", name) and v.shape[2:] == (3, 3)]
    return len(chain) > 1 and chain[-1].shape[0] < chain[-1].shape[1]


def _refuse(given: Mapping[str, object], generator: Path, family: str, other: str) -> None:
    if given:
        flags = ", ".join(_FLAGS[name] for name in given)
        raise CheckpointError(
            f"{generator} is a {family} generator, and {flags} belongs to {other}; leave it out, or correct --family"
        )
