"""The Contextual GAN in training. What every family offers here: see `training.system.family_system`."""

from training.systems.contextual_gan.held_out import SETTINGS, held_out
from training.systems.contextual_gan.options import PRESETS, Options
from training.systems.contextual_gan.system import ContextualGan, untrained

create = ContextualGan

__all__ = ["PRESETS", "SETTINGS", "Options", "create", "held_out", "untrained"]
