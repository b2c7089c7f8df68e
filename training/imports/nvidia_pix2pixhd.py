"""Checkpoints of NVIDIA's pix2pixHD: `{epoch}_net_{G|E|D}.pth`, `opt.txt`, `features_clustered_010.npy`.

The architecture is read from key names and shapes. What those leave open, how the generator's input channels divide
into classes, edges and features, comes from the other files and from flags; see `training/imports/channels.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor

from training.checkpoint import Checkpoint
from training.class_tables import class_table
from training.errors import CheckpointError
from training.imports.channels import RGB, divide_channels
from training.imports.networks_in_file import is_norm_weight, read_network
from training.imports.options_file import Statement, agree, read_options, statements_of
from training.imports.pix2pixhd_files import read_discriminator, read_styles
from training.imports.renaming import absorb_biases, previous_layer, rename_strict, shapes_of
from training.networks.patchgan import discriminator_settings
from training.networks.pix2pixhd import Architecture, Encoder, Generator


def import_checkpoint(
    generator: Path,
    *,
    encoder: Path | None = None,
    discriminator: Path | None = None,
    styles: Path | None = None,
    opt: Path | None = None,
    label_nc: int | None = None,
    use_edges: bool | None = None,
    key: str | None = None,
) -> Checkpoint:
    """Read the files of one pix2pixHD training run.

    Args:
        generator: `latest_net_G.pth`.
        encoder: `latest_net_E.pth`, needed where the generator takes instance features.
        discriminator: `latest_net_D.pth`, kept as networks["discriminator"] for fine-tuning.
        styles: `features_clustered_010.npy`, K-means centres of the features per class.
        opt: `opt.txt`; checked against the files, and decides what they leave open.
        label_nc: classes of the label map, 0 for an image. With nothing said, 36 condition channels are read as 35
            classes and edges, 3 as RGB, 1 as a grey image; any other number is ambiguous.
        use_edges: whether one input channel is the instance boundary map.
        key: which network of `generator`, where that file holds several.

    Raises:
        MissingFileError: a file is not there.
        CheckpointError: a file is damaged or of another network, files and flags contradict each other, or the division
            of the input channels is open (the message lists the possibilities).
    """
    generator_state = read_network(generator, "generator", key)
    encoder_state = read_network(encoder, "encoder") if encoder else None
    said = _generator_statements(generator_state, generator)
    said += _encoder_statements(encoder_state, encoder) if encoder_state and encoder else []
    said += _flag_statements(label_nc, use_edges)
    said += statements_of(read_options(opt), str(opt)) if opt else []
    networks = {}
    if discriminator:
        networks["discriminator"] = read_discriminator(discriminator)
        said += _discriminator_statements(networks["discriminator"], discriminator)
    centres = read_styles(styles) if styles else {}
    if styles:
        said.append(Statement(str(styles), "feat_num", next(iter(centres.values())).shape[1]))
    if not encoder:
        _refuse_features(said, generator)
    architecture = _architecture(said, generator_state["model.1.weight"].shape[1], generator)
    _check_classes(centres, architecture.label_nc, styles)
    networks["generator"] = _translate(generator_state, Generator, architecture, generator)
    if encoder_state and encoder:
        networks["encoder"] = _translate(encoder_state, Encoder, architecture, encoder)
    imported = Checkpoint("pix2pixhd", architecture, networks, class_table(architecture.label_nc), centres)
    imported.build()
    return imported


def _trunk_counts(state: Mapping[str, Tensor]) -> tuple[int, int]:
    """(stride-2 convolutions, residual blocks) of the layers "model.*"; each stride-2 convolution has its transpose."""
    resampling = [
        n for n, v in state.items() if re.fullmatch(r"model\.\d+\.weight", n) and v.ndim != 1 and v.shape[2:] != (7, 7)
    ]
    blocks = {n.split(".")[1] for n in state if re.fullmatch(r"model\.\d+\.conv_block\.\d+\.weight", n)}
    return (len(resampling) + 1) // 2, len(blocks)


def _require_front(state: Mapping[str, Tensor], path: Path, what: str) -> Tensor:
    """The weights of the 7×7 front convolution, [nc, input_nc, 7, 7]."""
    weight = state.get("model.1.weight")
    if weight is None or weight.shape[2:] != (7, 7):
        hint = "a discriminator" if any(re.match(r"(scale\d+_)?layer\d", name) for name in state) else "another network"
        raise CheckpointError(
            f"{path} is no pix2pixHD {what}: expected a 7×7 convolution 'model.1.weight', it looks like {hint} "
            f"(first entries {', '.join(list(state)[:3])}); give the file named …_net_{what[0].upper()}.pth"
        )
    return weight


def _generator_statements(state: Mapping[str, Tensor], path: Path) -> list[Statement]:
    width = _require_front(state, path, "generator").shape[0]
    ends = [value for name, value in state.items() if name.endswith(".weight") and value.shape[2:] == (7, 7)]
    enhancers = {int(match[1]) for name in state if (match := re.match(r"model(\d{1,9})_1\.", name))}
    n_downsample, n_blocks = _trunk_counts(state)
    found = {
        "n_enhancers": len(enhancers),
        "n_downsample": n_downsample,
        "n_blocks": n_blocks,
        "ngf": width >> len(enhancers),
        "norm": _norm_of(state),
    }
    if len(ends) > 1:
        found["output_nc"] = ends[-1].shape[0]
    if enhancers:
        blocks = {name.split(".")[1] for name in state if re.match(r"model1_2\.\d+\.conv_block\.", name)}
        found["n_blocks_local"] = len(blocks)
    return [Statement(str(path), field, value) for field, value in found.items()]


def _encoder_statements(state: Mapping[str, Tensor], path: Path) -> list[Statement]:
    front = _require_front(state, path, "encoder")
    n_downsample, n_blocks = _trunk_counts(state)
    last = f"model.{5 + 6 * n_downsample}.weight"
    if f"model.{4 + 6 * n_downsample}.weight" in state and last not in state:
        raise CheckpointError(
            f"{path} is the encoder of an older pix2pixHD, without reflection padding before its last convolution "
            f"(model.{4 + 6 * n_downsample} in place of model.{5 + 6 * n_downsample}): its feature map is smaller "
            "than the image, which these networks cannot reproduce; train the encoder again with the present pix2pixHD"
        )
    if last not in state or state[last].ndim != 4 or n_blocks:
        raise CheckpointError(f"{path} is no pix2pixHD encoder; give the file named …_net_E.pth")
    found = {
        "feat_num": state[last].shape[0],
        "nef": front.shape[0],
        "n_downsample_encoder": n_downsample,
        "output_nc": front.shape[1],  # it sees the images that the generator makes
        "norm": _norm_of(state),
    }
    return [Statement(str(path), field, value) for field, value in found.items()]


def _norm_of(state: Mapping[str, Tensor]) -> str:
    return "batch" if any(map(is_norm_weight, state.items())) else "instance"


def _flag_statements(label_nc: int | None, use_edges: bool | None) -> list[Statement]:
    said = [] if label_nc is None else [Statement("the flag --label-nc", "label_nc", label_nc)]
    return said if use_edges is None else [*said, Statement("the flag --edges/--no-edges", "use_edges", use_edges)]


def _discriminator_statements(state: Mapping[str, Tensor], path: Path) -> list[Statement]:
    found = discriminator_settings(state)
    seen_nc = found.pop("input_nc")  # of classes and edges, never of features, and of the image
    return [Statement(str(path), field, value) for field, value in (found | {"seen_nc": seen_nc}).items()]


def _refuse_features(said: list[Statement], path: Path) -> None:
    for source, field, value in said:
        if field == "feat_num" and value:
            raise CheckpointError(
                f"{path}: according to {source} the generator takes {value} feature channels, and no encoder was "
                "given; give the …_net_E.pth of the same run with --encoder"
            )


def _architecture(said: list[Statement], input_nc: int, path: Path) -> Architecture:
    known = agree(said)
    feat_num = known["feat_num"].value if "feat_num" in known else 0
    condition_nc = input_nc - feat_num
    source = f"{path} ({input_nc} input channels, {feat_num} of them features)"
    if {"output_nc", "seen_nc"} <= known.keys():  # the discriminator saw condition and image
        seen = known["seen_nc"]
        judged = Statement(seen.source, "condition_nc", seen.value - known["output_nc"].value)
        agree([judged, Statement(source, "condition_nc", condition_nc)])
    reading = divide_channels(condition_nc, known, source)
    shape = {field.name: known[field.name].value for field in fields(Architecture) if field.name in known}
    try:
        return Architecture(**(shape | reading._asdict() | ({"image_nc": RGB} if reading.label_nc else {})))
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _translate(
    state: Mapping[str, Tensor], network: type[Generator | Encoder], architecture: Architecture, path: Path
) -> dict[str, Tensor]:
    what = network.__name__.lower()
    own = shapes_of(lambda: network(architecture))
    foreign = {name: _foreign_name(name, architecture) for name in own}
    complete = dict(state)
    for name, foreign_name in foreign.items():
        if name.endswith("num_batches_tracked"):  # torch wrote none before 0.4.1; inference does not look at it
            complete.setdefault(foreign_name, torch.zeros(own[name].shape))
    norms = [name.removesuffix(".running_mean") for name in foreign.values() if name.endswith(".running_mean")]
    absorb_biases(complete, map(previous_layer, norms))  # convolutions there have one before a BatchNorm, too
    return rename_strict(
        complete,
        own,
        foreign.__getitem__,
        f"{path} does not fit the pix2pixHD {what} that its entries suggest ({architecture})",
    )


def _foreign_name(name: str, architecture: Architecture) -> str:
    """pix2pixHD's name of a parameter of our `Generator` or `Encoder`: numbered alike, but grouped otherwise."""
    a = architecture
    if a.n_enhancers:
        head = (
            f"model{a.n_enhancers}_2.{a.n_blocks_local + 4}"  # after the transposed convolution, norm, ReLU and padding
        )
    else:
        head = f"model.{5 + 6 * a.n_downsample + a.n_blocks}"
    name = name.replace("head.1", head)
    name = re.sub(r"^enhancers\.(\d+)\.(front|blocks)", _enhancer_name, name)
    name = re.sub(r"^(trunk|layers)", "model", name)
    return name.replace(".layers.", ".conv_block.")


def _enhancer_name(match: re.Match[str]) -> str:
    return f"model{int(match[1]) + 1}_{1 if match[2] == 'front' else 2}"


def _check_classes(styles: Mapping[int, Tensor], label_nc: int, path: Path | None) -> None:
    foreign = [class_id for class_id in sorted(styles) if class_id >= label_nc]
    if foreign:
        raise CheckpointError(
            f"{path} has styles of classes {foreign[:8]}, but the generator has {label_nc} classes, ids from 0; "
            "give the styles of the same run"
        )
