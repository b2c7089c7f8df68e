"""Draws a planned face: background and body, head, features, hair, glasses."""

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.faces.canvas import Canvas, Floats
from training.data.faces.plan import Face

_SUPERSAMPLING = 2
_EYE_Y, _MOUTH_Y = -0.06, 0.30
_WHITE = (0.94, 0.93, 0.91)


def render_face(face: Face, side: int) -> NDArray[np.uint8]:
    """The face as RGB uint8 [side, side, 3], the same picture at every size."""
    canvas = Canvas(_SUPERSAMPLING * side)
    _background(canvas, face)
    _hair_behind(canvas, face)
    _body(canvas, face)
    _head(canvas, face)
    for way in (-1, 1):
        _eye(canvas, face, way)
    _nose(canvas, face)
    _beard(canvas, face)
    _mouth(canvas, face)
    _hair_in_front(canvas, face)
    if face.glasses:
        _glasses(canvas, face)
    pixels = (255 * np.clip(canvas.image, 0, 1) + 0.5).astype(np.uint8)
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _background(canvas: Canvas, face: Face) -> None:
    down = ((canvas.y + 1) / 2)[..., None]
    canvas.image = ((1 - down) * np.asarray(face.top) + down * np.asarray(face.bottom)).astype(np.float32)


def _lit(canvas: Canvas, face: Face, x: float, y: float, rx: float, ry: float) -> Floats:
    """Brightness of an egg about (x, y) under the face's light, 0.45 to 1.1."""
    nx, ny = (canvas.x - x) / rx, (canvas.y - y) / ry
    nz = np.sqrt(np.maximum(1 - nx**2 - ny**2, 0.02))
    facing = nx * face.light[0] + ny * face.light[1] + nz * face.light[2]
    lit: Floats = (0.45 + 0.65 * np.clip(facing, 0, 1)).astype(np.float32)
    return lit


def _body(canvas: Canvas, face: Face) -> None:
    neck_y = face.height - 0.02
    canvas.paint(canvas.ellipse(0, 1.12, 0.78, 0.36, 2.6), face.shirt)
    shade = _lit(canvas, face, 0, 0.75, 0.35, 0.7)[..., None] * 0.85
    canvas.paint(canvas.ellipse(0, neck_y, 0.21, 0.3, 3.0), shade * np.asarray(face.skin))


def _head(canvas: Canvas, face: Face) -> None:
    colour = _lit(canvas, face, 0, 0.02, 1.25 * face.width, 1.2 * face.height)[..., None] * np.asarray(face.skin)
    for way in (-1, 1):
        canvas.paint(canvas.ellipse(way * face.width * 0.98 + face.yaw / 3, 0.0, 0.065, 0.12), 0.85 * colour)
    canvas.paint(_head_shape(canvas, face), colour)
    blush = np.asarray(face.skin) * (1.05, 0.85, 0.82)
    for way in (-1, 1):
        canvas.paint(canvas.ellipse(way * 0.25 + face.yaw, 0.16, 0.11, 0.08, softness=14), blush, 0.35)


def _head_shape(canvas: Canvas, face: Face) -> Floats:
    return canvas.ellipse(0, 0.02, face.width, face.height, 2.2)


def _eye(canvas: Canvas, face: Face, way: int) -> None:
    x, size = way * face.eye_gap + face.yaw, face.eye_size
    white = canvas.ellipse(x, _EYE_Y, size, 0.55 * size)
    canvas.paint(white, _WHITE)
    look = x + 0.3 * face.yaw
    canvas.paint(np.minimum(white, canvas.ellipse(look, _EYE_Y, 0.5 * size, 0.5 * size)), face.iris)
    canvas.paint(np.minimum(white, canvas.ellipse(look, _EYE_Y, 0.24 * size, 0.24 * size)), (0.02, 0.02, 0.02))
    canvas.paint(canvas.ellipse(look + 0.18 * size, _EYE_Y - 0.18 * size, 0.11 * size, 0.11 * size), (1, 1, 1))
    across = (canvas.x - x) / size
    lid = _EYE_Y - 0.55 * size * np.sqrt(np.maximum(1 - across**2, 0))
    canvas.paint(canvas.band(lid, 0.014, x - 1.05 * size, x + 1.05 * size), (0.08, 0.05, 0.04))
    brow = _EYE_Y - 1.35 * size - 0.045 * way * across * face.brow_tilt + 0.035 * across**2
    dark = 0.8 * np.asarray(face.hair)
    canvas.paint(canvas.band(brow, face.brow, x - 1.35 * size, x + 1.35 * size), dark)


def _nose(canvas: Canvas, face: Face) -> None:
    tip_x, tip_y = 1.35 * face.yaw, _EYE_Y + face.nose
    shadow = 0.62 * np.asarray(face.skin)
    side = 1.0 if face.light[0] < 0 else -1.0
    ridge = canvas.ellipse(tip_x + 0.045 * side, tip_y - 0.09, 0.035, 0.13, softness=8)
    canvas.paint(ridge, shadow, 0.5)
    wings = tip_y + 0.03 - 0.05 * ((canvas.x - tip_x) / 0.09) ** 2
    canvas.paint(canvas.band(wings, 0.014, tip_x - 0.085, tip_x + 0.085), shadow)
    canvas.paint(canvas.ellipse(tip_x - 0.02 * side, tip_y - 0.03, 0.03, 0.035, softness=6), (1, 1, 1), 0.25)


