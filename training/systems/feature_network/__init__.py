"""The feature network in training. It makes no images, so it offers no `held_out`; see `training.system`."""

from training.systems.feature_network.options import PRESETS, Options
from training.systems.feature_network.system import DenoisingFeatures, untrained

create = DenoisingFeatures

__all__ = ["PRESETS", "Options", "create", "untrained"]
