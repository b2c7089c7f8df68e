"""The layers of a program for pictures with holes: masks, what fills them, and the match of patches.

A mask is a value [N, 1, H, W], as any other; what is above 0 counts as set. A match is int32 [N, H, W].
"""

from dataclasses import dataclass
from typing import ClassVar

from runtime.engines.program_fields import attribute, number, positive, whole
from runtime.engines.program_layer import Layer, Map, Shape, Value, Weights, expect, map_of

_MATCH = "int32"


@dataclass(frozen=True)
class _HoleLayer(Layer):
    format: ClassVar[int] = 2


@dataclass(frozen=True)
class HoleMask(_HoleLayer):
    """Mask u8 [N, H, W] → [N, 1, H, W], 1 where it is not 0, else 0."""

    op = "hole_mask"
    is_first = True

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        expect(values[0], "uint8", 3)
        n, h, w = values[0].shape
        return Map(n, 1, h, w).value()


@dataclass(frozen=True)
class Select(_HoleLayer):
    """Mask, a value for where it is set, and one of the same shape for where it is not."""

    op = "select"
    arity = (3, 3)

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        mask, inside, outside = map(map_of, values)
        _expect_mask(mask, inside)
        if inside != outside:
            raise ValueError(f"chooses between {list(inside)} and {list(outside)}")
        return inside.value()


@dataclass(frozen=True)
class Subtract(_HoleLayer):
    """The difference of two values of one shape."""

    op = "subtract"
    arity = (2, 2)

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        first, second = map(map_of, values)
        if first != second:
            raise ValueError(f"subtracts {list(second)} from {list(first)}")
        return first.value()


@dataclass(frozen=True)
class Blend(_HoleLayer):
    """Weight [N, 1, H, W] and two values of one shape: first + weight^exponent · (second − first)."""

    op = "blend"
    arity = (3, 3)

    exponent: int = attribute(whole(1, 2))

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        weight, first, second = map(map_of, values)
        _expect_mask(weight, first)
        if first != second:
            raise ValueError(f"blends {list(first)} and {list(second)}")
        return first.value()


@dataclass(frozen=True)
class SmoothFill(_HoleLayer):
    """A value and a mask: where that is set, colours that spread from its border, coarse to fine.

    Pull-push interpolation (Gortler et al. 1996, section 3.4). Pull: value (0 where set) and share known (1 − mask) are
    averaged over 2×2, `levels` times. At the coarsest, value / share where that is above `least`; the others take
    `spread` times the mean of their 3×3 neighbours that have one, divided by their share, at least `least`. Push:
    value + (1 − share) · the coarser result, enlarged linearly.
    """

    op = "smooth_fill"
    arity = (2, 2)

    levels: int = attribute(whole(1, 8))
    spread: int = attribute(whole(0, 1024))
    least: float = attribute(positive)

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        x, mask = map(map_of, values)
        _expect_mask(mask, x)
        if x.h % 2**self.levels or x.w % 2**self.levels:
            raise ValueError(f"fills {x.h}×{x.w}, expected multiples of {2**self.levels}")
        return x.value()


@dataclass(frozen=True)
class PatchMatch(_HoleLayer):
    """Features [N, C, H, W] and a mask: for each 3×3 patch that touches it, the most similar one wholly outside.

    → int32 [N, H, W], the index y·W + x of its centre; −1 where there is no such patch. Patches reach beyond the map,
    into zeros; those that others are compared with do not. Similarity is ⟨P, Q⟩ / ‖Q‖; of equals the first one wins.
    What is not finite, or above 1e15 in magnitude, counts as 0.
    """

    op = "patch_match"
    arity = (2, 2)

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        features, mask = map(map_of, values)
        _expect_mask(mask, features)
        if features.h * features.w >= 2**31:
            raise ValueError(f"matches {features.h}×{features.w} pixels, indices must fit int32")
        return Value(_MATCH, (features.n, features.h, features.w))


@dataclass(frozen=True)
class PatchPaste(_HoleLayer):
    """Features, a mask and a match of maps of their size: the mean of the matched patches, where the mask is set."""

    op = "patch_paste"
    arity = (3, 3)

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        features, mask = map(map_of, values[:2])
        _expect_mask(mask, features)
        _expect_match(values[2], (features.n, features.h, features.w))
        return features.value()


@dataclass(frozen=True)
class PasteBytes(_HoleLayer):
    """A value, and the engine's image u8 [N, H, W, C] and mask u8 [N, H, W] → image u8 [N, H, W, C].

    Where the mask is not 0, trunc(clip(x · scale + shift, 0, 255)); elsewhere the image's bytes.
    """

    op = "paste_bytes"
    arity = (3, 3)
    is_last = True

    scale: float = attribute(number)
    shift: float = attribute(number)

    def reads_engine(self, index: int) -> bool:
        return index > 0

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        x = map_of(values[0])
        expect(values[1], "uint8", 4)
        expect(values[2], "uint8", 3)
        if values[1].shape != (x.n, x.h, x.w, x.c) or values[2].shape != (x.n, x.h, x.w):
            given = " and ".join(str(list(value.shape)) for value in values[1:])
            raise ValueError(f"pastes {list(x)} into {given}")
        return values[1]


@dataclass(frozen=True)
class ToMatch(_HoleLayer):
    """A match → i32 [N, H, W] as it is."""

    op = "to_match"
    is_last = True

    def infer(self, values: tuple[Value, ...], weights: Weights) -> Value:
        _expect_match(values[0], values[0].shape)
        return values[0]


def _expect_mask(mask: Map, of: Map) -> None:
    if mask != of._replace(c=1):
        raise ValueError(f"a mask of {list(mask)} for {list(of)}")


def _expect_match(value: Value, shape: Shape) -> None:
    if value != (_MATCH, shape):
        raise ValueError(f"a match of {value.dtype} {list(value.shape)}, expected {_MATCH} {list(shape)}")


HOLE_LAYERS: tuple[type[Layer], ...] = (
    Blend,
    HoleMask,
    PasteBytes,
    PatchMatch,
    PatchPaste,
    Select,
    SmoothFill,
    Subtract,
    ToMatch,
)
