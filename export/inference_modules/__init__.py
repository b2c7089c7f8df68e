"""What a family offers to export: its networks wrapped so that bytes go in and bytes come out. One file a family."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from export.errors import ExportError
from export.family_options import options_class
from runtime.engines.labels import LabelSpec
from runtime.engines.recipe import Recipe
from runtime.engines.spec import EngineSpec, StyleBank, TensorSpec
from training.networks import family_networks

MAX_INSTANCES = 1024  # rows of `styles` (axis K) of a static engine

Arrays = Mapping[str, NDArray[Any]]
Matches = Sequence[NDArray[np.int32]]  # what the `PatchMatch` nodes of an engine gave, in their order
Expected = Callable[[Matches], dict[str, NDArray[Any]]]


@dataclass(frozen=True)
class Request:
    """The form of engine that is asked for.

    Attributes:
        size: fixed (H, W) with N = 1; None leaves N, H, W and K free.
        precision: "fp32" or "fp16".
        options: the family's own, of `export.family_options`; `graphs_of` puts the defaults in the place of None.
    """

    size: tuple[int, int] | None = None
    precision: str = "fp32"
    options: Any = None

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
        reference_given: for an engine with `PatchMatch` nodes in the place of `reference`: likewise, but following the
            engine's matches. Where two keys all but tie, rounding decides; the other key is no error, but it shows in
            many pixels. Raises ParityError where a match is worse than rounding explains.
        labels, styles: for the specification.
        own_size: (H, W) of its images where the network knows no other; None where any will do.
        options: for the specification: fields of the request, as they were decided.
        recipe: for the specification: how training made the input, where it made it itself.
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
    reference: Callable[[Arrays], dict[str, NDArray[Any]]] | None = None
    reference_given: Callable[[Arrays, Matches], dict[str, NDArray[Any]]] | None = None
    labels: LabelSpec | None = None
    styles: StyleBank | None = None
    own_size: tuple[int, int] | None = None
    options: Mapping[str, int] = field(default_factory=dict)
    recipe: Recipe | None = None
    fake_image: bool = False


def family_graphs(family: str) -> ModuleType:
    """The module export.inference_modules.<family>, which offers

    `engines(checkpoint, networks, request) -> list[Graph]`: every engine of a checkpoint, the main one first.
    `baseline(checkpoint, networks, request) -> Graph`, if there is one: the plain network, floats in and floats out, to
    measure against.

    Raises:
        CheckpointError: no such family.
        ExportError: the family has no engines.
    """
    family_networks(family)
    name = f"{__name__}.{family}"
    if importlib.util.find_spec(name) is None:
        raise ExportError(f"networks of family {family} cannot be exported")
    return importlib.import_module(name)


def request_of(spec: EngineSpec) -> Request:
    """The request that an engine was made for."""
    return Request(spec.size, spec.precision, options_class(spec.family).of_engine(spec))
