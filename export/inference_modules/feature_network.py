"""The feature network as an engine: photo in, maps of its features out, which `evaluate --features` takes."""

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.inference_modules import Arrays, Graph, Request
from export.inference_modules.pixels import blocky_image, parameters, unit_range
from export.network_rewrites import ScaledFeatures, inference_copy, to_half_inside
from runtime.engines.spec import TensorSpec
from training.checkpoint import Checkpoint
from training.networks.feature_network import IMAGE_NC, STRIDE, Architecture


class FeatureMaps(nn.Module):
    """Bytes in, maps out.

    Args:
        features: the trained network; it is left as it is.
        dtype: what the convolutions compute in.
    """

    def __init__(self, features: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.features = ScaledFeatures(inference_copy(features))
        if dtype == torch.float16:
            to_half_inside(self.features)

    def forward(self, image: Tensor) -> Tensor:
        """Image uint8 [N, H, W, 3] → float32 [N, C, H/4, W/4]."""
        maps: Tensor = self.features(unit_range(image)).to(torch.float32)
        return maps


def engines(checkpoint: Checkpoint, networks: Mapping[str, nn.Module], request: Request) -> list[Graph]:
    """The feature network."""
    a: Architecture = checkpoint.architecture
    features = networks["features"]

    def reference(arrays: Arrays) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            return {"features": features(unit_range(torch.from_numpy(arrays["image"]))).numpy()}

    return [
        Graph(
            kind="features",
            suffix="",
            module=FeatureMaps(features, request.dtype).eval(),
            inputs=(TensorSpec("image", "uint8", ("N", "H", "W", IMAGE_NC)),),
            outputs=(TensorSpec("features", "float32", ("N", a.widths[2], f"H/{STRIDE}", f"W/{STRIDE}")),),
            size_multiple=a.size_multiple,
            smallest_side=a.smallest_side,
            parameters=parameters(features),
            examples=lambda count, height, width, rng: {"image": blocky_image(count, height, width, IMAGE_NC, rng)},
            reference=reference,
        )
    ]
