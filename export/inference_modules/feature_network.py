"""The feature network as an engine: photo in, a vector of its features out, which `evaluate --features` takes."""

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.inference_modules import Arrays, Graph, Request
from export.inference_modules.pixels import blocky_image, parameters, unit_range
from export.network_rewrites import inference_copy, to_half_inside
from runtime.spec import TensorSpec
from training.checkpoint import Checkpoint
from training.networks.feature_network import IMAGE_NC, Architecture


class Description(nn.Module):
    """Bytes in, a vector out: mean and standard deviation of every channel over the pixels.

    Args:
        features: the trained network; it is left as it is.
        dtype: what the convolutions compute in.
    """

    def __init__(self, features: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.features = inference_copy(features)
        if dtype == torch.float16:
            to_half_inside(self.features)

    def forward(self, image: Tensor) -> Tensor:
        """Image uint8 [N, H, W, 3] → float32 [N, 2·C]."""
        features = self.features(unit_range(image)).to(torch.float32)
        mean = features.mean((2, 3))
        spread = (features - mean[..., None, None]).square().mean((2, 3)).sqrt()
        return torch.cat([mean, spread], 1)


def engines(checkpoint: Checkpoint, networks: Mapping[str, nn.Module], request: Request) -> list[Graph]:
    """The feature network."""
    a: Architecture = checkpoint.architecture
    features = networks["features"]

    def reference(arrays: Arrays) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            maps = features(unit_range(torch.from_numpy(arrays["image"])))
            moments = torch.var_mean(maps, (2, 3), correction=0)
            return {"features": torch.cat([moments[1], moments[0].sqrt()], 1).numpy()}

    return [
        Graph(
            kind="features",
            suffix="",
            module=Description(features, request.dtype).eval(),
            inputs=(TensorSpec("image", "uint8", ("N", "H", "W", IMAGE_NC)),),
            outputs=(TensorSpec("features", "float32", ("N", 2 * a.widths[2])),),
            size_multiple=a.size_multiple,
            smallest_side=a.smallest_side,
            parameters=parameters(features),
            examples=lambda count, height, width, rng: {"image": blocky_image(count, height, width, IMAGE_NC, rng)},
            reference=reference,
        )
    ]
