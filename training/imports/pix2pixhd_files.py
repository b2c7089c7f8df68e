"""The files that a pix2pixHD run leaves beside its generator: discriminator and style clusters."""

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.checkpoint import load_strict
from training.errors import CheckpointError
from training.imports.networks_in_file import is_norm_weight, read_network
from training.networks.patchgan import MultiScaleDiscriminator, discriminator_settings
from training.safe_load import load_pickled_dict


def read_discriminator(path: Path) -> dict[str, Tensor]:
    """State dict of our `MultiScaleDiscriminator`. The file's last scale is full resolution, which is our first.

    Raises:
        MissingFileError: no such file.
        CheckpointError: it is no discriminator.
    """
    found = {}
    for name, value in read_network(path, "discriminator").items():
        if is_norm_weight((name, value)):
            raise CheckpointError(
                f"{path}: the discriminator has normalisation layers with weights ({name}): it was trained with --norm "
                "batch; only one with pix2pixHD's default, instance normalisation, can be fine-tuned; leave it out"
            )
        # One module a layer if trained with feature matching, else one sequence: conv, act, then conv, norm, act, …
        layered = re.fullmatch(r"scale(\d{1,4})_layer(\d{1,4})\.0\.(weight|bias)", name)
        flat = re.fullmatch(r"layer(\d{1,4})\.(\d{1,4})\.(weight|bias)", name)
        match = layered or flat
        if not match:
            raise CheckpointError(
                f"{path} is no pix2pixHD discriminator: unexpected {name}; give the …_net_D.pth of the run"
            )
        layer = int(match[2]) if layered else (int(match[2]) + 1) // 3
        found[int(match[1]), layer, match[3]] = value
    scales = sorted({scale for scale, _, _ in found}, reverse=True)
    state = {f"scales.{scales.index(scale)}.layers.{layer}.0.{kind}": v for (scale, layer, kind), v in found.items()}
    load_strict(MultiScaleDiscriminator(**discriminator_settings(state)), state, f"{path} (discriminator)")
    return state


def read_styles(path: Path) -> dict[int, Tensor]:
    """Class id → K-means centres float32 [k, feat_num]; classes without any are left out.

    Raises:
        MissingFileError: no such file.
        CheckpointError: it is no dictionary of class ids and arrays of one width.
    """
    styles = {}
    for key, centres in load_pickled_dict(path).items():
        if isinstance(key, bool | float | np.floating) or not re.fullmatch(r"\d{1,4}", str(key), re.ASCII):
            raise CheckpointError(
                f"{path}: {str(key)[:20]!r} is no class id; expected a dictionary class id → array [k, feat_num]"
            )
        if not isinstance(centres, np.ndarray) or centres.dtype.kind not in "fiu":
            raise CheckpointError(
                f"{path}: class {key} holds {type(centres).__name__}, expected a float array [k, feat_num]"
            )
        if not centres.size:
            continue
        if centres.ndim != 2:
            raise CheckpointError(f"{path}: class {key} has shape {list(centres.shape)}, expected [k, feat_num]")
        styles[int(key)] = torch.from_numpy(np.ascontiguousarray(centres, np.float32))
    widths = {centres.shape[1] for centres in styles.values()}
    if len(widths) != 1:
        raise CheckpointError(f"{path}: styles have {sorted(widths) or 'no'} values, expected one feat_num everywhere")
    return styles
