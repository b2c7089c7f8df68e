"""Models of vehicles in metres, built from their side views."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from training.data.scenes.faces import Face
from training.data.scenes.labels import Part
from training.data.scenes.materials import CHROME, GLASS, RUBBER, TYRE, Floats, rgb
from training.data.scenes.vehicle_bodies import BODIES, Body


def _disc(centre: tuple[float, float, float], radius: float, count: int = 20) -> Floats:
    """Returns a circle [count, 3] in the plane of constant x."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    x, y, z = centre
    return np.stack([np.full(count, x), y + radius * np.sin(turn), z + radius * np.cos(turn)], 1).astype(np.float32)


def _quad(x0: float, x1: float, y0: float, y1: float, z: float) -> Floats:
    """Returns a rectangle [4, 3] in the plane of constant z."""
    return np.array([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)], np.float32)


def _end_face(body: Body, paint: Floats, front: bool) -> Face:
    """The bumper of the rear or the front of a vehicle with lights and number plate, slightly outside of the body."""
    z = body.length * (1.004 if front else -0.004)
    half, top = body.width / 2, body.belt
    low = 0.3 if top < 1.1 else 0.45
    lamp, lamp_part = (rgb("#e9ecef"), Part.HEADLAMP) if front else (rgb("#a5141a"), Part.TAIL_LAMP)
    if front:
        details = [Face(_quad(-half * 0.5, half * 0.5, low + 0.2, top - 0.32, z), rgb(RUBBER))]
    else:
        details = [Face(_quad(-half * 0.85, half * 0.85, low + 0.27, low + 0.29, z), paint * 0.45)]
    height, edge = (0.13, top - 0.2) if front else (0.22, top - 0.06)
    for side in (-1, 1):
        outer, inner = side * half * 0.9, side * half * (0.56 if front else 0.64)
        details.append(Face(_quad(outer, inner, edge - height, edge, z), lamp, part=lamp_part))
        details.append(Face(_quad(outer, (outer + inner) / 2, edge - height, edge - height * 0.6, z), lamp * 0.7 + 0.2))
    details.append(Face(_quad(-0.26, 0.26, low + 0.14, low + 0.25, z), rgb("#e4e4dc"), part=Part.PLATE))
    return Face(_quad(-half * 0.9, half * 0.9, low - 0.06, low + 0.1, z), rgb(RUBBER), 0.0, tuple(details), Part.BUMPER)


def _on_side(body: Body, side: int, points: Sequence[tuple[float, float]], out: float = 0.0) -> Floats:
    """Lifts points (fraction of the length, height) onto a side of the body, `out` metres outside, float32 [N, 3]."""
    return np.array([(side * (body.half_width(f, y) + out), y, f * body.length) for f, y in points], np.float32)


def _side_lines(body: Body, paint: Floats, side: int) -> list[Face]:
    """Sill, crease and, on cars, the gaps and handles of the doors."""
    at = partial(_on_side, body, side)
    base, top = body.outline[0][1], body.belt
    crease = [(0.01, top - 0.15), (0.95, top - 0.21), (0.95, top - 0.18), (0.01, top - 0.1)]
    lines = [
        Face(at([(0.02, base), (0.98, base), (0.985, base + 0.14), (0.015, base + 0.14)]), paint * 0.4),
        Face(at(crease), np.clip(paint * 1.25 + 0.05, 0, 1)),
    ]
    if top < 1.18:
        for f in (0.35, 0.645):
            lines.append(Face(at([(f, base + 0.1), (f + 0.006, base + 0.1), (f + 0.006, top), (f, top)]), paint * 0.5))
        for f in (0.29, 0.41):
            handle = [(f, top - 0.16), (f + 0.04, top - 0.16), (f + 0.04, top - 0.13), (f, top - 0.13)]
            lines.append(Face(at(handle), paint * 0.55))
    return lines


