"""Inpainting as an engine: image and hole to the completed image, or to one repainted in the style of another."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.dense_patch_swap import DenseInpainting
from export.errors import ExportError
from export.family_options.inpainting import Options
from export.followed_matches import FollowedMatches
from export.inference_modules import Arrays, Graph, Matches, Request
from export.inference_modules.pixels import blocky_image, byte_levels, parameters, unit_range
from export.network_rewrites import ScaledFeatures, fold_batch_norms, inference_copy, to_half_inside
from runtime.engines.spec import TensorSpec
from training.checkpoint import Checkpoint
from training.networks.infer_match_translate import HOLE_NC
from training.networks.inpainting import Architecture, Inpainting

_LOWEST_SIDE = 256  # of the lowest scale: the paper's
_DYNAMIC_SIDE = 512  # what an engine of free size is made for
_MOST_SCALES = 6
_MOST_ITERATIONS = 16
_RGB = 3


class Completion(nn.Module):
    """Bytes in, bytes out: masking, the whole of `Inpainting`, known pixels as they were.

    Args:
        networks: "image2feature", "features" and "feature2image".
        scales, iterations: of `Inpainting`.
    """

    def __init__(self, networks: Mapping[str, nn.Module], scales: int, iterations: int) -> None:
        super().__init__()
        self.inpainting = Inpainting(networks, scales, iterations)

    def forward(self, image: Tensor, hole_mask: Tensor, style_image: Tensor | None = None) -> Tensor:
        """Images uint8 [N, H, W, 3], mask uint8 [N, H, W], not zero = missing → uint8 [N, H, W, 3]."""
        return completed_bytes(self.inpainting, image, hole_mask, style_image)


def completed_bytes(
    inpainting: Inpainting, image: Tensor, hole_mask: Tensor, style_image: Tensor | None = None
) -> Tensor:
    """`Completion.forward` with any `Inpainting`; a style image makes it style transfer."""
    given = image.to(torch.float32)
    is_missing = hole_mask.to(torch.float32) > 0
    hole = is_missing.to(torch.float32).unsqueeze(1)
    if style_image is None:
        made = inpainting(unit_range(image), hole)
    else:
        made = inpainting.forward_style(unit_range(image), unit_range(style_image))
    levels = byte_levels(made).permute(0, 2, 3, 1)
    return torch.where(is_missing.unsqueeze(-1), levels, given).to(torch.uint8)


def _rewritten(networks: Mapping[str, nn.Module], dtype: torch.dtype) -> dict[str, nn.Module]:
    """Copies of the same function, faster and in the dtype asked for."""
    copies = {name: inference_copy(network) for name, network in networks.items()}
    copies["features"] = ScaledFeatures(copies["features"])
    for network in copies.values():
        fold_batch_norms(network)
        if dtype == torch.float16:
            to_half_inside(network)
    return copies


def engines(checkpoint: Checkpoint, networks: Mapping[str, nn.Module], request: Request) -> list[Graph]:
    """The inpainter.

    Raises:
        ExportError: noise or other statistics are asked for than the networks have, or scales that do not fit.
    """
    a: Architecture = checkpoint.architecture
    options: Options = request.options
    _check(checkpoint, options)
    scales = 1 if options.style_transfer else options.scales or default_scales(a, request.size)
    iterations = options.iterations or 1
    multiple = a.size_multiple * 2 ** (scales - 1)

    def examples(count: int, height: int, width: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {"image": blocky_image(count, height, width, _RGB, rng)}
        arrays["hole_mask"] = example_holes(count, height, width, rng)
        if options.style_transfer:
            arrays["style_image"] = blocky_image(count, height, width, _RGB, rng)
        return arrays

    def reference_given(arrays: Arrays, matches: Matches) -> dict[str, NDArray[Any]]:
        original = FollowedMatches(networks, scales, iterations, matches, request.precision)
        with torch.inference_mode():
            return {"completed": completed_bytes(original, *map(torch.from_numpy, arrays.values())).numpy()}

    image = TensorSpec("image", "uint8", ("N", "H", "W", _RGB))
    inputs = [image, TensorSpec("hole_mask", "uint8", ("N", "H", "W"))]
    if options.style_transfer:
        inputs.append(TensorSpec("style_image", "uint8", image.shape))
    return [
        Graph(
            kind="inpainter",
            suffix="",
            module=Completion(_rewritten(networks, request.dtype), scales, iterations).eval(),
            inputs=tuple(inputs),
            outputs=(TensorSpec("completed", "uint8", image.shape),),
            size_multiple=multiple,
            smallest_side=_smallest_side(a, scales),
            parameters=sum(map(parameters, networks.values())),
            examples=examples,
            reference_given=reference_given,
            options={"scales": scales, "iterations": iterations},
        )
    ]


def baseline(checkpoint: Checkpoint, networks: Mapping[str, nn.Module], request: Request) -> Graph:
    """`Inpainting` as it stands, with patch-swap by convolutions: image and hole float32 to the completed image.

    Raises:
        ExportError: as of `engines`, or style transfer is asked for.
    """
    a: Architecture = checkpoint.architecture
    options: Options = request.options
    _check(checkpoint, options)
    if options.style_transfer:
        raise ExportError("--baseline --style-transfer: the yardstick only completes; leave one of the two out")
    scales, iterations = options.scales or default_scales(a, request.size), options.iterations or 1
    multiple = a.size_multiple * 2 ** (scales - 1)

    def examples(count: int, height: int, width: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        image = torch.from_numpy(blocky_image(count, height, width, _RGB, rng))
        hole = np.zeros((count, HOLE_NC, height, width), np.float32)
        # Small: its matches cannot be followed, and of few queries hardly one has two keys that all but tie.
        hole[..., height // 2 : height // 2 + max(height // 16, 1), width // 4 : width // 4 + max(width // 16, 1)] = 1
        return {"input": unit_range(image).numpy(), "hole": hole}

    def reference(arrays: Arrays) -> dict[str, NDArray[Any]]:
        with torch.no_grad():
            original = Inpainting(networks, scales, iterations)
            return {"output": original(*map(torch.from_numpy, arrays.values())).numpy()}

    return Graph(
        kind="baseline",
        suffix="",
        module=DenseInpainting(networks, scales, iterations).eval(),
        inputs=(
            TensorSpec("input", "float32", ("N", _RGB, "H", "W")),
            TensorSpec("hole", "float32", ("N", HOLE_NC, "H", "W")),
        ),
        outputs=(TensorSpec("output", "float32", ("N", _RGB, "H", "W")),),
        size_multiple=multiple,
        smallest_side=_smallest_side(a, scales),
        parameters=sum(map(parameters, networks.values())),
        examples=examples,
        reference=reference,
        options={"scales": scales, "iterations": iterations},
    )


def default_scales(architecture: Architecture, size: tuple[int, int] | None) -> int:
    """As many as leave the lowest scale a side of 256 pixels, and sides that the networks take; at least one."""
    height, width = size or (_DYNAMIC_SIDE, _DYNAMIC_SIDE)
    scales = 1
    while scales < _MOST_SCALES:
        factor = 2**scales
        multiple = factor * architecture.size_multiple
        if min(height, width) < factor * _LOWEST_SIDE or height % multiple or width % multiple:
            break
        scales += 1
    return scales


def example_holes(count: int, height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """uint8 [N, H, W]: two rectangles, one of them possibly at the border, of up to a third of each side."""
    masks = np.zeros((count, height, width), np.uint8)
    for mask in masks:
        for _ in range(2):
            rows, columns = (rng.integers(side // 8, side // 3 + 1) for side in (height, width))
            top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
            mask[top : top + rows, left : left + columns] = rng.integers(1, 256)
    return masks


def _smallest_side(a: Architecture, scales: int) -> int:
    return int(a.smallest_side * 2 ** (scales - 1))


def _check(checkpoint: Checkpoint, options: Options) -> None:
    if checkpoint.normalization != "running-stats":
        raise ExportError(
            f"--normalization {checkpoint.normalization}: inpainting uses the statistics of training, so that a result "
            "does not depend on its batch mates; give running-stats or leave the option out"
        )
    for name, value, most in (
        ("--scales", options.scales, _MOST_SCALES),
        ("--iterations", options.iterations, _MOST_ITERATIONS),
    ):
        if value is not None and not 1 <= value <= most:
            raise ExportError(f"{name} is {value}, expected a number from 1 to {most}")
    if options.style_transfer and options.scales not in (None, 1):
        raise ExportError("--scales: style transfer works at one scale; leave the option out")