def _beard(canvas: Canvas, face: Face) -> None:
    if face.beard == "none":
        return
    x, colour = 1.1 * face.yaw, _strands(canvas, face.hair, 34.0)
    lip = _MOUTH_Y - 0.075 + 0.16 * (canvas.x - x) ** 2 / 0.05 * 0.12
    if face.beard in ("moustache", "full", "goatee"):
        canvas.paint(canvas.band(lip, 0.042, x - 0.2, x + 0.2, 3), colour)
    if face.beard == "goatee":
        canvas.paint(canvas.ellipse(x, _MOUTH_Y + 0.2, 0.13, 0.13, 2.4, softness=4), colour)
    if face.beard == "full":
        cheek = canvas.inside(0.12 + 0.9 * (0.28 - np.abs(canvas.x - x)).clip(-0.3, 0.06) - canvas.y, 6)
        jaw = canvas.ellipse(0, 0.06, 0.98 * face.width, face.height + 0.01, 2.2, softness=4)
        canvas.paint(np.minimum(cheek, jaw), colour)


def _mouth(canvas: Canvas, face: Face) -> None:
    x, half = 1.1 * face.yaw, 0.155
    across = (canvas.x - x) / half
    line = _MOUTH_Y + 0.05 * face.smile * (0.5 - across**2)
    lips = np.asarray(face.skin) * (0.82, 0.5, 0.5)
    canvas.paint(canvas.band(line, 0.035 + face.mouth_open, x - half, x + half), lips)
    if face.mouth_open > 0.02:
        canvas.paint(canvas.band(line, face.mouth_open, x - 0.85 * half, x + 0.85 * half), (0.2, 0.05, 0.05))
        canvas.paint(canvas.band(line - 0.5 * face.mouth_open, 0.4 * face.mouth_open, x - 0.1, x + 0.1), _WHITE)
    else:
        canvas.paint(canvas.band(line, 0.009, x - half, x + half), 0.4 * lips)


def _hair_behind(canvas: Canvas, face: Face) -> None:
    colour = 0.8 * _strands(canvas, face.hair, 22.0)
    if face.hair_style == "long":
        canvas.paint(canvas.ellipse(0, 0.22, face.width + 0.17, 0.92, 2.6), colour)
    if face.hair_style == "curly":
        for angle in np.linspace(-0.15, np.pi + 0.15, 13):
            x, y = (face.width + 0.1) * np.cos(angle), -0.1 - (face.height + 0.02) * np.sin(angle)
            canvas.paint(canvas.ellipse(float(x), float(y), 0.15, 0.15), colour)
    if face.hair_style == "bun":
        canvas.paint(canvas.ellipse(0, -face.height - 0.1, 0.2, 0.17), colour)


def _hair_in_front(canvas: Canvas, face: Face) -> None:
    if face.hair_style == "bald":
        return
    cap = canvas.ellipse(0, -0.03, face.width + 0.045, face.height + 0.06, 2.2)
    # The hairline: an arch over the forehead, lower with a fringe, down to the ears at the sides.
    arch = -0.47 + 0.16 * face.fringe + (1.0 - 0.4 * face.fringe) * (np.abs(canvas.x - 0.4 * face.yaw) / 0.5) ** 3.2
    reach = {"short": -0.05, "bun": -0.1, "curly": 0.05, "long": 0.35}[face.hair_style]
    above = canvas.inside(canvas.y - np.minimum(arch, reach), 3)
    shade = _lit(canvas, face, 0, 0.0, 0.75, 0.85)[..., None]
    canvas.paint(np.minimum(cap, above), shade * _strands(canvas, face.hair, 16.0))


def _strands(canvas: Canvas, colour: tuple[float, float, float], count: float) -> Floats:
    """Colours [side, side, 3] with the streaks of hair that is combed from the parting down."""
    angle = np.arctan2(canvas.x, canvas.y + 1.6)
    streaks = 0.5 * np.sin(6.3 * count * angle) + 0.5 * np.sin(2.7 * count * angle + 1.3)
    shiny: Floats = ((1 + 0.14 * streaks)[..., None] * np.asarray(colour)).astype(np.float32)
    return shiny


def _glasses(canvas: Canvas, face: Face) -> None:
    power = 2.0 if face.glasses == 1 else 5.0
    rx, ry, rim = 0.155, 0.125 if face.glasses == 2 else 0.145, 0.022
    frame: Floats = canvas.inside(np.abs(canvas.y - _EYE_Y + 0.02) - 0.013) * canvas.inside(
        np.abs(np.abs(canvas.x - face.yaw) - 0.5 * (rx + face.width)) - 0.5 * (face.width - rx)
    )
    frame = frame * (np.abs(canvas.x - face.yaw) > face.eye_gap + rx)
    bridge = canvas.inside(np.abs(canvas.y - _EYE_Y + 0.02) - 0.013) * canvas.inside(
        np.abs(canvas.x - face.yaw) - (face.eye_gap - rx + rim)
    )
    frame = np.maximum(frame, bridge)
    for way in (-1, 1):
        x = way * (face.eye_gap + 0.015) + face.yaw
        outer = canvas.ellipse(x, _EYE_Y, rx, ry, power)
        inner = canvas.ellipse(x, _EYE_Y, rx - rim, ry - rim, power)
        canvas.paint(inner, (0.85, 0.9, 0.95), 0.14)
        frame = np.maximum(frame, outer - inner)
    canvas.paint(frame, (0.07, 0.06, 0.07))
