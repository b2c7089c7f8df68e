"""What a pix2pixHD network sees of a label map: one-hot classes, instance edges, style features.

Written with operations that ONNX and TensorRT know, because the same functions are the head of every exported graph.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def one_hot(label_map: Tensor, label_nc: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Integer ids [N, H, W] → [N, label_nc, H, W], 1 in the pixel's class; ids outside the range give zeros."""
    return one_hot_of(label_map, torch.arange(label_nc, dtype=torch.int32, device=label_map.device), dtype)


def one_hot_of(label_map: Tensor, classes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Integer ids [N, H, W] → [N, C, H, W], 1 in the channel of the pixel's class among `classes` (int32 [C])."""
    return (label_map.to(torch.int32).unsqueeze(1) == classes.view(1, -1, 1, 1)).to(dtype)


def instance_edges(inst_map: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Instance boundary map [N, 1, H, W] of integer ids [N, H, W] (pix2pixHD section 3.3).

    1 where the id differs from any of the four neighbours', on both sides of a boundary; else 0.
    """
    ids = inst_map.unsqueeze(1)
    across = (ids[..., :, 1:] != ids[..., :, :-1]).to(dtype)
    down = (ids[..., 1:, :] != ids[..., :-1, :]).to(dtype)
    horizontal = torch.maximum(F.pad(across, (0, 1, 0, 0)), F.pad(across, (1, 0, 0, 0)))
    vertical = torch.maximum(F.pad(down, (0, 0, 0, 1)), F.pad(down, (0, 0, 1, 0)))
    return torch.maximum(horizontal, vertical)


def instance_means(features: Tensor, inst_map: Tensor) -> Tensor:
    """Instance-wise average pooling (pix2pixHD section 3.4): every pixel gets the mean of its instance.

    Args:
        features: float [N, F, H, W].
        inst_map: integer ids [N, H, W]; an id means another instance in each image of the batch.

    Returns:
        [N, F, H, W] in the dtype of `features`; sums are taken in float32.
    """
    count, channels, height, width = features.shape
    means, index = _means(features, inst_map)
    return means[index].view(count, height, width, channels).permute(0, 3, 1, 2).to(features.dtype)


def means_per_instance(features: Tensor, inst_map: Tensor) -> Tensor:
    """Likewise, but each mean once, however large its instance is: float32 [instances, F], in an order of the ids."""
    return _means(features, inst_map)[0]


def _means(features: Tensor, inst_map: Tensor) -> tuple[Tensor, Tensor]:
    """Means [instances, F], and which of them is whose pixel's, [N·H·W]."""
    count, channels = features.shape[:2]
    image = torch.arange(count, device=inst_map.device).view(-1, 1, 1).expand_as(inst_map)
    keys = image.to(torch.int64) * 2**32 + inst_map.to(torch.int64)
    _, index, pixels = keys.flatten().unique(return_inverse=True, return_counts=True)
    rows = features.permute(0, 2, 3, 1).reshape(-1, channels).float()
    sums = torch.zeros(len(pixels), channels, device=rows.device).index_add(0, index, rows)
    return sums / pixels.unsqueeze(1), index
