"""Models made of flat coloured polygons, and how they are turned, lit and painted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.scenes.camera_and_light import TOWARDS_CAMERA, Light
from training.data.scenes.canvas import Canvas
from training.data.scenes.labels import Part
from training.data.scenes.materials import Floats, mix


@dataclass(frozen=True)
class Face:
    """A flat polygon [N, 3] in metres with its colour, and details painted on top of it when it is seen.

    A detail that is no part of its own belongs to what it is painted on.
    """

    points: Floats
    colour: Floats
    gloss: float = 0.0
    details: tuple["Face", ...] = ()
    part: Part | None = None


def stretched(face: Face, scale: Floats) -> Face:
    """Scales the points of a face and of its details by (x, y, z), float32 [3]."""
    return Face(
        face.points * scale, face.colour, face.gloss, tuple(stretched(one, scale) for one in face.details), face.part
    )


def paint_faces(canvas: Canvas, faces: Sequence[Face], place: tuple[float, float], heading: float, solid: bool) -> None:
    """Paints polygons of a model at (x, z), turned by `heading` radians, as part of the current object.

    Args:
        canvas: Where to paint.
        faces: The faces of the model in its own metres.
        place: The position x, z of the origin of the model.
        heading: 0 looks away from the camera, pi towards it.
        solid: A closed body, whose faces turned away are left out and the others sorted; else all in order.
    """
    cos, sin = np.cos(heading), np.sin(heading)
    turn = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]], np.float32)
    origin = np.array([place[0], 0, place[1]], np.float32)
    eye = np.array([0, canvas.camera.eye, 0], np.float32)
    centre = np.mean([face.points.mean(0) for face in faces], 0) @ turn + origin
    visible = []
    for face in faces:
        points = face.points @ turn + origin
        normal = np.cross(points[1] - points[0], points[2] - points[0])
        normal /= max(float(np.linalg.norm(normal)), 1e-6)
        middle = points.mean(0)
        normal *= np.sign(normal @ (middle - centre) + 1e-9)
        if solid and normal @ (middle - eye) >= 0:
            continue
        visible.append(
            (float(np.linalg.norm(middle - eye)), face, points, normal if solid else np.array(TOWARDS_CAMERA))
        )
    if solid:
        visible.sort(key=lambda item: -item[0])
    for _, face, points, normal in visible:
        canvas.fill(canvas.camera.project(points), _lit(canvas.light, face, normal), face.part)
        for detail in face.details:
            _paint_details(canvas, detail, turn, origin, normal)


def _paint_details(canvas: Canvas, face: Face, turn: Floats, origin: Floats, normal: NDArray[np.floating]) -> None:
    """Paints a detail and the details on top of it inside the face that carries it."""
    canvas.detail(canvas.camera.project(face.points @ turn + origin), _lit(canvas.light, face, normal), face.part)
    for detail in face.details:
        _paint_details(canvas, detail, turn, origin, normal)


def _lit(light: Light, face: Face, normal: NDArray[np.floating]) -> Floats:
    """Lights a face; gloss mixes in the sky in the measure that the face looks up."""
    colour = light.shade(face.colour, normal)
    return mix(colour, light.haze, face.gloss * (0.12 + 0.88 * max(0.0, float(normal[1])) ** 1.5) * 0.8)
