"""The look of a building: windows, doors, shops and bricks as a texture."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.data.scenes.camera_and_light import Light
from training.data.scenes.labels import Part
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


class _Tile:
    """The drawing of one bay: colours float32 [TILE, TILE, 3], and parts uint8 [TILE, TILE], 0 being none."""

    def __init__(self, colours: Floats) -> None:
        self.colours = colours.copy()
        self.parts = np.zeros(colours.shape[:2], np.uint8)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Floats) -> None:
        """Fills a rectangle, given in fractions of the tile."""
        self.colours[_window(x0, y0, x1, y1)] = colour

    def glass(self, x0: float, y0: float, x1: float, y1: float, light: Light) -> None:
        """Fills a rectangle with window glass: sky reflected above, the dark room below."""
        window = _window(x0, y0, x1, y1)
        rows = self.colours[window].shape[0]
        ramp = np.linspace(0.42, 0.08, max(rows, 1), dtype=np.float32)[:rows, None, None]
        self.colours[window] = rgb(GLASS) * (1 - ramp) + light.zenith * ramp

    def name(self, x0: float, y0: float, x1: float, y1: float, part: Part) -> None:
        """Says which part a rectangle is."""
        self.parts[_window(x0, y0, x1, y1)] = part

    def resized(self, shape: tuple[int, int]) -> tuple[Floats, Bytes]:
        """Colours [h, w, 3] and parts [h, w] for a shape (w, h)."""
        colours = cv2.resize(self.colours, shape, interpolation=cv2.INTER_AREA)
        parts = cv2.resize(self.parts, shape, interpolation=cv2.INTER_NEAREST_EXACT)
        return np.asarray(colours, np.float32), np.asarray(parts, np.uint8)


def _window(x0: float, y0: float, x1: float, y1: float) -> tuple[slice, slice]:
    """Rows and columns of a rectangle that is given in fractions of the tile."""
    left, top, right, bottom = (max(round(v * TILE), 0) for v in (x0, y0, x1, y1))
    return slice(top, bottom), slice(left, right)


def _wall_colours(facade: Facade, grain: Floats) -> Floats:
    """The plain wall of one bay, [TILE, TILE, 3]: plaster or courses of brick."""
    shade = 1 + 0.025 * grain[:TILE, :TILE]
    if facade.is_brick:
        shade[::4] *= 0.86
        shade[2::8, ::8] *= 0.9
        shade[6::8, 4::8] *= 0.9
    return np.asarray(facade.paint * shade[..., None], np.float32)


def _upper_tile(facade: Facade, wall: Floats, light: Light, variant: int) -> _Tile:
    """Draws one bay of an upper floor; `variant` 1 has curtains, 2 a lowered blind."""
    tile = _Tile(wall)
    w, h = facade.window
    x0, x1, y0, y1 = 0.5 - w / 2, 0.5 + w / 2, 0.2, 0.2 + h
    tile.box(x0 - 0.05, y0 - 0.06, x1 + 0.05, y1 + 0.03, facade.trim)
    tile.box(x0 - 0.07, y1, x1 + 0.07, y1 + 0.05, facade.trim * 0.92)
    tile.name(x0 - 0.05, y0 - 0.06, x1 + 0.05, y1 + 0.05, Part.WINDOW)
    tile.box(x0 - 0.07, y1 + 0.05, x1 + 0.07, y1 + 0.08, facade.paint * 0.62)
    tile.glass(x0, y0, x1, y1, light)
    tile.box(x0, y0, x1, y0 + 0.035, rgb(GLASS) * 0.6)
    if variant == 1:
        for left in (x0, x1 - 0.09):
            tile.box(left, y0 + 0.03, left + 0.09, y1, rgb("#8f8c84"))
    if variant == 2:
        tile.box(x0, y0 + 0.02, x1, y0 + 0.4 * h, rgb("#b4b0a4"))
    for bar in (0.5,) if w < 0.6 else (0.3, 0.5, 0.7):
        tile.box(bar - 0.013, y0, bar + 0.013, y1, facade.trim * 0.95)
    tile.box(x0, y0 + 0.3 * h, x1, y0 + 0.3 * h + 0.022, facade.trim * 0.9)
    if facade.has_balcony:
        tile.box(0.1, 0.93, 0.9, 1.0, facade.trim * 0.8)
        tile.colours[int(0.66 * TILE) : int(0.93 * TILE), int(0.1 * TILE) : int(0.9 * TILE) : 5] = rgb(RUBBER)
        tile.box(0.1, 0.64, 0.9, 0.67, rgb(RUBBER))
        tile.name(0.1, 0.64, 0.9, 1.0, Part.BALCONY)
    return tile


def _ground_tile(facade: Facade, wall: Floats, light: Light, variant: int) -> _Tile:
    """Draws one bay of the ground floor: shop window, window or (variant 0) a door."""
    tile = _Tile(wall)
    if facade.has_shop:
        tile.box(0, 0.06, 1, 0.26, facade.shop)
        tile.box(0.2, 0.12, 0.8, 0.2, facade.trim)
        tile.box(0, 0.26, 1, 0.3, facade.shop * 0.45)
        tile.name(0, 0.06, 1, 0.3, Part.SHOP_SIGN)
        tile.glass(0.06, 0.3, 0.94, 0.88, light)
        tile.box(0.14, 0.6, 0.4, 0.86, mix(rgb(GLASS), facade.shop, 0.5))
        tile.box(0.56, 0.66, 0.86, 0.86, mix(rgb(GLASS), facade.trim, 0.45))
        tile.name(0.06, 0.3, 0.94, 0.88, Part.SHOP_WINDOW)
    else:
        tile.box(0.24, 0.22, 0.76, 0.68, facade.trim)
        tile.name(0.24, 0.22, 0.76, 0.68, Part.WINDOW)
        tile.glass(0.28, 0.26, 0.72, 0.64, light)
        tile.box(0.485, 0.26, 0.515, 0.64, facade.trim)
        tile.box(0, 0.86, 1, 1, facade.paint * 0.62)
    if variant == 0:
        tile.box(0.3, 0.3, 0.7, 1, facade.trim * 0.85)
        tile.box(0.34, 0.34, 0.66, 1, facade.shop * 0.55)
        tile.glass(0.38, 0.38, 0.62, 0.6, light)
        tile.name(0.3, 0.3, 0.7, 0.96, Part.DOOR)
    tile.box(0, 0.96, 1, 1, facade.paint * 0.45)
    return tile


def facade_texture(
    facade: Facade, bays: int, cell: tuple[int, int], grain: Floats, light: Light, normal: ArrayLike
) -> tuple[Bytes, Bytes]:
    """Draws a whole wall under daylight.

    Args:
        facade: The look of the building.
        bays: The number of bays along the wall.
        cell: The width and height in texels of one bay; small ones are averaged, so that far walls do not flicker.
        grain: A noise tile [size, size].
        light: Lights the wall, and its sky is reflected by the windows.
        normal: The unit vector [3] that the wall faces.

    Returns:
        A uint8 RGB texture [rows, bays * cell width, 3], and the part that each texel belongs to, uint8
        [rows, bays * cell width], 0 being none; the last row is the foot of the wall.
    """
    width, height = cell
    wall = _wall_colours(facade, grain)
    strips, named = [], []
    for level in range(facade.floors, -1, -1):
        draw = _upper_tile if level else _ground_tile
        rows = height if level else round(height * 1.25)
        tiles = [draw(facade, wall, light, variant).resized((width, rows)) for variant in range(3)]
        chosen = np.resize(facade.variants[level % 12], bays)
        strips.append(np.concatenate([tiles[variant][0] for variant in chosen], 1))
        named.append(np.concatenate([tiles[variant][1] for variant in chosen], 1))
    cornice = np.ones((max(2, height // 6), bays * width, 3), np.float32) * facade.trim
    cornice[-max(1, len(cornice) // 4) :] *= 0.55
    texture = np.concatenate([cornice, *strips])
    parts = np.concatenate([np.full(cornice.shape[:2], Part.CORNICE, np.uint8), *named])
    lit = light.shade(np.ones(3, np.float32), normal)
    occlusion = np.interp(np.linspace(0, 1, len(texture)), (0, 0.15, 0.7, 1), (0.96, 1.03, 1.0, 0.8))
    texture *= (occlusion[:, None] * lit).astype(np.float32)[:, None] * 255
    return np.clip(texture, 0, 255, out=texture).astype(np.uint8), parts
