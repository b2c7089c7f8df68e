"""pix2pixHD in training. What every family offers here: see `training.system.family_system`."""

from training.systems.pix2pixhd.held_out import SETTINGS, held_out
from training.systems.pix2pixhd.options import PRESETS, Options
from training.systems.pix2pixhd.system import Pix2PixHD, untrained

create = Pix2PixHD

__all__ = ["PRESETS", "SETTINGS", "Options", "create", "held_out", "untrained"]
