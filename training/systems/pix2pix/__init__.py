"""pix2pix in training. What every family offers here: see `training.system.family_system`."""

from training.systems.pix2pix.held_out import SETTINGS, held_out
from training.systems.pix2pix.options import PRESETS, Options
from training.systems.pix2pix.system import Pix2Pix, untrained

create = Pix2Pix

__all__ = ["PRESETS", "SETTINGS", "Options", "create", "held_out", "untrained"]
