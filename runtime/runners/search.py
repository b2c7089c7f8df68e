"""How a sketch is completed: the options of the search for ẑ, what it reports, and what it ends with."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError
from runtime.runners.checks import check_seed

_MOST = {"iterations": 100_000, "candidates": 1000, "restarts": 256, "patience": 100_000}
Floats = NDArray[np.float32]


class SearchOptions(TypedDict, total=False):
    """The options of `Search` as keyword arguments."""

    iterations: int
    candidates: int
    restarts: int
    seed: int
    learning_rate: float
    momentum: float
    perceptual_weight: float
    z_limit: float
    stop_early: bool
    patience: int
    tolerance: float


@dataclass(frozen=True)
class Search:
    """Options of the search (section 3.2 of the Contextual GAN); defaults are the paper's where it has one.

    Attributes:
        iterations: most steps of gradient descent.
        candidates: N, random z per restart of which the one of the lowest contextual loss starts.
        restarts: searches side by side, each from candidates of its own; the best one counts.
        seed: of the candidates; same seed, same bytes.
        learning_rate: of z.
        momentum: of the descent, 0 to below 1.
        perceptual_weight: λ; small follows the observation, large the discriminator's taste.
        z_limit: z stays within ± this, 1 being what it was trained with.
        stop_early: whether a search ends once its loss has settled.
        patience: steps without progress after which it has.
        tolerance: the share of all progress so far that counts as none.
    """

    iterations: int = 500
    candidates: int = 10
    restarts: int = 1
    seed: int = 0
    learning_rate: float = 0.1
    momentum: float = 0.9
    perceptual_weight: float = 0.01
    z_limit: float = 1.0
    stop_early: bool = True
    patience: int = 100
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= most:
                raise InputError(f"{name} is {value!r}, expected an integer from 1 to {most}")
        check_seed(self.seed)
        for name in ("learning_rate", "z_limit"):
            _require(name, getattr(self, name), "a number above 0", lambda value: value > 0)
        for name in ("perceptual_weight", "tolerance"):
            _require(name, getattr(self, name), "a number of at least 0", lambda value: value >= 0)
        _require("momentum", self.momentum, "a number from 0 to below 1", lambda value: 0 <= value < 1)


def search_from(options: Mapping[str, Any]) -> Search:
    """`Search(**options)`.

    Raises:
        InputError: an option is unknown or makes no sense.
    """
    known = [field.name for field in fields(Search)]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise InputError(f"unknown option {', '.join(unknown)}; a search takes {', '.join(known)}")
    return Search(**options)


def _require(name: str, value: float, expected: str, fits: Callable[[float], bool]) -> None:
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not fits(value):
        raise InputError(f"{name} is {value!r}, expected {expected}")


@dataclass(frozen=True)
class Step:
    """Where a search stands, for a callback.

    Attributes:
        iteration: steps done so far.
        iterations: most steps there will be.
        contextual_loss: of each restart, float32 [restarts].
        perceptual_loss: likewise.
        image: gives the joint image of the best restart as it is, uint8 [H, 2H, 3]; costs a copy from the device.
    """

    iteration: int
    iterations: int
    contextual_loss: Floats
    perceptual_loss: Floats
    image: Callable[[], NDArray[np.uint8]]


# Called after every step; True ends the search, and the best so far is the result.
Callback = Callable[[Step], bool | None]


@dataclass(frozen=True)
class Completion:
    """What a search found.

    Attributes:
        image: x = M⊙y + (1−M)⊙G(ẑ), joint image uint8 [H, 2H, 3] at the engine's size.
        made: G(ẑ) alone, likewise.
        z: ẑ, float32 [z_nc].
        contextual_loss: at the start and after every step, float32 [steps + 1, restarts]; NaN once a restart settled.
        perceptual_loss: likewise.
        restart: the one that the result is of.
        iteration: its steps to ẑ.
    """

    image: NDArray[np.uint8]
    made: NDArray[np.uint8]
    z: Floats
    contextual_loss: Floats
    perceptual_loss: Floats
    restart: int
    iteration: int

    def halves(self, given: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Sketch and photo, uint8 [H, H, 3]: the half `given` as in `image`, the other as in `made`.

        Hints steer what is made; they are not shown in it.
        """
        known, made = (np.split(joint, 2, axis=1) for joint in (self.image, self.made))
        return (known[0], made[1]) if given == "sketch" else (made[0], known[1])


class Progress:
    """The losses of every restart so far, the best z of each, and whether it has settled.

    Restarts know nothing of each other: one that settles keeps its result while others go on.

    Attributes:
        best_z: of the lowest total loss, float32 [restarts, z_nc].
        best_at: steps to it, int64 [restarts].
        contextual: per step the losses [restarts]; NaN once a restart has settled.
        perceptual: likewise.
        settled: which restarts are done, bool [restarts].
    """

    def __init__(self, search: Search, z: Floats) -> None:
        self._search = search
        self.best_z = z.copy()
        self.best_at = np.zeros(len(z), np.int64)
        self._totals: list[Floats] = []
        self.contextual: list[Floats] = []
        self.perceptual: list[Floats] = []
        self._best = np.full(len(z), np.inf, np.float32)
        self._bests: list[Floats] = []
        self.settled = np.zeros(len(z), np.bool_)

    def add(self, z: Floats, contextual: Floats, perceptual: Floats) -> None:
        """Losses [restarts] of `z` [restarts, z_nc]."""
        total = contextual + np.float32(self._search.perceptual_weight) * perceptual
        is_better = ~self.settled & (total < self._best)
        self.best_z[is_better] = z[is_better]
        self.best_at[is_better] = len(self._bests)
        self._best = np.where(is_better, total, self._best)
        self._bests.append(self._best)
        self.contextual.append(np.where(self.settled, np.float32(np.nan), contextual))
        self.perceptual.append(np.where(self.settled, np.float32(np.nan), perceptual))
        if self._search.stop_early and len(self._bests) > self._search.patience:
            gained = self._bests[-1 - self._search.patience] - self._best
            self.settled |= gained <= self._search.tolerance * (self._bests[0] - self._best)

    @property
    def winner(self) -> int:
        """The restart of the lowest loss."""
        return int(self._best.argmin())
