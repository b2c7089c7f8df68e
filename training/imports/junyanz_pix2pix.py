"""Checkpoints of junyanz' pytorch-CycleGAN-and-pix2pix: `latest_net_G.pth`, `latest_net_D.pth`, `train_opt.txt`.

The architecture is read from key names and shapes. A U-Net's keys do not tell whether it was trained with dropout: the
options file or a flag does, and with nothing said it is that project's default, dropout.
"""

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor

from training.checkpoint import Checkpoint
from training.errors import CheckpointError
from training.imports.junyanz_discriminator import read_discriminator
from training.imports.networks_in_file import is_norm_weight, read_network
from training.imports.options_file import Statement, agree, number, read_options, truth
from training.imports.renaming import absorb_biases, rename_strict, shapes_of
from training.networks.pix2pix import Architecture, build

# Of any convolution of the U-Net but the last; of the ResNet's up to its residual blocks.
_INNER_BIAS = re.compile(r"model\.model\.(0|1\..*)\.bias|model\.[147]\.bias|model\.\d+\.conv_block\.\d+\.bias")
_UNDROPPED = 4  # a U-Net of n levels drops in the n − 5 decoder blocks that follow the innermost


def import_checkpoint(
    generator: Path,
    *,
    discriminator: Path | None = None,
    opt: Path | None = None,
    use_dropout: bool | None = None,
    key: str | None = None,
) -> Checkpoint:
    """Read the files of one pix2pix training run of that project; the generators of its CycleGAN fit as well.

    Args:
        generator: `latest_net_G.pth`.
        discriminator: `latest_net_D.pth`, kept as networks["discriminator"] for fine-tuning.
        opt: `train_opt.txt` or `opt.txt`; checked against the files.
        use_dropout: whether the network was trained with dropout, which a U-Net's file does not say.
        key: which network of `generator`, where that file holds several.

    Raises:
        MissingFileError: a file is not there.
        CheckpointError: a file is damaged or of another network, or files and flags contradict each other.
    """
    state = read_network(generator, "generator", key)
    said = _unet_statements(state, generator) if is_unet(state) else _resnet_statements(state, generator)
    said.append(Statement(str(generator), "norm", norm_of(state)))
    if use_dropout is not None:
        said.append(Statement("the flag --dropout/--no-dropout", "use_dropout", use_dropout))
    said += statements_of(read_options(opt), str(opt)) if opt else []
    architecture = _architecture(said, generator)
    networks = {"generator": _translate(state, architecture, generator)}
    if discriminator:
        seen = (architecture.input_nc + architecture.output_nc, architecture.output_nc)
        networks["discriminator"] = read_discriminator(
            discriminator, read_network(discriminator, "discriminator"), seen
        )
    imported = Checkpoint("pix2pix", architecture, networks)
    imported.build()
    return imported


def is_unet(state: Mapping[str, Tensor]) -> bool:
    """Whether the names are nested as that project nests the levels of a U-Net."""
    return any(name.startswith("model.model.") for name in state)


def norm_of(state: Mapping[str, Tensor]) -> str:
    """BatchNorm has weights; else convolutions with biases belong to InstanceNorm, those without to none."""
    if any(map(is_norm_weight, state.items())):
        return "batch"
    return "instance" if any(map(_INNER_BIAS.fullmatch, state)) else "none"


def statements_of(options: Mapping[str, str], source: str) -> list[Statement]:
    """What the options file says of the generator, in our field names; what it does not mention is left out.

    Raises:
        CheckpointError: a value is not the number or truth value it should be, or there is no such netG.
    """
    said = {key: number(options, key, source) for key in ("input_nc", "output_nc", "ngf") if key in options}
    found: dict[str, object] = dict(said)
    if "norm" in options:
        found["norm"] = options["norm"]
    if "no_dropout" in options:
        found["use_dropout"] = not truth(options, "no_dropout", source)
    if "netG" in options:
        found |= _shape_of(options["netG"], source)
    return [Statement(source, field, value) for field, value in found.items()]


def _shape_of(net: str, source: str) -> dict[str, object]:
    """What a name such as "unet_256" or "resnet_9blocks" says; other sizes than that project's own are users'."""
    unet = re.fullmatch(r"unet_(\d{1,5})", net, re.ASCII)
    resnet = re.fullmatch(r"resnet_(\d{1,2})blocks", net, re.ASCII)
    if unet and int(unet[1]).bit_count() == 1:
        return {"generator": "unet", "n_downsample": int(unet[1]).bit_length() - 1}
    if resnet:
        return {"generator": "resnet", "n_blocks": int(resnet[1])}
    raise CheckpointError(
        f"{source}: netG is {net!r}, expected unet_SIDE (unet_256) or resnet_NUMBERblocks (resnet_9blocks); "
        "pix2pixHD's global and local go with --family pix2pixhd"
    )


def _convolution(state: Mapping[str, Tensor], name: str, kernel: int, path: Path) -> Tensor:
    weight = state.get(f"{name}.weight")
    if weight is None or weight.shape[2:] != (kernel, kernel):
        raise CheckpointError(
            f"{path} is no pix2pix generator: expected a {kernel}×{kernel} convolution '{name}.weight', received "
            f"{', '.join(list(state)[:3]) or 'nothing'}; give the file named …_net_G.pth"
        )
    return weight


