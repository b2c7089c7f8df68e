"""Endless procedural pictures of materials and of scenes made of them: texture and structure to fill holes with.

A unit is the height of a brick in pixels; colours are float32 RGB, 1 = white, until the camera makes bytes of them.
"""

from training.data.textures.render import render_texture

__all__ = ["render_texture"]
