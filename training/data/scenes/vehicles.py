"""Parked cars, traffic, and the bonnet of the camera's own car."""

from functools import partial
from itertools import pairwise

import numpy as np

from training.data.scenes.camera_and_light import UP
from training.data.scenes.canvas import Canvas
from training.data.scenes.faces import paint_faces
from training.data.scenes.labels import Label
from training.data.scenes.materials import CAR_PAINTS, RUBBER, Floats, mix, pick, rgb
from training.data.scenes.street import Street, Thing
from training.data.scenes.vehicle_bodies import BODIES
from training.data.scenes.vehicle_faces import vehicle_faces


def paint_vehicle(canvas: Canvas, label: Label, kind: str, paint: Floats, place: tuple[float, float, float]) -> None:
    """Paints a vehicle; `place` is x, z of its rear axle's end and the heading in radians."""
    x, z, heading = place
    canvas.begin(label, z)
    tyres, faces, wheels = vehicle_faces(kind, paint)
    if abs(np.cos(heading)) > 0.5:
        paint_faces(canvas, tyres, (x, z), heading, solid=False)
    paint_faces(canvas, faces, (x, z), heading, solid=True)
    paint_faces(canvas, wheels, (x, z), heading, solid=True)


def random_vehicle(rng: np.random.Generator, x: float, z: float, heading: float, kind: str | None = None) -> Thing:
    """Draws a vehicle whose nearest end along the street is at z."""
    kind = kind or str(rng.choice(("hatchback", "hatchback", "saloon", "saloon", "estate", "estate", "van")))
    body, paint = BODIES[kind], pick(rng, CAR_PAINTS, 0.03)
    label = {"bus": Label.BUS, "truck": Label.TRUCK}.get(kind, Label.CAR)
    half, along, across = body.width / 2, body.length * np.cos(heading), body.length * np.sin(heading)
    height = max(y for _, y in body.outline)
    if abs(np.cos(heading)) > 0.5:
        rear = z if along > 0 else z - along
        box = (x - half, x + half, z, z + abs(along), height)
    else:
        rear = z + half
        box = (min(x, x + across), max(x, x + across), z, z + body.width, height)
    return Thing(z, partial(paint_vehicle, label=label, kind=kind, paint=paint, place=(x, rear, heading)), box)


def lay_vehicles(rng: np.random.Generator, street: Street) -> list[Thing]:
    """Places parked rows, traffic in both directions and cars that cross."""
    return [*_lay_parked_cars(rng, street), *_lay_traffic(rng, street), *_lay_crossing_cars(rng, street)]


def _lay_parked_cars(rng: np.random.Generator, street: Street) -> list[Thing]:
    """Fills the parking lanes; on the left most cars face the camera."""
    things = []
    for side, edge in enumerate((street.left, street.right)):
        z = float(rng.uniform(4.5, 12))
        density = rng.uniform(0.35, 0.95)
        while street.parking[side] and z < 110:
            if rng.uniform() < density and not street.is_open(z + 2.5, 6):
                x = edge + (1.15 if side == 0 else -1.15) + rng.uniform(-0.1, 0.1)
                heading = 0.0 if side or rng.uniform() < 0.3 else np.pi
                things.append(random_vehicle(rng, float(x), z, heading + rng.uniform(-0.03, 0.03)))
            z += float(rng.uniform(5.6, 6.6))
    return things


def _lay_traffic(rng: np.random.Generator, street: Street) -> list[Thing]:
    """Places cars, and now and then a bus or a truck, in every lane."""
    things = []
    inner_left = street.left + 2.3 * street.parking[0]
    inner_right = street.right - 2.3 * street.parking[1]
    edges = (inner_left, *street.lanes, inner_right)
    middle = street.lanes[int(np.argmin(np.abs(np.array(street.lanes))))]
    for x0, x1 in pairwise(edges):
        x = (x0 + x1) / 2
        z = float(rng.uniform(9, 40) if abs(x) < 1 else rng.uniform(7, 30))
        while z < 130:
            if rng.uniform() < street.traffic:
                kind = str(rng.choice(("bus", "truck", ""), p=(0.07, 0.07, 0.86))) if z > 14 else ""
                heading = 0.0 if x > min(middle, -0.5) else np.pi
                things.append(random_vehicle(rng, float(x + rng.uniform(-0.2, 0.2)), z, heading, kind or None))
            z += float(rng.uniform(14, 34))
    return things


def _lay_crossing_cars(rng: np.random.Generator, street: Street) -> list[Thing]:
    """Places cars that wait in the side streets."""
    things = []
    for z0, z1 in street.crossings:
        for outer in (street.building_left - 6, street.building_right + 3):
            if rng.uniform() < 0.45:
                z = float((z0 + z1) / 2 + rng.uniform(-2, 1))
                things.append(random_vehicle(rng, float(outer), z, np.pi / 2))
    return things


def paint_bonnet(canvas: Canvas, paint: Floats, shift: float) -> None:
    """Paints the bonnet of the camera's own car, with its ornament, at the bottom of the picture."""
    height, width = canvas.camera.height, canvas.camera.width
    canvas.begin(Label.EGO_VEHICLE, 0.0)
    across = np.linspace(0, 1, 40)
    top = 0.902 + shift + 0.3 * (across - 0.55) ** 2
    corners = np.stack([across * width, top * height], 1)
    canvas.fill([*corners, (width, height + 9), (0, height + 9)], mix(paint, canvas.light.haze, 0.16))
    for i, share in enumerate(np.linspace(0.1, 0.9, 7)):
        inner = corners + np.array([0, 0.115 * height * share])
        canvas.detail([*inner, (width, height + 9), (0, height + 9)], mix(paint, canvas.light.haze, 0.13 - 0.015 * i))
    centre = np.array([0.59 * width, (0.863 + shift) * height])
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)], 1) * height
    canvas.fill(centre + ring * 0.046, mix(rgb(RUBBER), canvas.light.haze, 0.35))
    road = canvas.light.shade(np.full(3, 0.28, np.float32), UP)
    canvas.detail(centre + ring * 0.038, road)
