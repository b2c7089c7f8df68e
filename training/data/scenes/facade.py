"""The look of a building: windows, doors, shops and bricks as a texture."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.data.scenes.camera_and_light import Light
from training.data.scenes.materials import GLASS, RUBBER, Bytes, Floats, mix, pick, rgb

FACADE_PAINTS = (
    "#d8c9a8",
    "#c9b48c",
    "#b9a894",
    "#d9d4c8",
    "#a8543f",
    "#8c4a38",
    "#c08a5e",
    "#9aa3a8",
    "#e0d2b0",
    "#b5a078",
)
ROOF_PAINTS = ("#5b3a32", "#484a4f", "#6a4436", "#3d4046")
SHOP_PAINTS = ("#7a1f23", "#1f4e6e", "#2f5d3a", "#c08a1e", "#3a3a42", "#8a5a2b")
TILE = 96  # texels along each side of the drawing of one bay


@dataclass(frozen=True)
class Facade:
    """The look of one building: colours, window proportions (of a bay of 3 m by 3.2 m) and floors."""

    paint: Floats
    trim: Floats
    shop: Floats
    roof: Floats
    window: tuple[float, float]
    floors: int
    variants: NDArray[np.int64]
    has_shop: bool
    has_balcony: bool
    is_brick: bool
    has_mansard: bool

    @property
    def height(self) -> float:
        """The height of the wall in metres, without a roof."""
        return 4.0 + 3.2 * self.floors + 0.5


def random_facade(rng: np.random.Generator, tallness: float) -> Facade:
    """Draws the look of a building; `tallness` in [0, 1] raises the number of floors."""
    kind = rng.uniform()
    window = (0.8, 0.5) if kind < 0.2 else (float(rng.uniform(0.36, 0.52)), float(rng.uniform(0.5, 0.64)))
    return Facade(
        paint=pick(rng, FACADE_PAINTS),
        trim=pick(rng, ("#e6e2d8", "#d8d2c4", "#c0b8a8")),
        shop=pick(rng, SHOP_PAINTS),
        roof=pick(rng, ROOF_PAINTS),
        window=window,
        floors=int(rng.integers(1, 3) + round(3 * tallness * rng.uniform(0.5, 1.2))),
        variants=rng.integers(0, 3, (12, 24)),
        has_shop=bool(rng.uniform() < 0.45),
        has_balcony=bool(rng.uniform() < 0.2),
        is_brick=bool(rng.uniform() < 0.35),
        has_mansard=bool(rng.uniform() < 0.45),
    )


def _box(tile: Floats, x0: float, y0: float, x1: float, y1: float, colour: Floats) -> None:
    """Fills a rectangle, given in fractions of the tile, in place."""
    left, top, right, bottom = (round(v * TILE) for v in (x0, y0, x1, y1))
    tile[max(top, 0) : bottom, max(left, 0) : right] = colour


def _wall_tile(facade: Facade, grain: Floats) -> Floats:
    """Draws the plain wall of one bay, [TILE, TILE, 3]: plaster or courses of brick."""
    shade = 1 + 0.025 * grain[:TILE, :TILE]
    if facade.is_brick:
        shade[::4] *= 0.86
        shade[2::8, ::8] *= 0.9
        shade[6::8, 4::8] *= 0.9
    return np.asarray(facade.paint * shade[..., None], np.float32)


def _glass(tile: Floats, x0: float, y0: float, x1: float, y1: float, light: Light) -> None:
    """Fills a rectangle with window glass: sky reflected above, the dark room below."""
    left, top, right, bottom = (round(v * TILE) for v in (x0, y0, x1, y1))
    ramp = np.linspace(0.42, 0.08, max(bottom - top, 1), dtype=np.float32)[:, None, None]
    tile[top:bottom, left:right] = rgb(GLASS) * (1 - ramp) + light.zenith * ramp


def _upper_tile(facade: Facade, wall: Floats, light: Light, variant: int) -> Floats:
    """Draws one bay of an upper floor; `variant` 1 has curtains, 2 a lowered blind."""
    tile = wall.copy()
    w, h = facade.window
    x0, x1, y0, y1 = 0.5 - w / 2, 0.5 + w / 2, 0.2, 0.2 + h
    _box(tile, x0 - 0.05, y0 - 0.06, x1 + 0.05, y1 + 0.03, facade.trim)
    _box(tile, x0 - 0.07, y1, x1 + 0.07, y1 + 0.05, facade.trim * 0.92)
    _box(tile, x0 - 0.07, y1 + 0.05, x1 + 0.07, y1 + 0.08, facade.paint * 0.62)
    _glass(tile, x0, y0, x1, y1, light)
    _box(tile, x0, y0, x1, y0 + 0.035, rgb(GLASS) * 0.6)
    if variant == 1:
        for left in (x0, x1 - 0.09):
            _box(tile, left, y0 + 0.03, left + 0.09, y1, rgb("#8f8c84"))
    if variant == 2:
        _box(tile, x0, y0 + 0.02, x1, y0 + 0.4 * h, rgb("#b4b0a4"))
    for bar in (0.5,) if w < 0.6 else (0.3, 0.5, 0.7):
        _box(tile, bar - 0.013, y0, bar + 0.013, y1, facade.trim * 0.95)
    _box(tile, x0, y0 + 0.3 * h, x1, y0 + 0.3 * h + 0.022, facade.trim * 0.9)
    if facade.has_balcony:
        _box(tile, 0.1, 0.93, 0.9, 1.0, facade.trim * 0.8)
        tile[int(0.66 * TILE) : int(0.93 * TILE), int(0.1 * TILE) : int(0.9 * TILE) : 5] = rgb(RUBBER)
        _box(tile, 0.1, 0.64, 0.9, 0.67, rgb(RUBBER))
    return tile


def _ground_tile(facade: Facade, wall: Floats, light: Light, variant: int) -> Floats:
    """Draws one bay of the ground floor: shop window, window or (variant 0) a door."""
    tile = wall.copy()
    if facade.has_shop:
        _box(tile, 0, 0.06, 1, 0.26, facade.shop)
        _box(tile, 0.2, 0.12, 0.8, 0.2, facade.trim)
        _box(tile, 0, 0.26, 1, 0.3, facade.shop * 0.45)
        _glass(tile, 0.06, 0.3, 0.94, 0.88, light)
        _box(tile, 0.14, 0.6, 0.4, 0.86, mix(rgb(GLASS), facade.shop, 0.5))
        _box(tile, 0.56, 0.66, 0.86, 0.86, mix(rgb(GLASS), facade.trim, 0.45))
    else:
        _box(tile, 0.24, 0.22, 0.76, 0.68, facade.trim)
        _glass(tile, 0.28, 0.26, 0.72, 0.64, light)
        _box(tile, 0.485, 0.26, 0.515, 0.64, facade.trim)
        _box(tile, 0, 0.86, 1, 1, facade.paint * 0.62)
    if variant == 0:
        _box(tile, 0.3, 0.3, 0.7, 1, facade.trim * 0.85)
        _box(tile, 0.34, 0.34, 0.66, 1, facade.shop * 0.55)
        _glass(tile, 0.38, 0.38, 0.62, 0.6, light)
    _box(tile, 0, 0.96, 1, 1, facade.paint * 0.45)
    return tile


def facade_texture(
    facade: Facade, bays: int, cell: tuple[int, int], grain: Floats, light: Light, normal: ArrayLike
) -> Bytes:
    """Draws a whole wall under daylight.

    Args:
        facade: The look of the building.
        bays: The number of bays along the wall.
        cell: The width and height in texels of one bay; small ones are averaged, so that far walls do not flicker.
        grain: A noise tile [size, size].
        light: Lights the wall, and its sky is reflected by the windows.
        normal: The unit vector [3] that the wall faces.

    Returns:
        A uint8 RGB texture [rows, bays * cell width, 3]; the last row is the foot of the wall.
    """
    width, height = cell
    wall = _wall_tile(facade, grain)
    strips = []
    for level in range(facade.floors, -1, -1):
        draw = _upper_tile if level else _ground_tile
        rows = height if level else round(height * 1.25)
        tiles = np.stack(
            [cv2.resize(draw(facade, wall, light, v), (width, rows), interpolation=cv2.INTER_AREA) for v in range(3)]
        )
        chosen = tiles[np.resize(facade.variants[level % 12], bays)]
        strips.append(chosen.transpose(1, 0, 2, 3).reshape(rows, bays * width, 3))
    cornice = np.ones((max(2, height // 6), bays * width, 3), np.float32) * facade.trim
    cornice[-max(1, len(cornice) // 4) :] *= 0.55
    texture = np.concatenate([cornice, *strips])
    lit = light.shade(np.ones(3, np.float32), normal)
    occlusion = np.interp(np.linspace(0, 1, len(texture)), (0, 0.15, 0.7, 1), (0.96, 1.03, 1.0, 0.8))
    texture *= (occlusion[:, None] * lit).astype(np.float32)[:, None] * 255
    return np.clip(texture, 0, 255, out=texture).astype(np.uint8)
