"""How the graphs of `training.networks.label_encoding` look: one-hot classes, instance edges, style features."""

import numpy as np
import onnx_ir as ir

from export.graph_patterns import Found, NoFitError, Op, Pattern, attribute, constant, fit, name_of, number, op, require
from runtime.engines.program_layers import LabelFeatures

_FLOAT, _INT32 = ir.DataType.FLOAT, ir.DataType.INT32
_TO_THE_END = [2**63 - 1]


def _edges() -> Op:
    ids = op("Unsqueeze", "inst_map", [1])
    directions = []
    for axis in (3, 2):
        after = op("Slice", ids, [1], _TO_THE_END, [axis], [1])
        before = op("Slice", ids, [0], [-1], [axis], [1])
        differs = op("Cast", op("Not", op("Equal", after, before)), to=_FLOAT)
        # ONNX lists the padding before all axes, then that behind them.
        sides = [op("Pad", differs, [int(i == side + axis) for i in range(8)], mode="constant") for side in (4, 0)]
        directions.append(op("Max", *sides))
    return op("Max", *directions)


def _features(offset: Pattern) -> Op:
    rows = op("Gather", op("Reshape", "styles", "shape"), op("Add", "inst_map", offset), axis=0)
    return op("Transpose", rows, perm=(0, 3, 1, 2))


_ONE_HOT = op("Cast", op("Equal", op("Unsqueeze", op("Cast", "label_map", to=_INT32), [1]), "classes"), to=_FLOAT)
_EDGES = _edges()
_IMAGE_NUMBER = op("Reshape", op("Range", 0, op("Cast", "count"), 1), [-1, 1, 1])
_FEATURES = _features(op("Mul", _IMAGE_NUMBER, op("Cast", "rows")))
_FEATURES_OF_ONE = _features("zero")


def label_features(value: ir.Value) -> LabelFeatures:
    """The layer that gives `value`; raises NoFitError unless that is an encoded label map, and what goes with it."""
    node = value.producer()
    is_joined = node is not None and node.op_type == "Concat" and attribute(node, "axis") == 1
    one_hot, *maps = node.inputs if node is not None and is_joined else (value,)
    found = fit(_ONE_HOT, one_hot)
    classes = constant(found["classes"]).ravel()
    require(np.array_equal(classes, np.arange(len(classes))))
    inputs = {"label_map": found["label_map"]}
    has_edges, feat_num = False, 0
    for part in maps:
        try:
            found, has_edges = fit(_EDGES, part), True
        except NoFitError:
            found = _fit_features(part)
            feat_num = int(found["styles"].shape[2])  # type: ignore[index, arg-type]
        _add_inputs(inputs, found)
    require(len(maps) == has_edges + bool(feat_num))
    return LabelFeatures(tuple(map(name_of, inputs.values())), name_of(value), len(classes), has_edges, feat_num)


def _fit_features(value: ir.Value | None) -> Found:
    try:
        return fit(_FEATURES, value)
    except NoFitError:
        found = fit(_FEATURES_OF_ONE, value)
        require(number(found["zero"]) == 0)
        return found


def _add_inputs(inputs: Found, found: Found) -> None:
    for name in ("inst_map", "styles"):
        if name in found:
            require(found[name].is_graph_input() and inputs.get(name, found[name]) is found[name])
            inputs[name] = found[name]
