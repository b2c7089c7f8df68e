"""How the graphs of `training.networks.inpainting` look: holes and what fills them, and the match of patches."""

from itertools import pairwise

import onnx_ir as ir

from cuda_ext.onnx_functions import DOMAIN
from export.graph_patterns import Found, NoFitError, Op, attribute, constant, fit, name_of, number, op, require
from export.program_scope import Rule, Scope, output
from runtime.engines.program_holes import (
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
from runtime.engines.program_layer import Layer

_FLOAT, _UINT8 = ir.DataType.FLOAT, ir.DataType.UINT8
_TWO = [1, 1, 2, 2]

_IS_MISSING = op("Greater", op("Cast", "hole_mask", to=_FLOAT), 0.0)
_HOLE = op("Unsqueeze", op("Cast", _IS_MISSING, to=_FLOAT), [1])
_SELECTED = op("Where", op("Greater", "mask", 0.0), "inside", "outside")

_LEVELS = op("Clip", op("Add", op("Mul", "x", "scale"), "shift"), 0.0, 255.0)
_PASTED = op(
    "Cast",
    op("Where", op("Unsqueeze", _IS_MISSING, [-1]), op("Transpose", _LEVELS, perm=(0, 2, 3, 1)), "floats"),
    to=_UINT8,
)
_IMAGE = op("Cast", "image", to=_FLOAT)

_TOWARDS = op("Sub", "second", "first")
_BLENDS = {
    2: op("Add", "first", op("Mul", op("Pow", "weight", 2.0), _TOWARDS)),
    1: op("Add", "first", op("Mul", "weight", _TOWARDS)),
}


def _mean(value: Op | str, kernel: int, stride: int, pad: int) -> Op:
    return op(
        "AveragePool",
        value,
        kernel_shape=(kernel, kernel),
        strides=(stride, stride),
        pads=(pad,) * 4,
        count_include_pad=1,
        ceil_mode=0,
    )


_LARGER = op("Resize", "coarser", _TWO, mode="linear", coordinate_transformation_mode="half_pixel", antialias=0)
_PUSHED = op("Add", "values", op("Mul", op("Sub", 1.0, "share"), _LARGER))
_SPREAD = op(
    "Where",
    op("Greater", "known", 0.0),
    "values",
    op("Div", _mean(op("Mul", "values", "known"), 3, 1, 1), op("Clip", _mean("known", 3, 1, 1), "least")),
)
_REACHED = op("Cast", op("Greater", _mean("known", 3, 1, 1), 0.0), to=_FLOAT)
_COARSEST = op("Div", "values", op("Clip", "share", "least"))
_KNOWN = op("Cast", op("Greater", "share", "least"), to=_FLOAT)
_OF_IMAGE = op("Where", op("Greater", "mask", 0.0), 0.0, "x")


def _hole_mask(scope: Scope, node: ir.Node) -> HoleMask:
    found = fit(_HOLE, node.outputs[0])
    require(found["hole_mask"].is_graph_input())
    return HoleMask((name_of(found["hole_mask"]),), output(node))


def _select(scope: Scope, node: ir.Node) -> Select:
    found = fit(_SELECTED, node.outputs[0])
    return Select(tuple(scope.name(found[name]) for name in ("mask", "inside", "outside")), output(node))


def _paste_bytes(scope: Scope, node: ir.Node) -> PasteBytes:
    value = node.outputs[0]
    found = fit(_PASTED, value)
    image = fit(_IMAGE, found["floats"])["image"]
    require(value.is_graph_output() and image.is_graph_input() and found["hole_mask"].is_graph_input())
    x = _inside(found["x"], found["hole_mask"])
    scale, shift = number(found["scale"]), number(found["shift"])
    inputs = (scope.name(x), name_of(image), name_of(found["hole_mask"]))
    return PasteBytes(inputs, name_of(value), scale, shift)


def _inside(value: ir.Value, hole_mask: ir.Value) -> ir.Value:
    """What a value is inside the hole: nothing else of it is pasted."""
    try:
        found = fit(_SELECTED, value)
        require(fit(_HOLE, found["mask"])["hole_mask"] is hole_mask)
    except NoFitError:
        return value
    return found["inside"]


def _subtract(scope: Scope, node: ir.Node) -> Subtract:
    first, second = node.inputs
    require(_has_shape_of(first, second))
    return Subtract((scope.name(first), scope.name(second)), output(node))


def _has_shape_of(first: ir.Value | None, second: ir.Value | None) -> bool:
    """Whether two values are known to be of one shape: then nothing is repeated."""
    return first is not None and second is not None and first.shape is not None and first.shape == second.shape


def _blend(scope: Scope, node: ir.Node) -> Blend:
    for exponent, pattern in _BLENDS.items():
        try:
            found = fit(pattern, node.outputs[0])
        except NoFitError:
            continue
        require(_has_shape_of(found["first"], found["second"]))
        return Blend(tuple(scope.name(found[name]) for name in ("weight", "first", "second")), output(node), exponent)
    raise NoFitError


def _smooth_fill(scope: Scope, node: ir.Node) -> SmoothFill:
    """From the finest level down to the coarsest, through what is spread there, and up again."""
    pyramid: list[Found] = []
    value = node.outputs[0]
    while found := _found(_PUSHED, value):
        pyramid.append(found)
        value = found["coarser"]
    require(bool(pyramid))
    spreads: list[Found] = []
    while found := _found(_SPREAD, value):
        spreads.append(found)
        value = found["values"]
    coarsest = fit(_COARSEST, value)
    least = number(coarsest["least"])
    known = None
    for found in reversed(spreads):
        start = fit(_KNOWN, found["known"]) if known is None else fit(_REACHED, found["known"])
        require(number(found["least"]) == least)
        require(start["share"] is coarsest["share"] if known is None else start["known"] is known)
        require(known is not None or number(start["least"]) == least)
        known = found["known"]
    _require_halvings([*pyramid, coarsest])
    image = fit(_OF_IMAGE, pyramid[0]["values"])
    require(fit(op("Sub", 1.0, "mask"), pyramid[0]["share"])["mask"] is image["mask"])
    inputs = (scope.name(image["x"]), scope.name(image["mask"]))
    return SmoothFill(inputs, output(node), len(pyramid), len(spreads), least)


def _require_halvings(levels: list[Found]) -> None:
    for finer, coarser in pairwise(levels):
        for name in ("values", "share"):
            require(fit(_mean("finer", 2, 2, 0), coarser[name])["finer"] is finer[name])


def _found(pattern: Op, value: ir.Value) -> Found | None:
    try:
        return fit(pattern, value)
    except NoFitError:
        return None


def _patch_match(scope: Scope, node: ir.Node) -> PatchMatch:
    return PatchMatch(tuple(map(scope.name, node.inputs)), output(node))


def _patch_paste(scope: Scope, node: ir.Node) -> PatchPaste:
    return PatchPaste(tuple(map(scope.name, node.inputs)), output(node))


def _first_channels(scope: Scope, node: ir.Node) -> str:
    """The first of the values that a concatenation joins, cut out again."""
    found = fit(op("Slice", "joined", [0], "end", [1], [1]), node.outputs[0])
    concat = found["joined"].producer()
    require(concat is not None and concat.op_type == "Concat" and attribute(concat, "axis") == 1)
    first = concat.inputs[0]  # type: ignore[union-attr]
    require(first is not None and first.shape is not None)
    require(first.shape[1] == int(constant(found["end"]).item()))  # type: ignore[index, union-attr]
    return scope.name(first)


HOLE_RULES: dict[tuple[str, str], tuple[Rule, ...]] = {
    ("", "Add"): (_smooth_fill, _blend),
    ("", "Cast"): (_paste_bytes,),
    ("", "Slice"): (_first_channels,),
    ("", "Sub"): (_subtract,),
    ("", "Unsqueeze"): (_hole_mask,),
    ("", "Where"): (_select,),
    (DOMAIN, "PatchMatch"): (_patch_match,),
    (DOMAIN, "PatchPaste"): (_patch_paste,),
}


def as_output(scope: Scope, value: ir.Value) -> Layer | None:
    """The layer that shows a match as an output; None for whatever is none."""
    is_match = value.dtype == ir.DataType.INT32
    return ToMatch((scope.name(value),), name_of(value)) if is_match else None
