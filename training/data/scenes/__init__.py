"""Endless procedural street scenes in the format of Cityscapes, so that a model can train without a data set.

A scene is laid out in metres along a straight street and painted from far to near. Every object writes the number
of its own entry in a table into one buffer of ids, with the same polygons or masks that colour the photo; the label
map and the instance map are looked up in that table, so the three agree exactly at every edge.

World coordinates are metres with x to the right, y up and z forward from the camera, which stands at (0, eye, 0).
Colours are float32 RGB in [0, 1]. Functions `random_…` and `lay_…` draw the plan, functions `paint_…` carry it out
without any randomness, so that a seed means the same scene at every size.
"""

from training.data.scenes.labels import Label
from training.data.scenes.render import Scene, render_scene

__all__ = ["Label", "Scene", "render_scene"]
