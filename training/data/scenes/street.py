"""The plan of a street, and what stands in it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.data.scenes.canvas import Canvas

Box = tuple[float, float, float, float, float]  # x0, x1, z0, z1 and height in metres
FAR, STREET_END = 400.0, 170.0  # metres


@dataclass(frozen=True)
class Thing:
    """Something in the street: painted in the order of `depth`, with an optional box that casts a shadow.

    `box` stays None for what casts none.
    """

    depth: float
    paint: Callable[[Canvas], None]
    box: Box | None = None


@dataclass(frozen=True)
class Street:
    """The cross-section of a street: x of the kerbs and the building lines in metres, and the crossings (z0, z1)."""

    left: float
    right: float
    building_left: float
    building_right: float
    parking: tuple[bool, bool]
    lanes: tuple[float, ...]
    crossings: tuple[tuple[float, float], ...]
    verge: tuple[bool, bool]
    tallness: float
    greenery: float
    traffic: float

    @property
    def sides(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """x of the kerb and of the building line, on the left and on the right."""
        return (self.left, self.building_left), (self.right, self.building_right)

    def is_open(self, z: float, margin: float = 2.0) -> bool:
        """Tells whether a distance lies in a crossing."""
        return any(z0 - margin < z < z1 + margin for z0, z1 in self.crossings)


def random_street(rng: np.random.Generator) -> Street:
    """Draws the plan of a street; the camera drives in its rightmost lane or the one beside it."""
    lane = rng.uniform(3.0, 3.5)
    ahead, oncoming = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    parking = (bool(rng.uniform() < 0.7), bool(rng.uniform() < 0.65))
    own = int(rng.integers(0, ahead))
    right, left = lane * (own + 0.5), -lane * (ahead - own - 0.5 + oncoming)
    lanes = tuple(float(left + lane * i) for i in range(1, ahead + oncoming))
    walks = rng.uniform(2.4, 6.0, 2)
    crossings, z = [], rng.uniform(12, 45)
    while z < STREET_END:
        if rng.uniform() < 0.75:
            crossings.append((float(z), float(z + rng.uniform(9, 15))))
        z += rng.uniform(40, 70)
    left, right = left - 2.3 * parking[0], right + 2.3 * parking[1]
    return Street(
        left=float(left),
        right=float(right),
        building_left=float(left - walks[0]),
        building_right=float(right + walks[1]),
        parking=parking,
        lanes=lanes,
        crossings=tuple(crossings),
        verge=(bool(rng.uniform() < 0.2), bool(rng.uniform() < 0.2)),
        tallness=float(rng.uniform(0.2, 1)),
        greenery=float(rng.uniform(0.1, 1)),
        traffic=float(rng.uniform(0.2, 1)),
    )
