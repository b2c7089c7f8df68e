"""What a wall holds: windows, doors, pictures. Each takes the wall's colours [H, W, 3] and adds the thing."""

import cv2
import numpy as np

from training.data.scenes.materials import pick
from training.data.textures.camera import seen
from training.data.textures.noise import Floats, blend, smooth_noise
from training.data.textures.surface import Light

_FRAMES = ("#ece8de", "#5a4636", "#3c3f42", "#8a6a48", "#4f6a5c", "#7a2f2c")


def window(rng: np.random.Generator, wall: Floats, light: Light) -> Floats:
    """A window with a frame, bars, a sill and panes that mirror the sky."""
    height, width = wall.shape[:2]
    high, wide = int(height * rng.uniform(0.45, 0.68)), int(width * rng.uniform(0.35, 0.6))
    top, left = int((height - high) * rng.uniform(0.3, 0.6)), int((width - wide) * rng.uniform(0.4, 0.6))
    frame = max(2, int(0.05 * min(high, wide)))
    out = _recessed(wall, top, left, high, wide, frame)
    colour = pick(rng, _FRAMES)
    out[top : top + high, left : left + wide] = colour
    rows, columns = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    glass = _glass(rng, high, wide)
    bar = max(1, frame // 2)
    edges_y = np.linspace(frame, high - frame + bar, rows + 1).astype(int)
    edges_x = np.linspace(frame, wide - frame + bar, columns + 1).astype(int)
    for y0, y1 in zip(edges_y[:-1], edges_y[1:] - bar, strict=True):
        for x0, x1 in zip(edges_x[:-1], edges_x[1:] - bar, strict=True):
            pane = glass[y0:y1, x0:x1].copy()
            pane[: max(1, bar // 2)] *= 0.5
            pane[:, : max(1, bar // 2)] *= 0.6
            out[top + y0 : top + y1, left + x0 : left + x1] = pane
    sill = np.s_[top + high : top + high + 2 * frame, max(0, left - frame) : left + wide + frame]
    out[sill] = 0.95 * pick(rng, ("#cfc8bd", "#a39b8e", "#ece8de"))
    under = np.s_[top + high + 2 * frame : top + high + 4 * frame, max(0, left - frame) : left + wide + frame]
    out[under] *= 0.7
    return out


def door(rng: np.random.Generator, wall: Floats, light: Light) -> Floats:
    """A door of boards, or with sunken panels, that reaches the wall's foot."""
    height, width = wall.shape[:2]
    high, wide = int(height * rng.uniform(0.7, 0.88)), int(width * rng.uniform(0.22, 0.38))
    top, left = height - high, int((width - wide) * rng.uniform(0.15, 0.85))
    frame = max(2, int(0.06 * wide))
    out = _recessed(wall, top, left, high, wide, frame)
    out[top:, left : left + wide] = pick(rng, _FRAMES)
    leaf = np.s_[top + frame :, left + frame : left + wide - frame]
    shape = out[leaf].shape[:2]
    if rng.random() < 0.5:
        out[leaf] = seen(rng, "planks", shape, 0.1 * wide, light, slant=0.0)
    else:
        out[leaf] = _panels(rng, shape[0], shape[1], pick(rng, _FRAMES))
    knob = (left + wide - 2 * frame, top + high // 2)
    cv2.circle(out, knob, max(2, frame // 3), (0.75, 0.65, 0.35), -1, cv2.LINE_AA)
    return out


def picture_frame(rng: np.random.Generator, wall: Floats, light: Light) -> Floats:
    """A framed picture: a small view of water, leaves, sky or cloth."""
    height, width = wall.shape[:2]
    high, wide = int(height * rng.uniform(0.3, 0.6)), int(width * rng.uniform(0.25, 0.5))
    top, left = int((height - high) * rng.uniform(0.2, 0.6)), int((width - wide) * rng.uniform(0.1, 0.9))
    frame = max(2, int(rng.uniform(0.05, 0.12) * min(high, wide)))
    shadow = np.zeros(wall.shape[:2], np.float32)
    shadow[top + frame : top + high + frame, left + frame // 2 : left + wide + frame // 2] = 0.55
    out = wall * (1 - cv2.GaussianBlur(shadow, (0, 0), max(1.0, 0.5 * frame)))[..., None]
    out[top : top + high, left : left + wide] = pick(rng, ("#3a2c22", "#a8843f", "#e4e0d6", "#2c2c2e", "#7a5a3a"))
    out[top : top + frame, left : left + wide] *= 1.2
    out[top + high - frame : top + high, left : left + wide] *= 0.75
    inner = np.s_[top + frame : top + high - frame, left + frame : left + wide - frame]
    name = ("water", "foliage", "sky", "fabric", "marble")[int(rng.integers(5))]
    out[inner] = seen(rng, name, out[inner].shape[:2], 0.12 * wide, light)
    return np.asarray(out, np.float32)


def _recessed(wall: Floats, top: int, left: int, high: int, wide: int, depth: int) -> Floats:
    """The wall with a darker reveal around an opening."""
    out = wall.copy()
    rows, columns = slice(max(0, top - depth), top + high), slice(max(0, left - depth), left + wide + depth)
    out[rows, columns] = 0.62 * cv2.blur(wall[rows, columns], (3, 3))
    return out


def _glass(rng: np.random.Generator, high: int, wide: int) -> Floats:
    """Dark room below, sky above, the outline of something mirrored."""
    dark, bright = pick(rng, ("#1d252b", "#2c3338", "#3a4248")), pick(rng, ("#8fa9bd", "#b4c4cf", "#6f879a"))
    down = np.linspace(1, 0, high, dtype=np.float32)[:, None] * np.ones((high, wide), np.float32)
    outline = 0.25 * smooth_noise(rng, (high, wide), (max(2, high / 2), max(2, wide / 3)))
    share = np.clip(4 * (down - rng.uniform(0.2, 0.7) + outline), 0, 1) * rng.uniform(0.4, 1)
    return blend(dark, bright, share.astype(np.float32))


def _panels(rng: np.random.Generator, high: int, wide: int, colour: Floats) -> Floats:
    leaf = np.broadcast_to(colour, (high, wide, 3)).astype(np.float32).copy()
    rows, columns = int(rng.integers(2, 4)), int(rng.integers(1, 3))
    gap = max(2, int(0.1 * wide))
    rim = max(1, gap // 4)
    for row in range(rows):
        for column in range(columns):
            y0, y1 = (round(gap + (row + k) * (high - gap) / rows - k * gap) for k in (0, 1))
            x0, x1 = (round(gap + (column + k) * (wide - gap) / columns - k * gap) for k in (0, 1))
            leaf[y0:y1, x0:x1] *= 0.6
            leaf[y0 + rim : y1, x0 + rim : x1] = 1.15 * colour
            leaf[y0 + rim : y1 - rim, x0 + rim : x1 - rim] = 0.93 * colour
    return leaf
