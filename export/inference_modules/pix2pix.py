"""pix2pix as engines: image to image, with or without the noise of dropout, and the naive export to measure against."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.errors import ExportError
from export.family_options.pix2pix import Options
from export.inference_modules import Arrays, Graph, Request
from export.inference_modules.bare_generator import bare_generator
from export.inference_modules.pixels import FEW_CHANNELS, blocky_image, parameters, to_bytes, unit_range
from export.network_rewrites import (
    ShuffledConv,
    drop_cancelled_biases,
    fold_batch_norms,
    inference_copy,
    split_uneven_convs,
    to_half,
    trim_innermost,
)
from export.seeded_dropout import has_dropout, use_seeded_dropout
from runtime.engines.recipe import LABELS, Recipe
from runtime.engines.spec import TensorSpec
from training.checkpoint import Checkpoint
from training.class_tables import CITYSCAPES
from training.networks.pix2pix import Architecture, ResNet
from training.networks.unet import UNet


def engines(checkpoint: Checkpoint, networks: Mapping[str, nn.Module], request: Request) -> list[Graph]:
    """The translator.

    Raises:
        ExportError: noise is asked for, and the network has no dropout.
    """
    a: Architecture = checkpoint.architecture
    generator = networks["generator"]
    options: Options = request.options
    if options.stochastic and not has_dropout(generator):
        raise ExportError(
            "--stochastic: this network has no dropout, which is the only noise of pix2pix; leave the flag out, or "
            "import or train the network with dropout"
        )
    inputs = [TensorSpec("image", "uint8", ("N", "H", "W", a.input_nc))]
    if options.stochastic:
        inputs.append(TensorSpec("seed", "int32", ("N",)))

    def examples(count: int, height: int, width: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        image = blocky_image(count, height, width, a.input_nc, rng)
        seed = rng.integers(-(2**31), 2**31, count, np.int32)
        return {"image": image} | ({"seed": seed} if options.stochastic else {})

    def reference(arrays: Arrays) -> dict[str, NDArray[Any]]:
        original = Translation(generator, options.stochastic)
        with torch.inference_mode():
            return {"translation": original(*map(torch.from_numpy, arrays.values())).numpy()}

    return [
        Graph(
            kind="translator",
            suffix="",
            module=_rewritten(Translation(generator, options.stochastic), request),
            inputs=tuple(inputs),
            outputs=(TensorSpec("translation", "uint8", ("N", "H", "W", a.output_nc)),),
            size_multiple=a.size_multiple,
            smallest_side=a.smallest_side,
            parameters=parameters(generator),
            examples=examples,
            reference=reference,
            recipe=_recipe(checkpoint),
            fake_image=True,
        )
    ]


def _recipe(checkpoint: Checkpoint) -> Recipe | None:
    """How training made the input; where directions were swapped the photo itself was the input."""
    derive = checkpoint.recipe.get("derive", "")
    if not derive or checkpoint.recipe.get("direction", "AtoB") != "AtoB":
        return None
    return Recipe(derive, CITYSCAPES if derive == LABELS else None)


def baseline(checkpoint: Checkpoint, networks: Mapping[str, nn.Module], request: Request) -> Graph:
    """The generator alone.

    Raises:
        ExportError: noise is asked for.
    """
    if request.options.stochastic:
        raise ExportError("--baseline --stochastic: the yardstick draws no noise; leave one of the two out")
    a: Architecture = checkpoint.architecture

    def example(count: int, height: int, width: int, rng: np.random.Generator) -> Tensor:
        return unit_range(torch.from_numpy(blocky_image(count, height, width, a.input_nc, rng)))

    sides = (a.size_multiple, a.smallest_side)
    return bare_generator(networks["generator"], (a.input_nc, a.output_nc), sides, example)


class Translation(nn.Module):
    """Bytes in, bytes out: normalisation to [−1, 1], generator, quantisation.

    Args:
        generator: the trained network; it is left as it is.
        stochastic: whether its dropout acts.
    """

    def __init__(self, generator: nn.Module, stochastic: bool) -> None:
        super().__init__()
        self.dtype = torch.float32
        self.generator = inference_copy(generator)
        self.seeds = use_seeded_dropout(self.generator) if stochastic else None
        layers = self.generator.head if isinstance(self.generator, UNet) else cast("ResNet", self.generator).layers
        layers[-1] = nn.Identity()  # Tanh is taken in float32, whatever the dtype of the network

    def forward(self, image: Tensor, seed: Tensor | None = None) -> Tensor:
        """Image uint8 [N, H, W, input_nc], seeds int32 [N] → translation uint8 [N, H, W, output_nc]."""
        if self.seeds:
            self.seeds.seed = seed
        values = self.generator(unit_range(image).to(self.dtype))
        return to_bytes(torch.tanh(values.to(torch.float32)))


def _rewritten(translation: Translation, request: Request) -> Translation:
    """The same function, faster and in the dtype asked for."""
    generator = translation.generator
    is_cpus_precision = request.dtype == torch.float32
    fold_batch_norms(generator)
    drop_cancelled_biases(generator)
    if isinstance(generator, UNet):
        if request.size:
            trim_innermost(generator, request.size)
    else:
        _shuffle_last_conv(cast("ResNet", generator).layers)
        if is_cpus_precision:
            split_uneven_convs(generator)
    translation.dtype = request.dtype
    if not is_cpus_precision:
        to_half(generator)
    return translation.eval()


def _shuffle_last_conv(layers: nn.Sequential) -> None:
    conv = cast("nn.Conv2d", layers[-2])
    if conv.out_channels <= FEW_CHANNELS:
        layers[-2] = ShuffledConv(conv)
