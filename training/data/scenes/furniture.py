"""Lamps, signs, traffic lights, clutter, bollards, fences and low walls."""

from functools import partial

import numpy as np

from training.data.scenes.canvas import Canvas
from training.data.scenes.labels import Label, Part
from training.data.scenes.materials import Floats, pick, rgb
from training.data.scenes.shapes import paint_bar, paint_panel, rectangle, regular_polygon
from training.data.scenes.street import Street, Thing


def paint_lamp(canvas: Canvas, x: float, z: float, inward: float) -> None:
    """Paints a street lamp with an arm over the road."""
    canvas.begin(Label.POLE, z)
    steel = rgb("#7f8486")
    paint_bar(canvas, (x, 0, z), (x, 1.2, z), 0.22, steel * 0.85)
    paint_bar(canvas, (x, 1.2, z), (x, 7.4, z), 0.14, steel)
    paint_bar(canvas, (x, 7.4, z), (x + inward * 1.5, 7.9, z), 0.09, steel)
    paint_panel(
        canvas, rectangle(x + inward * 1.3, x + inward * 2.0, 7.82, 7.98), z, rgb("#a4a8aa"), part=Part.STREET_LAMP
    )


def paint_sign(canvas: Canvas, x: float, z: float, kind: int) -> None:
    """Paints a sign on a post: prohibition, warning, parking or priority."""
    canvas.begin(Label.POLE, z + 0.1)
    paint_bar(canvas, (x, 0, z), (x, 2.9, z), 0.08, rgb("#8c9092"))
    canvas.begin(Label.TRAFFIC_SIGN, z)
    white, red, blue, y = rgb("#e8e8e4"), rgb("#b8202a"), rgb("#1f4f9c"), 2.6
    if kind == 0:
        paint_panel(canvas, regular_polygon(x, y, 0.36), z, red)
        paint_panel(canvas, regular_polygon(x, y, 0.26), z, white, solid=False)
    elif kind == 1:
        paint_panel(canvas, [(x - 0.45, y - 0.3), (x + 0.45, y - 0.3), (x, y + 0.46)], z, red)
        paint_panel(canvas, [(x - 0.27, y - 0.2), (x + 0.27, y - 0.2), (x, y + 0.26)], z, white, solid=False)
    elif kind == 2:
        paint_panel(canvas, rectangle(x - 0.34, x + 0.34, y - 0.4, y + 0.4), z, blue)
        paint_panel(canvas, rectangle(x - 0.13, x - 0.05, y - 0.24, y + 0.26), z, white, solid=False)
        paint_panel(canvas, regular_polygon(x + 0.02, y + 0.12, 0.14), z, white, solid=False)
    else:
        paint_panel(canvas, regular_polygon(x, y, 0.46, 4), z, white)
        paint_panel(canvas, regular_polygon(x, y, 0.34, 4), z, rgb("#d8a81e"), solid=False)
    if kind < 2:
        paint_panel(canvas, rectangle(x - 0.3, x + 0.3, y - 0.75, y - 0.5), z, white)


def paint_signal(canvas: Canvas, x: float, z: float, green: bool) -> None:
    """Paints a traffic light on its mast."""
    canvas.begin(Label.POLE, z + 0.1)
    paint_bar(canvas, (x, 0, z), (x, 3.6, z), 0.13, rgb("#6c7072"))
    canvas.begin(Label.TRAFFIC_LIGHT, z)
    paint_panel(canvas, rectangle(x - 0.2, x + 0.2, 2.5, 3.55), z, rgb("#1d2220"))
    lamps = (("#2fd08a", green), ("#d8a020", False), ("#e02a22", not green))
    for i, (code, on) in enumerate(lamps):
        colour = rgb(code) * (1.6 if on else 0.3)
        part = Part.SIGNAL_LAMP if on else None
        paint_panel(canvas, regular_polygon(x, 2.7 + 0.32 * i, 0.13), z, colour, solid=False, part=part)


def paint_static(canvas: Canvas, x: float, z: float, kind: int, colour: Floats) -> None:
    """Paints clutter: a litter bin, a switch box, an advertising column or a waste container."""
    canvas.begin(Label.STATIC, z)
    half, height = ((0.28, 1.0), (0.55, 1.25), (0.65, 3.2), (0.95, 1.5))[kind]
    paint_panel(canvas, rectangle(x - half, x + half, 0, height), z, colour)
    paint_panel(canvas, rectangle(x + 0.4 * half, x + half, 0, height), z, colour * 0.7, solid=False)
    paint_panel(canvas, rectangle(x - half, x + half, 0, 0.12 * height), z, colour * 0.5, solid=False)
    paint_panel(canvas, rectangle(x - half * 1.06, x + half * 1.06, height, height + 0.12), z, colour * 0.6)
    if kind == 2:
        paint_panel(canvas, rectangle(x - 0.8 * half, x + 0.3 * half, 0.8, 2.7), z, rgb("#c4b890"), solid=False)
        paint_panel(canvas, rectangle(x - 0.7 * half, x + 0.2 * half, 1.6, 2.5), z, rgb("#8a3a34"), solid=False)


