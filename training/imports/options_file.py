"""The options file that a training run leaves beside its checkpoints; statements about a network that must agree."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from runtime.files import require_file
from training.errors import CheckpointError

_FEATURE_SWITCHES = ("instance_feat", "label_feat", "load_features")
_ANY_GENERATOR = {
    "n_downsample_global": "n_downsample",
    "n_blocks_global": "n_blocks",
    "ngf": "ngf",
    "label_nc": "label_nc",
    "output_nc": "output_nc",
}
_LOCAL_GENERATOR = {"n_local_enhancers": "n_enhancers", "n_blocks_local": "n_blocks_local"}
_ENCODER = {"nef": "nef", "n_downsample_E": "n_downsample_encoder"}
_DISCRIMINATOR = {"ndf": "ndf", "n_layers_D": "n_layers", "num_D": "num_scales"}


class Statement(NamedTuple):
    """`source` says that `field` has `value`."""

    source: str
    field: str
    value: Any


def agree(statements: Iterable[Statement]) -> dict[str, Statement]:
    """Field → the first statement of it.

    Raises:
        CheckpointError: two sources contradict each other; both are named.
    """
    known: dict[str, Statement] = {}
    for statement in statements:
        earlier = known.setdefault(statement.field, statement)
        if earlier.value != statement.value:
            raise CheckpointError(
                f"{statement.field} is {earlier.value} according to {earlier.source}, but {statement.value} "
                f"according to {statement.source}; give files of one training run, and no flag that contradicts them"
            )
    return known


def read_options(path: str | Path) -> dict[str, str]:
    """The `key: value` lines of an opt.txt; rules of dashes and "[default: …]" remarks are dropped.

    Raises:
        MissingFileError: no such file.
        CheckpointError: it holds no such line.
    """
    path = require_file(path, "options file")
    options = {}
    for line in path.read_text("utf-8", errors="replace").splitlines():
        key, colon, value = line.partition(":")
        if colon and " " not in key.strip():
            options[key.strip()] = value.split("[default")[0].strip()
    if not options:
        raise CheckpointError(
            f"{path} holds no 'key: value' line; give the opt.txt or train_opt.txt of the training run"
        )
    return options


def truth(options: Mapping[str, str], key: str, source: str) -> bool:
    """Raises CheckpointError where the value is neither True nor False."""
    if options[key] not in ("True", "False"):
        raise CheckpointError(f"{source}: {key} is {options[key]!r}, expected True or False")
    return options[key] == "True"


def number(options: Mapping[str, str], key: str, source: str) -> int:
    """Raises CheckpointError where the value is no whole number."""
    if not (options[key].isascii() and options[key].isdigit() and len(options[key]) < 10):
        raise CheckpointError(f"{source}: {key} is {options[key]!r}, expected a whole number")
    return int(options[key])


def statements_of(options: Mapping[str, str], source: str) -> list[Statement]:
    """What pix2pixHD's opt.txt says of the networks, in our field names; what it does not mention is left out.

    Raises:
        CheckpointError: a value is not the number or truth value it should be.
    """
    fields = dict(_ANY_GENERATOR) | _DISCRIMINATOR
    said = []
    if options.get("netG") == "local":
        fields |= _LOCAL_GENERATOR
    elif options.get("netG") == "global":
        said.append(Statement(source, "n_enhancers", 0))
    switches = [truth(options, key, source) for key in _FEATURE_SWITCHES if key in options]
    if any(switches):
        fields |= _ENCODER | {"feat_num": "feat_num"}
    elif switches:
        said.append(Statement(source, "feat_num", 0))
    if "no_instance" in options:
        said.append(Statement(source, "use_edges", not truth(options, "no_instance", source)))
    if options.get("label_nc") == "0":
        fields["input_nc"] = "image_nc"
    if "norm" in options:
        said.append(Statement(source, "norm", options["norm"]))
    said += [Statement(source, field, number(options, key, source)) for key, field in fields.items() if key in options]
    return said
