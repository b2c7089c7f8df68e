"""The segmenter in training. It makes no images, so it offers no `held_out`; see `training.system.family_system`."""

from training.systems.segmenter.options import PRESETS, Options
from training.systems.segmenter.system import Segmentation, untrained

create = Segmentation

__all__ = ["PRESETS", "Options", "create", "untrained"]
