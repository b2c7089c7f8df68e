"""The naive export of a generator, which every family of one generator is measured against."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.inference_modules import Arrays, Graph
from export.inference_modules.pixels import parameters
from runtime.engines.spec import TensorSpec


def bare_generator(
    generator: nn.Module,
    channels: tuple[int, int],
    sides: tuple[int, int],
    example: Callable[[int, int, int, np.random.Generator], Tensor],
    **for_specification: Any,
) -> Graph:
    """The generator alone: float32 [N, C, H, W] as it trained with → float32 [N, C', H, W] in [−1, 1].

    Args:
        generator: the trained network.
        channels: C and C'.
        sides: `size_multiple` and `smallest_side` of its `Graph`.
        example: (N, H, W, random generator) → a plausible input.
        for_specification: further fields of its `Graph`.
    """

    def examples(count: int, height: int, width: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        return {"input": example(count, height, width, rng).numpy()}

    def reference(arrays: Arrays) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            return {"output": generator(torch.from_numpy(arrays["input"])).numpy()}

    return Graph(
        kind="baseline",
        suffix="",
        module=generator,
        inputs=(TensorSpec("input", "float32", ("N", channels[0], "H", "W")),),
        outputs=(TensorSpec("output", "float32", ("N", channels[1], "H", "W")),),
        size_multiple=sides[0],
        smallest_side=sides[1],
        parameters=parameters(generator),
        examples=examples,
        reference=reference,
        **for_specification,
    )
