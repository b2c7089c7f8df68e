"""The networks in a file of weights: alone, in a dictionary of several, in Lightning's, or inside an object."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from training.checkpoint import is_checkpoint
from training.errors import CheckpointError
from training.imports.wrappers import unwrapped
from training.safe_load import StandIn, load_document, plain

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
_DEEPEST = 5
_SHOWN = 12
# Where the networks of both projects begin; what comes before it in a name is that of the network.
_FIRST_LAYER = re.compile(
    r"((?:.*?\.)??)(?:model\.model\.0|model\.[01]|net\.0|scale0_layer0\.0|layer0\.0)\.weight", re.ASCII
)
_NAME_OF_A_NETWORK = re.compile(r"(net|gen|disc|model|ema|critic)|^[gde](_|$)", re.IGNORECASE)


class Network(NamedTuple):
    """A state dict in a file, and where it lies: the keys that lead to it, with dots between."""

    key: str
    state: dict[str, Tensor]


def read_network(path: Path, what: str, key: str | None = None) -> dict[str, Tensor]:
    """The state dict of one network in float32, without wrappers.

    InstanceNorm kept running statistics before torch 0.4, which neither training nor test used: they are left out.

    Args:
        path: a file of PyTorch or safetensors.
        what: what it should be ("generator"), for messages.
        key: which network, where the file holds several.

    Raises:
        MissingFileError: no such file.
        CheckpointError: it is damaged or of another kind, or holds no network, or several and no `key` says which.
    """
    if is_checkpoint(path):
        raise CheckpointError(f"{path} is a pix2rt checkpoint already; give it to `python -m export onnx` as it is")
    document = load_document(path)
    network = _chosen(document, list(_networks(document, path)), path, what, key)
    state = network.state
    if not any(map(is_norm_weight, state.items())):
        state = {name: value for name, value in state.items() if name.rpartition(".")[2] not in _STATISTICS}
    for name, value in state.items():
        if not value.is_floating_point() and not name.endswith("num_batches_tracked"):
            raise CheckpointError(f"{path}: {name} is {value.dtype}, expected floating-point weights")
    return {name: state[name].float() for name in sorted(state, key=_in_order)}


def _in_order(name: str) -> list[tuple[int, str]]:
    """Layers by number; safetensors files are not in a network's order."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in name.split(".")]


def is_norm_weight(item: tuple[str, Tensor]) -> bool:
    """Whether a named tensor is the scale of a normalisation layer."""
    return item[0].endswith(".weight") and item[1].ndim == 1


def _chosen(document: Any, networks: list[Network], path: Path, what: str, key: str | None) -> Network:
    keys = [network.key for network in networks]
    if key is not None:
        exact = [network for network in networks if network.key == key]
        fitting = exact or [network for network in networks if network.key.endswith(f".{key}")]
        if len(fitting) != 1:
            raise CheckpointError(f"{path}: --key {key!r} names {len(fitting)} networks of {_listed(document, keys)}")
        networks = fitting
    if not networks:
        raise CheckpointError(f"{path} holds no network, but {_content(document)}; save net.state_dict() of the {what}")
    if len(networks) > 1:
        choice = "say which with --key" if what == "generator" else "save that one alone: torch.save(d[KEY], FILE)"
        raise CheckpointError(
            f"{path} is a dictionary of several networks, {_listed(document, keys)}; one is to be the {what}: {choice}"
        )
    if not networks[0].state:
        raise CheckpointError(f"{path}: {networks[0].key} is empty; it holds {_listed(document, keys)}")
    return networks[0]


def _networks(value: Any, path: Path, keys: tuple[str, ...] = ()) -> Iterator[Network]:
    """Depth first: every state dict, and of one that several networks share, each of them."""
    if isinstance(value, StandIn):
        value = dict(_tensors_of(value)) or vars(value)
    if isinstance(value, list | tuple):
        value = {str(index): part for index, part in enumerate(value)}
    if not isinstance(value, Mapping) or "param_groups" in value or len(keys) > _DEEPEST:
        return
    state = {
        str(name): plain(part, ".".join((*keys, str(name))), path)
        for name, part in value.items()
        if isinstance(part, Tensor)
    }
    if state or (keys and not value and _NAME_OF_A_NETWORK.search(keys[-1])):
        yield from _split(unwrapped(state, path), keys)
    for name, part in value.items():
        yield from _networks(part, path, (*keys, str(name)))


def _split(state: dict[str, Tensor], keys: tuple[str, ...]) -> Iterator[Network]:
    found = {match[1] for name in state if (match := _FIRST_LAYER.fullmatch(name))}
    prefixes: list[str] = []
    for prefix in sorted(found, key=lambda prefix: (len(prefix), prefix)):
        is_inner_level = any(part.isdecimal() for part in prefix.split("."))  # of a U-Net, which begins alike
        if not is_inner_level and not any(prefix.startswith(shorter) for shorter in prefixes):
            prefixes.append(prefix)
    for prefix in prefixes or [""]:
        part = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        yield Network(".".join((*keys, *prefix.removesuffix(".").split("."))).strip("."), part)


def _tensors_of(module: StandIn, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """The state dict of a network that was saved whole, from its attributes."""
    attributes = vars(module)
    for kind in ("_parameters", "_buffers"):
        tensors = attributes.get(kind)
        for name, value in tensors.items() if isinstance(tensors, dict) else ():
            if isinstance(value, Tensor):
                yield f"{prefix}{name}", value
    children = attributes.get("_modules")
    for name, child in children.items() if isinstance(children, dict) and depth < 100 else ():
        if isinstance(child, StandIn):
            yield from _tensors_of(child, f"{prefix}{name}.", depth + 1)


def _listed(document: Any, keys: list[str]) -> str:
    """The networks' keys, and what lies beside them."""
    shown = ", ".join(key or "the file itself" for key in keys[:_SHOWN]) or "none"
    parts = document if isinstance(document, Mapping) else {}
    ours = {key.partition(".")[0] for key in keys}
    beside = [str(key) for key, part in parts.items() if str(key) not in ours and not isinstance(part, Tensor)]
    others = f" (and {', '.join(beside[:_SHOWN])})" if beside else ""
    return f"{shown}{', …' if len(keys) > _SHOWN else ''}{others}"


def _content(document: Any) -> str:
    if isinstance(document, StandIn):
        return f"an object of the class {document.path}"
    if isinstance(document, Mapping):
        if "param_groups" in document:
            return "the state of an optimizer"
        names = [str(name) for name in document]
        return f"a dictionary of {', '.join(names[:_SHOWN])}" if names else "an empty dictionary"
    return "a single tensor" if isinstance(document, Tensor) else f"a {type(document).__name__}"
