"""The networks. One file a family, each with an `Architecture` and a `build`; see `family_networks`."""

import importlib
from types import ModuleType

from training.errors import CheckpointError

FAMILIES = ("contextual_gan", "feature_network", "inpainting", "pix2pix", "pix2pixhd", "segmenter")


def family_networks(family: str) -> ModuleType:
    """The module training.networks.<family>, which offers

    `Architecture`: frozen dataclass of everything that shapes the inference networks; JSON-serialisable fields only.
    `build(architecture) -> dict[str, nn.Module]`: the networks whose weights a checkpoint holds, by name.

    Raises:
        CheckpointError: no such family.
    """
    if family not in FAMILIES:
        raise CheckpointError(f"unknown family {family!r}; this pix2rt knows {', '.join(FAMILIES)}")
    return importlib.import_module(f"training.networks.{family}")
