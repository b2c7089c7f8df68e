"""Endless procedural faces: structure to complete (hair, glasses, beards, light), so that no data set is needed.

A face is drawn in units of half the picture's side, x to the right and y down from the middle; colours are float32 RGB
in [0, 1]. `random_face` draws the plan, `render_face` carries it out without any randomness.
"""

from training.data.faces.plan import Face, random_face
from training.data.faces.render import render_face

__all__ = ["Face", "random_face", "render_face"]
