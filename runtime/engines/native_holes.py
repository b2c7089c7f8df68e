"""Holes in a native plan: masks have no lanes of channels, so that one of them is not as large as sixteen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.engines import program_holes as holes
from runtime.engines import program_layers as ops
from runtime.engines.native_memory import Block
from runtime.engines.native_steps import Part
from runtime.engines.program_layer import Layer

if TYPE_CHECKING:
    from runtime.engines.native_planner import Parts, Planner

_FLOAT, _INT = 4, 4


@dataclass(frozen=True)
class Mask:
    """A value of one channel as floats [N, H, W]."""

    block: Block
    height: int
    width: int


def read_hole(planner: Planner, layer: holes.HoleMask) -> None:
    """The engine's mask."""
    _made(planner, "mask_from_bytes", layer.output, buffers=(planner.buffers[layer.inputs[0]],))


def pool_mask(planner: Planner, mask: Mask, layer: ops.AveragePool | ops.MaxPool) -> None:
    """A smaller mask."""
    window: dict[str, Any] = {"kernel": layer.kernel, "stride": layer.stride, "pad": layer.pads[:2]}
    _made(planner, "mask_pool", layer.output, mask, options=(isinstance(layer, ops.AveragePool),), **window)


def enlarge_mask(planner: Planner, mask: Mask, layer: ops.Upsample) -> None:
    """A larger mask."""
    _made(planner, "mask_upsample", layer.output, mask, options=(layer.mode == "linear", layer.scale))


def _made(planner: Planner, kind: str, output: str, mask: Mask | None = None, **fields: Any) -> Mask:
    """A step that gives the mask `output`."""
    batch, _, height, width = planner.values[output].shape
    out = Block(batch * height * width * _FLOAT, 0, 0)
    planner.step(kind, (1, height, width), mask_out=out, **_given(mask), **fields)
    made = planner.masks[output] = Mask(out, height, width)
    return made


def _given(mask: Mask | None) -> dict[str, Any]:
    return {} if mask is None else {"mask": mask.block, "source": (mask.height, mask.width)}


def mask_of(planner: Planner, name: str) -> Mask:
    """A value of one channel as a mask."""
    found = planner.masks.get(name)
    return found or _made(planner, "to_mask", name, inputs=(planner.single(name),))


def widened(planner: Planner, mask: Mask) -> Parts:
    """A mask as any value, for layers that read no masks."""
    return planner.made("from_mask", (1, mask.height, mask.width), **_given(mask))


def select(planner: Planner, layer: holes.Select) -> Parts:
    """One value where the mask is set, the other elsewhere."""
    mask, *values = layer.inputs
    return _with_mask(planner, layer, mask, values)


def blend(planner: Planner, layer: holes.Blend) -> Parts:
    """From one value towards the other."""
    weight, *values = layer.inputs
    return _with_mask(planner, layer, weight, values, options=(layer.exponent,))


def smooth_fill(planner: Planner, layer: holes.SmoothFill) -> Parts:
    """A value with its hole filled."""
    value, mask = layer.inputs
    options = (layer.levels, layer.spread)
    return _with_mask(planner, layer, mask, [value], options=options, scale=layer.least)


def _with_mask(planner: Planner, layer: Layer, mask: str, values: list[str], **fields: Any) -> Parts:
    given = _given(mask_of(planner, mask))
    inputs = tuple(planner.single(name) for name in values)
    return planner.made(layer.op, planner.values[layer.output].shape[1:], inputs=inputs, **given, **fields)


def subtract(planner: Planner, layer: holes.Subtract) -> Parts:
    """The first value less the second."""
    inputs = tuple(planner.single(name) for name in layer.inputs)
    return planner.made("sum", planner.values[layer.output].shape[1:], inputs=inputs, options=(True,))


def patch_match(planner: Planner, layer: holes.PatchMatch) -> None:
    """The match, which only `patch_paste` and `to_match` read."""
    features, mask = layer.inputs
    batch, height, width = planner.values[layer.output].shape
    out = Block(batch * height * width * _INT, 0, 0)
    given = _given(mask_of(planner, mask))
    planner.step(layer.op, (1, height, width), inputs=(planner.single(features),), codes_out=out, **given)
    planner.matches[layer.output] = out


def patch_paste(planner: Planner, layer: holes.PatchPaste) -> Parts:
    """Features with their hole filled."""
    features, mask, match = layer.inputs
    return _with_mask(planner, layer, mask, [features], codes=planner.matches[match])


def paste_bytes(planner: Planner, layer: holes.PasteBytes) -> None:
    """Bytes of the hole; elsewhere those of the engine's image."""
    part: Part = planner.single(layer.inputs[0])
    names = (layer.output, *layer.inputs[1:])
    planner.step(
        layer.op,
        (part.channels, part.height, part.width),
        inputs=(part,),
        buffers=tuple(planner.buffers[name] for name in names),
        scale=layer.scale,
        shift=layer.shift,
    )


def to_match(planner: Planner, layer: holes.ToMatch) -> None:
    """A match as an output."""
    _, height, width = planner.values[layer.output].shape
    buffers = (planner.buffers[layer.output],)
    match = planner.matches[layer.inputs[0]]
    planner.step(layer.op, (1, height, width), codes=match, source=(height, width), buffers=buffers)


HANDLERS: dict[str, Callable[[Planner, Any], Parts | None]] = {
    "blend": blend,
    "hole_mask": read_hole,
    "paste_bytes": paste_bytes,
    "patch_match": patch_match,
    "patch_paste": patch_paste,
    "select": select,
    "smooth_fill": smooth_fill,
    "subtract": subtract,
    "to_match": to_match,
}
