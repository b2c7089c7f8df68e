"""What a family offers to export: its networks wrapped so that bytes go in and bytes come out. One file a family."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from runtime.errors import ExportError
from runtime.labels import LabelSpec
from runtime.spec import StyleBank, TensorSpec

FAMILIES = ("contextual_gan", "pix2pix", "pix2pixhd", "segmenter")
MAX_INSTANCES = 1024  # rows of `styles` (axis K) of a static engine

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Request:
    """The form of engine that is asked for.

    Attributes:
        size: fixed (H, W) with N = 1; None leaves N, H, W and K free.
        precision: "fp32" or "fp16".
        stochastic: whether dropout acts, as the seeds in an additional input say.
    """

    size: tuple[int, int] | None = None
    precision: str = "fp32"
    stochastic: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """What convolutions compute in."""
        return torch.float16 if self.precision == "fp16" else torch.float32


@dataclass(frozen=True)
class Graph:
    """One engine to be: a torch module and everything export has to know of it.

    Attributes:
        kind: of the specification ("synthesizer", "translator").
        suffix: what comes between the file's stem and `.onnx` ("" or ".encoder").
        module: takes the tensors of `inputs` in that order, returns those of `outputs`.
        inputs, outputs: with the axis names N, H, W and K; a static engine gets sizes in their place.
        size_multiple: H and W must be multiples of this.
        smallest_side: of an image; reflection padding needs a pixel to reflect.
        parameters: of the network as trained, before any rewriting.
        examples: (N, H, W, random generator) → one array per input, of plausible content.
        reference: inputs → outputs of the unchanged networks in float32: what the engine has to reproduce.
        labels, styles: for the specification.
        own_size: (H, W) of its images where the network knows no other; None where any will do.
        fake_image: whether the graph's last Tanh is to be called `fake_image` (float32 [N, C, H, W] in [−1, 1]).
    """

    kind: str
    suffix: str
    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    size_multiple: int
    smallest_side: int
    parameters: int
    examples: Callable[[int, int, int, np.random.Generator], dict[str, NDArray[Any]]]
    reference: Callable[[Arrays], dict[str, NDArray[Any]]]
    labels: LabelSpec | None = None
    styles: StyleBank | None = None
    own_size: tuple[int, int] | None = None
    fake_image: bool = False


def family_graphs(family: str) -> ModuleType:
    """The module export.inference_modules.<family>, which offers

    `engines(checkpoint, networks, request) -> list[Graph]`: every engine of a checkpoint, the main one first.
    `baseline(checkpoint, networks) -> Graph`: the plain network, floats in and floats out, to measure against.

    Raises:
        ExportError: the family has no engines yet.
    """
    if family not in FAMILIES:
        raise ExportError(f"family {family!r} cannot be exported; this pix2rt exports {', '.join(FAMILIES)}")
    return importlib.import_module(f"export.inference_modules.{family}")