def paint_railing(canvas: Canvas, label: Label, x: float, z0: float, z1: float) -> None:
    """Paints a run of fence or low wall along the street at x."""
    canvas.begin(label, z0)
    wall = label == Label.WALL
    colour, height = (rgb("#9a8f84"), 1.1) if wall else (rgb("#565b5e"), 1.0)
    normal = (-float(np.sign(x)), 0.0, 0.0)
    face = canvas.camera.project([(x, 0, z0), (x, height, z0), (x, height, z1), (x, 0, z1)])
    canvas.fill(face, canvas.light.shade(colour if wall else colour * 0.9, normal))
    for z in np.arange(z0, z1 - 0.2, 1.5 if wall else 0.5):
        low, wide = (0.0, 0.05) if wall else (0.12, 0.3)
        gap = [
            (x, low, z + 0.1),
            (x, height - 0.12, z + 0.1),
            (x, height - 0.12, z + 0.1 + wide),
            (x, low, z + 0.1 + wide),
        ]
        canvas.detail(canvas.camera.project(gap), canvas.light.shade(colour * (0.7 if wall else 1.55), normal))
    rim = [(x, height, z0), (x, height + 0.1, z0), (x, height + 0.1, z1), (x, height, z1)]
    canvas.fill(canvas.camera.project(rim), canvas.light.shade(colour * 1.15, normal))


def paint_bollard(canvas: Canvas, x: float, z: float) -> None:
    """Paints a bollard with a reflecting band."""
    canvas.begin(Label.POLE, z)
    paint_bar(canvas, (x, 0, z), (x, 1.0, z), 0.12, rgb("#5a5450"))
    paint_panel(canvas, rectangle(x - 0.06, x + 0.06, 0.75, 0.85), z, rgb("#d8d4cc"), solid=False)


def lay_furniture(rng: np.random.Generator, street: Street) -> list[Thing]:
    """Places lamps, signs, traffic lights, clutter, bollards, fences and low walls."""
    things: list[Thing] = []
    for edge, line in street.sides:
        outward = float(np.sign(line - edge))
        kerb = edge + outward * 0.5
        phase, spacing, has_bollards = rng.uniform(9, 20), rng.uniform(16, 28), rng.uniform() < 0.35
        for z in np.arange(phase, 130, spacing):
            box = (kerb - 0.1, kerb + 0.1, z, z + 0.2, 7.0)
            things.append(Thing(float(z), partial(paint_lamp, x=kerb, z=float(z), inward=-outward), box))
        for z in rng.uniform(9, 80, int(rng.poisson(2.5))):
            things.append(Thing(float(z), partial(paint_sign, x=kerb, z=float(z), kind=int(rng.integers(4)))))
        things += _lay_clutter(rng, edge, line)
        for z in np.arange(rng.uniform(8, 20), 60, 2.0):
            if has_bollards and not street.is_open(float(z)):
                things.append(Thing(float(z), partial(paint_bollard, x=kerb, z=float(z))))
        for z0, _ in street.crossings:
            green = bool(rng.uniform() < 0.5)
            things.append(Thing(z0 - 4.5, partial(paint_signal, x=kerb, z=z0 - 4.5, green=green)))
        things += _lay_railings(rng, street, edge, line)
    return things


def _lay_clutter(rng: np.random.Generator, edge: float, line: float) -> list[Thing]:
    """Scatters bins, switch boxes, columns and containers over the sidewalk between kerb and building line."""
    things = []
    for z in rng.uniform(9, 70, int(rng.poisson(7))):
        kind, x = int(rng.integers(4)), float(edge + (line - edge) * rng.uniform(0.3, 0.9))
        colour = pick(rng, ("#3f4a44", "#6a6e70", "#4a5560", "#7a756c", "#3a3c40"))
        box = (x - 0.5, x + 0.5, z, z + 0.8, 1.2)
        things.append(Thing(float(z), partial(paint_static, x=x, z=float(z), kind=kind, colour=colour), box))
    return things


def _lay_railings(rng: np.random.Generator, street: Street, edge: float, line: float) -> list[Thing]:
    """Places up to three runs of fence at the kerb and of low wall at the building line, clear of crossings."""
    things = []
    for label, place in ((Label.FENCE, 0.16), (Label.WALL, 0.9)):
        chosen, x = rng.uniform() < 0.5, float(edge + (line - edge) * place)
        for start in rng.uniform(10, 45) + np.arange(3) * 6.0:
            z0, z1 = float(start), float(start + 6)
            if chosen and not street.is_open(z0) and not street.is_open(z1):
                things.append(Thing(z1, partial(paint_railing, label=label, x=x, z0=z0, z1=z1)))
    return things