def _wheel(body: Body, centre: tuple[float, float, float]) -> Face:
    """A tyre with its rim."""
    rim = ((0.68, 0.75), (0.5, 0.5), (0.2, 1))
    rings = tuple(Face(_disc(centre, body.wheel_radius * r), rgb(CHROME) * v) for r, v in rim)
    return Face(_disc(centre, body.wheel_radius), rgb(TYRE), 0.0, rings, Part.WHEEL)


def _side_faces(body: Body, paint: Floats, side: int) -> tuple[list[Face], list[Face]]:
    """One side of the body below and above the belt with panes and door lines, and its two wheels."""
    at = partial(_on_side, body, side)
    low = [(f, min(y, body.belt + 0.03)) for f, y in body.outline]
    high = [p for p in body.outline if p[1] >= body.belt - 0.06]
    panes = tuple(Face(at(p, 0.005), rgb(GLASS), 0.35, part=Part.GLASS) for p in body.panes)
    centres = [(side * (body.width / 2 + 0.01), body.wheel_radius, f * body.length) for f in body.wheels]
    arches = [Face(_disc(centre, body.wheel_radius * 1.17), rgb(TYRE), part=Part.WHEEL) for centre in centres]
    details = tuple(_side_lines(body, paint, side) + arches)
    return [Face(at(low), paint, 0.3, details), Face(at(high), paint, 0.3, panes)], [_wheel(body, c) for c in centres]


def _glazing(strip: Floats) -> Face:
    """Sets a pane with a slanting reflection of the sky into a strip [4, 3] of the body."""
    middle = strip.mean(0)
    pane = (strip - middle) * np.array([0.9, 0.86, 0.86], np.float32) + middle
    bottom, top = pane[1] - pane[0], pane[2] - pane[3]
    low, high = (0.12, 0.28) if pane[0, 1] < pane[3, 1] else (0.28, 0.12)
    slants = [(low + a, low + b, high + b, high + a) for a, b in ((0.0, 0.3), (0.4, 0.48))]
    bands = tuple(
        Face(
            np.stack([pane[0] + a * bottom, pane[0] + b * bottom, pane[3] + c * top, pane[3] + d * top]),
            rgb(GLASS) * 1.9,
            0.7,
        )
        for a, b, c, d in slants
    )
    return Face(pane, rgb(GLASS), 0.45, bands, Part.GLASS)


def vehicle_faces(kind: str, paint: Floats) -> tuple[list[Face], list[Face], list[Face]]:
    """Builds a vehicle that stands on the ground, rear at z = 0 and front at z = length, centred on x = 0.

    Args:
        kind: A key of `BODIES`.
        paint: The colour of the body.

    Returns:
        The tyres seen from behind or in front, the faces of the convex body and the wheels seen from the side, in
        the order to paint them.
    """
    body = BODIES[kind]
    faces, wheels = _hull(body, paint), []
    for side in (-1, 1):
        flank, pair = _side_faces(body, paint, side)
        faces += flank
        wheels += pair
    faces += [_end_face(body, paint, front) for front in (False, True)]
    return _tyres(body), faces, wheels


def _hull(body: Body, paint: Floats) -> list[Face]:
    """The strips across the body from the rear bumper over the roof to the front, with their glass."""
    faces = []
    for i, ((f0, y0), (f1, y1)) in enumerate(pairwise(body.outline)):
        w0, w1, z0, z1 = body.half_width(f0, y0), body.half_width(f1, y1), f0 * body.length, f1 * body.length
        strip = np.array([(-w0, y0, z0), (w0, y0, z0), (w1, y1, z1), (-w1, y1, z1)], np.float32)
        faces.append(Face(strip, paint, 0.3, (_glazing(strip),) if i in body.glazed else ()))
    return faces


def _tyres(body: Body) -> list[Face]:
    """The treads of the four wheels, seen from behind and in front."""
    tyres = []
    for f in body.wheels:
        for end in (-1, 1):
            outer, inner = end * body.width * 0.485, end * (body.width / 2 - 0.2)
            for z in (-body.wheel_radius * 0.7, body.wheel_radius * 0.7):
                tyres.append(Face(_quad(outer, inner, 0, 0.5, f * body.length + z), rgb(TYRE), part=Part.WHEEL))
    return tyres
