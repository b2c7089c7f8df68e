"""The checkpoint: one safetensors file with what inference needs, self-describing, written atomically.

The tensors are named "<network>.<parameter>" ("generator.head.1.weight"), "styles.<class id>" for the style bank
[k, feat_num]. The file's metadata holds one JSON document under "pix2rt".
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from runtime.engines.labels import LabelSpec
from runtime.files import require_file
from runtime.version import __version__
from training.errors import CheckpointError
from training.networks import family_networks
from training.networks.normalization import MODES, has_batch_norm, use_statistics
from training.writing import tensor_file

FORMAT_VERSION = 1
METADATA_KEY = "pix2rt"
STYLES = "styles"


@dataclass
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        family: "pix2pixhd", …; decides the type of `architecture`.
        architecture: the family's `Architecture`.
        networks: state dict per network, at least those of the family's `build`. Imported files may hold a
            "discriminator" too, which only fine-tuning reads.
        labels: class table; None where the input is an RGB image.
        styles: class id → K-means centres float32 [k, feat_num]; empty where there are no features.
        normalization: statistics that the normalisation layers use at inference.
        recipe: how its training data was read ("derive": "edges", …), so that evaluation reads alike; family-specific.
        step: training steps behind it; 0 where imported.
        version: of the pix2rt that wrote it.
    """

    family: str
    architecture: Any
    networks: dict[str, dict[str, Tensor]]
    labels: LabelSpec | None = None
    styles: dict[int, Tensor] = field(default_factory=dict)
    normalization: str = "per-image"
    recipe: dict[str, str] = field(default_factory=dict)
    step: int = 0
    version: str = __version__

    def build(self) -> dict[str, nn.Module]:
        """The networks with these weights, in evaluation mode, normalising as `normalization` says.

        Raises:
            CheckpointError: a tensor is missing, left over or of another shape (the difference is listed), or
                `normalization` makes no sense for these networks.
        """
        with torch.device("meta"):  # compare before a foreign file's numbers can ask for memory
            modules: dict[str, nn.Module] = family_networks(self.family).build(self.architecture)
        for name, module in modules.items():
            if name not in self.networks:
                raise CheckpointError(
                    f"checkpoint has no network {name!r}; it holds {', '.join(self.networks) or 'none'}"
                )
            load_strict(module, self.networks[name], name)
        if self.normalization != "per-image" and not any(map(has_batch_norm, modules.values())):
            raise CheckpointError(
                f"normalization {self.normalization!r} was asked for, but this {self.family} network has no batch "
                "normalisation, so nothing but per-image statistics exists; use 'per-image'"
            )
        for module in modules.values():
            use_statistics(module, self.normalization)
            module.eval().requires_grad_(False)
        return modules


def load_strict(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load every tensor or none.

    Raises:
        CheckpointError: lists what is missing, left over and of another shape.
    """
    wanted = module.state_dict()
    differences = [f"missing {name} {list(value.shape)}" for name, value in wanted.items() if name not in state]
    differences += [f"unexpected {name} {list(value.shape)}" for name, value in state.items() if name not in wanted]
    differences += [
        f"{name} is {list(state[name].shape)}, expected {list(value.shape)}"
        for name, value in wanted.items()
        if name in state and state[name].shape != value.shape
    ]
    if differences:
        shown = "\n  ".join(differences[:12] + ([f"… {len(differences) - 12} more"] if len(differences) > 12 else []))
        raise CheckpointError(f"{what}: the weights do not fit the architecture, nothing was loaded:\n  {shown}")
    if any(value.is_meta for value in wanted.values()):
        module.to_empty(device="cpu")
    module.load_state_dict(dict(state))


def save_checkpoint(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write `path` atomically: a kill or a full disk leaves the previous file whole.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    tensors = {
        f"{network}.{name}": value for network, state in checkpoint.networks.items() for name, value in state.items()
    }
    tensors |= {f"{STYLES}.{class_id}": value for class_id, value in checkpoint.styles.items()}
    document = {
        "format_version": FORMAT_VERSION,
        "family": checkpoint.family,
        "architecture": asdict(checkpoint.architecture),
        "labels": checkpoint.labels.to_json() if checkpoint.labels else None,
        "normalization": checkpoint.normalization,
        "recipe": checkpoint.recipe,
        "step": checkpoint.step,
        "version": __version__,
    }
    cpu = {name: value.detach().to("cpu", torch.float32).contiguous() for name, value in tensors.items()}
    with tensor_file(path) as temporary:
        save_file(cpu, temporary, metadata={METADATA_KEY: json.dumps(document)})


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        MissingFileError: no such file.
        CheckpointError: truncated, foreign, damaged or of a newer format.
    """
    path = require_file(path, "checkpoint")
    try:
        with safe_open(path, framework="pt") as archive:
            metadata = archive.metadata() or {}
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118 (no iteration here)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        hint = (
            "import it with `python -m export import`"
            if path.suffix in (".pth", ".pt")
            else "it is truncated or damaged"
        )
        raise CheckpointError(f"{path} is no pix2rt checkpoint ({error}); {hint}") from error
    if METADATA_KEY not in metadata:
        raise CheckpointError(
            f"{path} is a safetensors file of another project: its metadata has no {METADATA_KEY!r} entry"
        )
    try:
        return _checkpoint_from(json.loads(metadata[METADATA_KEY]), tensors, path)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        reason = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(f"{path}: damaged metadata: {reason}") from error


def is_checkpoint(path: str | Path) -> bool:
    """Whether the file is one of ours; False where it is no safetensors file at all."""
    try:
        with safe_open(path, framework="pt") as archive:
            return METADATA_KEY in (archive.metadata() or {})
    except (SafetensorError, OSError, ValueError, RuntimeError):
        return False


def _checkpoint_from(document: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path) -> Checkpoint:
    if int(document["format_version"]) > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has checkpoint format {document['format_version']}, this pix2rt reads up to {FORMAT_VERSION}; "
            f"it was written by pix2rt {document.get('version', '?')}: upgrade"
        )
    if document["normalization"] not in MODES:
        raise ValueError(f"normalization {document['normalization']!r} is not one of {', '.join(MODES)}")
    networks: dict[str, dict[str, Tensor]] = {}
    styles = {}
    for key, value in tensors.items():
        network, _, name = key.partition(".")
        if network == STYLES:
            styles[int(name)] = value
        else:
            networks.setdefault(network, {})[name] = value
    return Checkpoint(
        family=str(document["family"]),
        architecture=family_networks(document["family"]).Architecture(**document["architecture"]),
        networks=networks,
        labels=LabelSpec.from_json(document["labels"]) if document["labels"] else None,
        styles=styles,
        normalization=document["normalization"],
        recipe={str(key): str(value) for key, value in document.get("recipe", {}).items()},
        step=int(document["step"]),
        version=str(document["version"]),
    )


def sha256_of(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