def _unet_statements(state: Mapping[str, Tensor], path: Path) -> list[Statement]:
    first = _convolution(state, "model.model.0", 4, path)
    last = _convolution(state, "model.model.3", 4, path)
    depth = 1
    while f"{_level(depth)}.1.weight" in state:
        depth += 1
    found = {"generator": "unet", "input_nc": first.shape[1], "output_nc": last.shape[1], "ngf": first.shape[0]}
    return [Statement(str(path), field, value) for field, value in (found | {"n_downsample": depth}).items()]


def _resnet_statements(state: Mapping[str, Tensor], path: Path) -> list[Statement]:
    first = _convolution(state, "model.1", 7, path)
    n_downsample, n_blocks = resnet_counts(state)
    up = 4 + 3 * n_downsample + n_blocks
    upsampling = "bilinear" if f"model.{up}.weight" not in state and f"model.{up + 2}.weight" in state else "transposed"
    last = _convolution(state, f"model.{up + (5 if upsampling == 'bilinear' else 3) * n_downsample + 1}", 7, path)
    found = {
        "generator": "resnet",
        "input_nc": first.shape[1],
        "output_nc": last.shape[0],
        "ngf": first.shape[0],
        "n_downsample": n_downsample,
        "n_blocks": n_blocks,
        "upsampling": upsampling,
        "use_dropout": has_resnet_dropout(state),
    }
    return [Statement(str(path), field, value) for field, value in found.items()]


def resnet_counts(state: Mapping[str, Tensor]) -> tuple[int, int]:
    """(stride-2 convolutions, residual blocks); as many layers double the size as halve it."""
    resampling = [
        name for name, v in state.items() if re.fullmatch(r"model\.\d+\.weight", name) and v.shape[2:] == (3, 3)
    ]
    blocks = {name.split(".")[1] for name in state if re.match(r"model\.\d+\.conv_block\.", name)}
    return (len(resampling) + 1) // 2, len(blocks)


def has_resnet_dropout(state: Mapping[str, Tensor]) -> bool:
    """Dropout between a block's two convolutions moves the second from position 5 to 6."""
    return any(re.fullmatch(r"model\.\d+\.conv_block\.6\.weight", name) and v.ndim == 4 for name, v in state.items())


def _architecture(said: list[Statement], path: Path) -> Architecture:
    known = {field: statement.value for field, statement in agree(said).items()}
    use_dropout = known.pop("use_dropout", True)
    blocks = (
        range(known["n_blocks"]) if known["generator"] == "resnet" else range(1, known["n_downsample"] - _UNDROPPED)
    )
    settings = {field.name: known[field.name] for field in fields(Architecture) if field.name in known}
    try:
        return Architecture(**settings, dropout_blocks=tuple(blocks) if use_dropout else ())
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _translate(state: dict[str, Tensor], architecture: Architecture, path: Path) -> dict[str, Tensor]:
    own = shapes_of(lambda: build(architecture)["generator"])

    def foreign_name(name: str) -> str:
        return _unet_name(name, architecture.n_downsample) if architecture.generator == "unet" else _resnet_name(name)

    complete = dict(state)
    ups = _upsampling_convs(architecture) if architecture.generator == "resnet" else []
    unbiased = {f"{up}.bias" for up in ups if architecture.upsampling == "transposed"}
    absent = {foreign_name(name): value.shape for name, value in own.items() if foreign_name(name) not in state}
    for name, shape in absent.items():
        if name.endswith("num_batches_tracked"):  # torch wrote none before 0.4.1; inference does not look at it
            complete[name] = torch.zeros(shape)
        elif architecture.norm == "none" and (name in unbiased or _INNER_BIAS.fullmatch(name)):
            complete[name] = torch.zeros(shape)  # where nothing normalises, these have no bias there
    if architecture.norm == "batch" and architecture.upsampling == "bilinear":
        absorb_biases(complete, ups)
    claim = f"{path} does not fit the pix2pix generator that its entries suggest ({architecture})"
    return rename_strict(complete, own, foreign_name, claim)


def _upsampling_convs(architecture: Architecture) -> list[str]:
    """That project's names of the ResNet's convolutions that double the size, or follow a bilinear resize."""
    first = 4 + 3 * architecture.n_downsample + architecture.n_blocks
    offset, step = (2, 5) if architecture.upsampling == "bilinear" else (0, 3)
    return [f"model.{first + offset + step * index}" for index in range(architecture.n_downsample)]


def _level(level: int) -> str:
    """That project's name of a U-Net's level; each lies inside the one before."""
    return "model.model" if level == 0 else "model.model.1.model" + ".3.model" * (level - 1)


def _unet_name(name: str, depth: int) -> str:
    """That project's name of a parameter of our `UNet`."""
    side, position, kind = re.fullmatch(r"(?:(down|up)\.)?(.+)\.(\w+)", name).groups()  # type: ignore[union-attr]
    if side is None:  # head.1
        return f"{_level(0)}.3.{kind}"
    block, layer = map(int, position.split("."))
    if side == "down":  # the level's activation comes first, but the outermost has none
        return f"{_level(block)}.{layer}.{kind}"
    level = depth - 1 - block
    return f"{_level(level)}.{layer + (2 if block == 0 else 4)}.{kind}"


def _resnet_name(name: str) -> str:
    """That project's name of a parameter of our `ResNet`: numbered alike."""
    return "model" + name.removeprefix("layers").replace(".layers.", ".conv_block.")
