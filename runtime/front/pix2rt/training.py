"""`pix2rt.training`: data to checkpoints; see `training.api`."""

from training.api import evaluate, presets, scenes, train

__all__ = ["evaluate", "presets", "scenes", "train"]
