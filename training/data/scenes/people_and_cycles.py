"""Pedestrians, parked cycles and riders."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from training.data.scenes.canvas import Canvas
from training.data.scenes.faces import Face, paint_faces, stretched
from training.data.scenes.labels import Label, Part
from training.data.scenes.materials import CAR_PAINTS, CHROME, RUBBER, TYRE, Floats, pick, rgb
from training.data.scenes.street import Street, Thing

Figure = tuple[Label, list[Face]]
CLOTHES = ("#22252c", "#3a4a66", "#7a2a2e", "#6c6f72", "#b8ae9c", "#2e4a3a", "#8c6a3c", "#d0d0d0", "#1f2f55", "#a8422a")
SKINS = ("#e0b598", "#c99474", "#8d5a3c", "#f0c8ab")
HAIRS = ("#2a1d14", "#5a3a20", "#8a6a3c", "#1a1a1c", "#9a9a98")


def _flat(points: Sequence[tuple[float, float]]) -> Floats:
    """Lifts points (x, y) into the plane z = 0, float32 [N, 3]."""
    return np.array([(x, y, 0) for x, y in points], np.float32)


def _limb(x0: float, y0: float, x1: float, y1: float, width: float) -> Floats:
    """Returns a tapering bar between two points in the plane z = 0, float32 [4, 3]."""
    length = max(float(np.hypot(x1 - x0, y1 - y0)), 1e-6)
    nx, ny = -(y1 - y0) / length * width / 2, (x1 - x0) / length * width / 2
    return _flat(
        [(x0 + nx, y0 + ny), (x0 - nx, y0 - ny), (x1 - nx * 0.7, y1 - ny * 0.7), (x1 + nx * 0.7, y1 + ny * 0.7)]
    )


def _oval(x: float, y: float, rx: float, ry: float, part: tuple[float, float] = (0, 2 * np.pi)) -> Floats:
    """Returns an ellipse, or the part of it between two angles, in the plane z = 0, float32 [16, 3]."""
    turn = np.linspace(part[0], part[1], 16)
    return _flat([(x + rx * c, y + ry * s) for c, s in zip(np.cos(turn), np.sin(turn), strict=True)])


def _head(x: float, y: float, radii: tuple[float, float], skin: Floats, hair: Face) -> Face:
    """A head around (x, y) with its hair."""
    return Face(_oval(x, y, *radii), skin, 0.0, (hair,), Part.HEAD)


def person_faces(rng: np.random.Generator) -> list[Face]:
    """Builds a walking person of about 1.75 m in the plane z = 0, feet at the origin."""
    coat, trousers, skin, hair = (pick(rng, codes) for codes in (CLOTHES, CLOTHES[:5], SKINS, HAIRS))
    stride, swing = rng.uniform(0.06, 0.3), rng.uniform(0.03, 0.16)
    torso = _flat([(-0.17, 0.82), (-0.21, 1.4), (-0.13, 1.5), (0.13, 1.5), (0.21, 1.4), (0.17, 0.82)])
    shaded = Face(_flat([(0.04, 0.82), (0.06, 1.5), (0.13, 1.5), (0.21, 1.4), (0.17, 0.82)]), coat * 0.72)
    return [
        Face(_limb(-0.22, 1.38, -0.26 - swing, 0.82, 0.12), coat * 0.8),
        Face(_limb(0.07, 0.88, stride, 0.05, 0.2), trousers * 0.72, part=Part.LEGS),
        Face(_limb(stride - 0.06, 0.04, stride + 0.14, 0.03, 0.09), rgb(TYRE), part=Part.LEGS),
        Face(_limb(-0.07, 0.88, -stride, 0.05, 0.2), trousers, part=Part.LEGS),
        Face(_limb(-stride - 0.06, 0.04, -stride + 0.14, 0.03, 0.09), rgb(TYRE), part=Part.LEGS),
        Face(torso, coat, 0.0, (shaded,)),
        Face(_limb(0.21, 1.4, 0.24 + swing, 0.82, 0.12), coat * 0.62),
        Face(_oval(0.25 + swing, 0.79, 0.045, 0.055), skin * 0.85),
        Face(_limb(0, 1.46, 0, 1.58, 0.11), skin * 0.75, part=Part.HEAD),
        _head(0, 1.64, (0.095, 0.125), skin, Face(_oval(0, 1.66, 0.1, 0.12, (0.1, np.pi - 0.1)), hair)),
    ]


def cycle_faces(rng: np.random.Generator, motor: bool) -> list[Face]:
    """Builds a bicycle or a motorcycle seen from the side in the plane z = 0, standing at the origin."""
    paint = pick(rng, CAR_PAINTS)
    radius, reach = (0.31, 0.62) if motor else (0.34, 0.52)
    wheels = [_cycle_wheel(x, radius) for x in (-reach, reach)]
    return wheels + (_motorcycle_frame(paint) if motor else _bicycle_frame(paint, radius, reach))


def _cycle_wheel(x: float, radius: float) -> Face:
    """A tyre with six spokes, standing at x."""
    spokes = tuple(
        Face(_limb(x, radius, x + 0.8 * radius * c, radius + 0.8 * radius * s, 0.012), rgb(CHROME) * 0.8)
        for c, s in ((1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (-0.7, -0.7))
    )
    inside = Face(_oval(x, radius, radius * 0.84, radius * 0.84), rgb("#4a4b4c"), 0.0, spokes)
    return Face(_oval(x, radius, radius, radius), rgb(TYRE), 0.0, (inside,), Part.WHEEL)


def _motorcycle_frame(paint: Floats) -> list[Face]:
    """Body, saddle, fork and lamp of a motorcycle."""
    body = [(-0.5, 0.45), (-0.3, 0.3), (0.3, 0.3), (0.42, 0.62), (0.2, 0.85), (-0.1, 0.72)]
    return [
        Face(_flat(body), paint),
        Face(_flat([(-0.75, 0.68), (-0.7, 0.84), (-0.05, 0.8), (0.0, 0.7)]), rgb(RUBBER)),
        Face(_limb(0.62, 0.31, 0.4, 1.0, 0.09), rgb(CHROME) * 0.6),
        Face(_oval(0.5, 0.88, 0.09, 0.1), rgb("#d8dadc")),
    ]


def _bicycle_frame(paint: Floats, radius: float, reach: float) -> list[Face]:
    """Tubes, saddle and handlebar of a bicycle whose wheels of `radius` stand at ± `reach`."""
    rear, front, crank, seat, head = (-reach, radius), (reach, radius), (-0.06, 0.3), (-0.18, 0.88), (0.36, 0.84)
    tubes = ((rear, crank), (rear, seat), (crank, seat), (crank, head), (seat, head), (head, front))
    return [
        *(Face(_limb(*first, *last, 0.055), paint) for first, last in tubes),
        Face(_limb(-0.3, 0.92, -0.05, 0.93, 0.07), rgb(TYRE)),
        Face(_limb(0.34, 1.0, 0.46, 1.02, 0.05), rgb(TYRE)),
    ]


def rider_faces(rng: np.random.Generator) -> list[Face]:
    """Builds the person on the bicycle of `cycle_faces`, leaning forward to the handlebar."""
    coat, trousers, skin, hair = (pick(rng, codes) for codes in (CLOTHES, CLOTHES[:5], SKINS, HAIRS))
    return [
        Face(_limb(-0.14, 0.94, 0.16, 0.62, 0.17), trousers * 0.75, part=Part.LEGS),
        Face(_limb(0.16, 0.62, 0.02, 0.2, 0.13), trousers * 0.75, part=Part.LEGS),
        Face(_limb(-0.14, 0.96, 0.1, 0.58, 0.18), trousers, part=Part.LEGS),
        Face(_limb(0.1, 0.6, -0.1, 0.14, 0.13), trousers, part=Part.LEGS),
        Face(_flat([(-0.3, 0.9), (-0.02, 0.9), (0.26, 1.38), (0.14, 1.52), (-0.08, 1.42)]), coat),
        Face(_limb(0.16, 1.4, 0.42, 1.04, 0.11), coat * 0.75),
        _head(0.26, 1.63, (0.1, 0.125), skin, Face(_oval(0.25, 1.65, 0.105, 0.12, (0.1, np.pi - 0.1)), hair)),
    ]


def paint_figure(canvas: Canvas, figures: Sequence[Figure], x: float, z: float, stretch: float) -> None:
    """Paints flat figures at (x, z), one object for each label; `stretch` narrows or mirrors them."""
    scale = np.array([stretch, 1, 1], np.float32)
    for label, faces in figures:
        canvas.begin(label, z)
        turned = [stretched(face, scale) for face in faces]
        paint_faces(canvas, turned, (x, z), 0.0, solid=False)


def lay_people(rng: np.random.Generator, street: Street) -> list[Thing]:
    """Places pedestrians and parked cycles on the sidewalks, people on zebra crossings, and riders on the road."""
    things: list[Thing] = []
    for edge, line in street.sides:
        for _ in range(int(rng.poisson(3 + 8 * street.traffic))):
            x, z = edge + rng.uniform(0.25, 0.9) * (line - edge), rng.uniform(12, 80)
            figures: list[Figure] = [(Label.PERSON, person_faces(rng))]
            things.append(_figure(figures, x, z, rng.choice((-1, 1)) * rng.uniform(0.8, 1.1)))
        for _ in range(int(rng.poisson(2.2))):
            x, z = edge + rng.uniform(0.15, 0.3) * (line - edge), rng.uniform(10, 50)
            motor = bool(rng.uniform() < 0.3)
            figures = [(Label.MOTORCYCLE if motor else Label.BICYCLE, cycle_faces(rng, motor))]
            things.append(_figure(figures, x, z, rng.choice((-1, 1)) * rng.uniform(0.5, 1)))
    for z0, _ in street.crossings[:1]:
        for _ in range(int(rng.poisson(1.5))):
            figures = [(Label.PERSON, person_faces(rng))]
            things.append(_figure(figures, rng.uniform(street.left, street.right), z0 - 2.0, 1.0))
    for _ in range(int(rng.poisson(1.1))):
        figures = [(Label.BICYCLE, cycle_faces(rng, False)), (Label.RIDER, rider_faces(rng))]
        x = rng.choice((street.left + 2.8 * street.parking[0] + 0.6, street.right - 2.8 * street.parking[1] - 0.6))
        things.append(_figure(figures, x, rng.uniform(9, 40), rng.uniform(0.3, 0.6)))
    return things


def _figure(figures: Sequence[Figure], x: float, z: float, stretch: float) -> Thing:
    """A flat figure at (x, z) with the shadow of a person."""
    x, z, stretch = float(x), float(z), float(stretch)
    return Thing(
        z, partial(paint_figure, figures=figures, x=x, z=z, stretch=stretch), (x - 0.3, x + 0.3, z, z + 0.3, 1.7)
    )
