"""Inpainting in training. What every family offers here: see `training.system.family_system`."""

from training.systems.inpainting.held_out import SETTINGS, held_out
from training.systems.inpainting.options import PRESETS, Options
from training.systems.inpainting.system import InferMatchTranslate, untrained

create = InferMatchTranslate

__all__ = ["PRESETS", "SETTINGS", "Options", "create", "held_out", "untrained"]
