"""The segmenter as an engine: photo in, label ids out."""

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.inference_modules import Arrays, Graph, Request
from export.inference_modules.pixels import blocky_image, parameters, unit_range
from export.network_rewrites import drop_cancelled_biases, inference_copy, to_half
from runtime.engines.spec import TensorSpec
from training.checkpoint import Checkpoint
from training.networks.segmenter import IMAGE_NC, Architecture


class Segmentation(nn.Module):
    """Bytes in, ids out.

    Args:
        segmenter: the trained network; it is left as it is.
        dtype: what the convolutions compute in.
    """

    def __init__(self, segmenter: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.segmenter = inference_copy(segmenter)
        drop_cancelled_biases(self.segmenter)
        if dtype == torch.float16:
            to_half(self.segmenter)

    def forward(self, image: Tensor) -> Tensor:
        """Image uint8 [N, H, W, 3] → label map uint8 [N, H, W]."""
        scores: Tensor = self.segmenter(unit_range(image).to(self.dtype))
        return scores.to(torch.float32).argmax(1).to(torch.uint8)


def engines(checkpoint: Checkpoint, networks: Mapping[str, nn.Module], request: Request) -> list[Graph]:
    """The segmenter."""
    a: Architecture = checkpoint.architecture
    segmenter = networks["segmenter"]

    def reference(arrays: Arrays) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            scores = segmenter(unit_range(torch.from_numpy(arrays["image"])))
            return {"label_map": scores.argmax(1).to(torch.uint8).numpy()}

    return [
        Graph(
            kind="segmenter",
            suffix="",
            module=Segmentation(segmenter, request.dtype).eval(),
            inputs=(TensorSpec("image", "uint8", ("N", "H", "W", IMAGE_NC)),),
            outputs=(TensorSpec("label_map", "uint8", ("N", "H", "W")),),
            size_multiple=1,
            smallest_side=a.smallest_side,
            parameters=parameters(segmenter),
            examples=lambda count, height, width, rng: {"image": blocky_image(count, height, width, IMAGE_NC, rng)},
            reference=reference,
            labels=checkpoint.labels,
        )
    ]
