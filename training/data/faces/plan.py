"""What a face looks like: every property that a person would name."""

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]

_SKINS: tuple[Colour, ...] = (
    *((0.96, 0.81, 0.70), (0.90, 0.70, 0.56), (0.80, 0.58, 0.43)),
    *((0.66, 0.45, 0.32), (0.47, 0.31, 0.22), (0.34, 0.22, 0.16)),
)
_HAIRS: tuple[Colour, ...] = (
    *((0.08, 0.06, 0.05), (0.24, 0.14, 0.08), (0.42, 0.25, 0.13)),
    *((0.74, 0.55, 0.28), (0.60, 0.24, 0.10), (0.68, 0.67, 0.65)),
)
_IRISES: tuple[Colour, ...] = ((0.25, 0.15, 0.08), (0.20, 0.38, 0.55), (0.25, 0.42, 0.22), (0.12, 0.08, 0.06))
HAIR_STYLES = ("short", "long", "curly", "bun", "bald")
BEARDS = ("none", "moustache", "goatee", "full")
_BEARD_CHANCES = (0.55, 0.13, 0.12, 0.20)


@dataclass(frozen=True)
class Face:
    """A face; lengths in half picture sides.

    Attributes:
        skin, hair, iris, shirt, top, bottom: colours; the last two are the background's.
        width, height: half axes of the head.
        yaw: how far the features lie to the side.
        light: unit vector to the light.
        hair_style: one of HAIR_STYLES.
        fringe: how far the hair reaches down the forehead, 0 to 1.
        beard: one of BEARDS.
        glasses: 0 none, 1 round, 2 square.
        smile: −1 to 1.
        mouth_open: half height of the open mouth.
        brow: thickness of the eyebrows.
        brow_tilt: −1 to 1.
        eye_gap: half distance of the eyes.
        eye_size: half width of an eye.
        nose: length of the nose.
    """

    skin: Colour
    hair: Colour
    iris: Colour
    shirt: Colour
    top: Colour
    bottom: Colour
    width: float
    height: float
    yaw: float
    light: tuple[float, float, float]
    hair_style: str
    fringe: float
    beard: str
    glasses: int
    smile: float
    mouth_open: float
    brow: float
    brow_tilt: float
    eye_gap: float
    eye_size: float
    nose: float


def random_face(seed: int) -> Face:
    """Draw face `seed`; every seed is another person."""
    rng = np.random.default_rng([_SALT, seed])

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def near(colours: tuple[Colour, ...]) -> Colour:
        colour = np.asarray(colours[rng.integers(len(colours))]) * rng.uniform(0.88, 1.1) + rng.uniform(-0.02, 0.02, 3)
        return _colour(colour)

    ground = rng.uniform(0.25, 0.95, 3)
    slope = np.array([between(-0.7, 0.7), between(-0.9, -0.2), 1.0])
    return Face(
        skin=near(_SKINS),
        hair=near(_HAIRS),
        iris=near(_IRISES),
        shirt=_colour(rng.uniform(0.1, 0.9, 3)),
        top=_colour(ground),
        bottom=_colour(ground * rng.uniform(0.55, 0.9)),
        width=between(0.43, 0.52),
        height=between(0.58, 0.68),
        yaw=between(-0.09, 0.09),
        light=(*map(float, slope / np.linalg.norm(slope)),),  # type: ignore[arg-type]
        hair_style=str(rng.choice(HAIR_STYLES, p=(0.36, 0.28, 0.18, 0.1, 0.08))),
        fringe=between(0.0, 1.0),
        beard=str(rng.choice(BEARDS, p=_BEARD_CHANCES)),
        glasses=int(rng.choice(3, p=(0.65, 0.18, 0.17))),
        smile=between(-0.4, 1.0),
        mouth_open=between(0.0, 0.07) * float(rng.random() < 0.5),
        brow=between(0.016, 0.036),
        brow_tilt=between(-1.0, 1.0),
        eye_gap=between(0.17, 0.21),
        eye_size=between(0.075, 0.1),
        nose=between(0.16, 0.24),
    )


_SALT = 0xFACE  # other numbers than a scene of the same seed


def _colour(values: np.ndarray) -> Colour:
    red, green, blue = np.clip(values, 0.02, 0.98).tolist()
    return red, green, blue
