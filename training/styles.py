"""The style bank: K-means centres of each class's instance features over the data set (pix2pixHD section 3.4)."""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from runtime.engines.labels import LabelSpec
from runtime.runners.instances import find_instances, instance_classes
from runtime.runners.instances import instance_means as means_of
from training.data.label_maps import LabelMaps
from training.networks.layers import to_unit_range

MIN_PIXELS = 64  # an instance smaller than this says little about its style


@torch.no_grad()
def fit_styles(
    encoder: nn.Module, data: LabelMaps, count: int, seed: int, progress: Callable[[float], None]
) -> dict[int, Tensor]:
    """Encode every instance of `data` and cluster per class.

    Args:
        encoder: image [1, 3, H, W] in [−1, 1] → features [1, F, H, W].
        data: unaugmented items.
        count: centres per class; fewer where a class has fewer instances.
        seed: of K-means.
        progress: called with the fraction done.

    Returns:
        class id → float32 [k, F]; a class without instances is absent.
    """
    assert data.labels is not None, "only classes have styles"
    was_training = encoder.training
    encoder.eval()
    device = next(encoder.parameters()).device
    features: dict[int, list[np.ndarray]] = {}
    for index in range(len(data)):
        item = data[0, index]
        encoded = encoder(to_unit_range(item["real_image"].unsqueeze(0).to(device)))[0].float().cpu()
        for class_id, mean in _instance_features(encoded, item["inst_map"], item["condition"], data.labels):
            features.setdefault(class_id, []).append(mean)
        progress((index + 1) / len(data))
    encoder.train(was_training)
    return {class_id: _centres(np.stack(rows), count, seed) for class_id, rows in sorted(features.items())}


def _instance_features(
    encoded: Tensor, inst_map: Tensor, label_map: Tensor, labels: LabelSpec
) -> list[tuple[int, np.ndarray]]:
    """Class and mean feature of each instance that is large enough."""
    found = find_instances(inst_map.numpy().astype(np.int32))
    classes = instance_classes(found, label_map.numpy().astype(np.uint8), labels)
    pixels = np.bincount(found.compact.ravel(), minlength=len(found.ids))
    means = means_of(encoded.numpy(), found)
    return [(int(classes[k]), means[k]) for k in np.flatnonzero(pixels >= MIN_PIXELS)]


def _centres(rows: np.ndarray, count: int, seed: int) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # equal features: fewer distinct centres than asked for
        centres = KMeans(min(count, len(rows)), n_init=10, random_state=seed).fit(rows).cluster_centers_
    return torch.from_numpy(centres.astype(np.float32))
