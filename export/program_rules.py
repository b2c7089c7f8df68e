"""Rules from the nodes of an ONNX graph to the layers of a program.

A rule looks at one node as the end of a layer. What is only a part of one (padding, slices, casts) has no rule; the
rule of the node at the layer's end looks back at it. A rule raises NoFitError where it is not its layer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import onnx_ir as ir

from export.completion_patterns import COMPLETION_RULES
from export.graph_patterns import NoFitError, attribute, constant, fit, name_of, number, op, require
from export.hole_patterns import HOLE_RULES
from export.label_patterns import label_features
from export.program_scope import Rule, Scope, output
from runtime.engines.program_layers import (
    MOST_TIMES,
    Activation,
    Add,
    Affine,
    AveragePool,
    BatchNorm,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    FromBytes,
    InstanceNorm,
    LabelFeatures,
    MaxPool,
    ToBytes,
    Upsample,
)

_FLOAT, _UINT8 = ir.DataType.FLOAT, ir.DataType.UINT8
_NOWHERE = (0, 0, 0, 0)
_LAST = 2**63 - 1

_AFFINE = op("Add", op("Mul", "x", "scale"), "bias")
_FLOATS = op("Transpose", op("Cast", "image", to=_FLOAT), perm=(0, 3, 1, 2))
_SCALED = op("Sub", op("Div", _FLOATS, "divisor"), "offset")
_LEVELS = op("Clip", op("Add", op("Mul", "x", "scale"), "shift"), 0.0, 255.0)
_BYTES = op("Cast", op("Transpose", _LEVELS, perm=(0, 2, 3, 1)), to=_UINT8)

_CENTRED = op("Sub", "x", op("ReduceMean", "x", [0, 2, 3], keepdims=1))
_VARIANCE = op("ReduceMean", op("Pow", _CENTRED, 2.0), [0, 2, 3], keepdims=1)
_DEVIATION = op("Sqrt", op("Add", _VARIANCE, "epsilon"))
_NORMALISED = op("Add", op("Mul", _CENTRED, op("Mul", "scale", op("Reciprocal", _DEVIATION))), "bias")


def _label_features(scope: Scope, node: ir.Node) -> LabelFeatures:
    return label_features(node.outputs[0])


def _from_bytes(scope: Scope, node: ir.Node) -> FromBytes:
    found = fit(_SCALED, node.outputs[0])
    divisor = number(found["divisor"])
    require(found["image"].is_graph_input() and divisor != 0)
    return FromBytes((name_of(found["image"]),), output(node), 1 / divisor, -number(found["offset"]))


def _to_bytes(scope: Scope, node: ir.Node) -> ToBytes:
    value = node.outputs[0]
    found = fit(_BYTES, value)
    require(value.is_graph_output())
    return ToBytes((scope.name(found["x"]),), name_of(value), number(found["scale"]), number(found["shift"]))


def _conv(scope: Scope, node: ir.Node) -> Conv:
    return _conv_of(scope, node, node.inputs[0])


def _conv_of(scope: Scope, node: ir.Node, x: ir.Value | None) -> Conv:
    """A convolution of `x`, together with the reflection before it."""
    require(node.op_type == "Conv" and attribute(node, "group") == 1 and attribute(node, "auto_pad") == "NOTSET")
    _, weight, *bias = node.inputs
    pads, mode = attribute(node, "pads"), "zero"
    if _is(x, "Pad"):
        require(pads == _NOWHERE)
        found = fit(op("Pad", "x", "pads", mode="reflect"), x)
        x, pads, mode = found["x"], _image_pads(found["pads"]), "reflect"
    stride, dilation = attribute(node, "strides"), attribute(node, "dilations")
    return Conv((scope.name(x),), output(node), (_weight(weight),), _bias(bias), stride, dilation, pads, mode)


def _split_conv(scope: Scope, node: ir.Node) -> Conv:
    """The sum of two convolutions: of the input channels up to some number, and of the rest."""
    (first, start, stop), (second, rest, end) = (_conv_of_channels(scope, source) for source in node.inputs)
    require(start == 0 and rest == stop and end == _LAST and second.bias is None)
    require(replace(first, weights=(), output="", bias=None) == replace(second, weights=(), output=""))
    return replace(first, output=output(node), weights=first.weights + second.weights)


def _conv_of_channels(scope: Scope, value: ir.Value | None) -> tuple[Conv, int, int]:
    """A convolution of a range of channels, as if it were of all, and the range."""
    node = value.producer() if value is not None else None
    if node is None:
        raise NoFitError
    found = fit(op("Slice", "x", "start", "stop", [1], [1]), node.inputs[0])
    start, stop = (int(constant(found[end]).item()) for end in ("start", "stop"))
    return _conv_of(scope, node, found["x"]), start, stop


def _conv_transpose(scope: Scope, node: ir.Node) -> ConvTranspose:
    require(attribute(node, "group") == 1 and attribute(node, "auto_pad") == "NOTSET")
    require(attribute(node, "dilations") == (1, 1))
    x, weight, *bias = node.inputs
    stride, pads, more = (attribute(node, name) for name in ("strides", "pads", "output_padding"))
    return ConvTranspose((scope.name(x),), output(node), _weight(weight), _bias(bias), stride, pads, more)


def _instance_norm(scope: Scope, node: ir.Node) -> InstanceNorm:
    x, scale, bias = node.inputs
    factor, shift = _unless(scale, 1), _unless(bias, 0)
    return InstanceNorm((scope.name(x),), output(node), factor, shift, attribute(node, "epsilon"))


def _batch_norm(scope: Scope, node: ir.Node) -> BatchNorm:
    found = fit(_NORMALISED, node.outputs[0])
    factor, shift = _unless(found["scale"], 1), _unless(found["bias"], 0)
    return BatchNorm((scope.name(found["x"]),), output(node), factor, shift, number(found["epsilon"]))


def _affine(scope: Scope, node: ir.Node) -> Affine:
    found = fit(_AFFINE, node.outputs[0])
    x, scale, bias = (found[name] for name in ("x", "scale", "bias"))
    require(_is_by_channel(scale) and _is_by_channel(bias))
    return Affine((scope.name(x),), output(node), _weight(scale), _weight(bias))


def _is_by_channel(value: ir.Value) -> bool:
    """Whether it has the sizes [1, C, 1, 1]."""
    sizes = constant(value).shape
    return len(sizes) == 4 and sizes[0] == sizes[2] == sizes[3] == 1


def _activation(scope: Scope, node: ir.Node) -> Activation:
    kind = {"Relu": "relu", "LeakyRelu": "leaky_relu", "Tanh": "tanh"}[node.op_type]
    return Activation((scope.name(node.inputs[0]),), output(node), kind, attribute(node, "alpha") or 0.0)


def _add(scope: Scope, node: ir.Node) -> Add:
    return Add(tuple(map(scope.name, node.inputs)), output(node))


def _concat(scope: Scope, node: ir.Node) -> Concat:
    require(attribute(node, "axis") == 1)
    return Concat(tuple(map(scope.name, node.inputs)), output(node))


def _average_pool(scope: Scope, node: ir.Node) -> AveragePool:
    kernel, stride, pads = _window(node)
    require(attribute(node, "count_include_pad") == 0 or not any(pads))
    return AveragePool((scope.name(node.inputs[0]),), output(node), kernel, stride, pads)


def _max_pool(scope: Scope, node: ir.Node) -> MaxPool:
    return MaxPool((scope.name(node.inputs[0]),), output(node), *_window(node))


def _window(node: ir.Node) -> tuple[Any, Any, Any]:
    """Kernel, stride and padding of a pool."""
    require(attribute(node, "ceil_mode") == 0 and attribute(node, "auto_pad") == "NOTSET")
    require(attribute(node, "dilations") in (None, (1, 1)))
    return attribute(node, "kernel_shape"), attribute(node, "strides"), attribute(node, "pads")


def _depth_to_space(scope: Scope, node: ir.Node) -> DepthToSpace:
    require(attribute(node, "mode") == "CRD")
    return DepthToSpace((scope.name(node.inputs[0]),), output(node), attribute(node, "blocksize"))


def _upsample(scope: Scope, node: ir.Node) -> Upsample:
    mode, between = attribute(node, "mode"), attribute(node, "coordinate_transformation_mode")
    sizes = constant(fit(op("Resize", "x", "scales"), node.outputs[0])["scales"]).tolist()
    require(len(sizes) == 4 and sizes[:2] == [1, 1] and sizes[2] == sizes[3] and sizes[3] in range(2, MOST_TIMES + 1))
    is_nearest = (mode, between, attribute(node, "nearest_mode")) == ("nearest", "asymmetric", "floor")
    require(is_nearest or ((mode, between) == ("linear", "half_pixel") and not attribute(node, "antialias")))
    return Upsample((scope.name(node.inputs[0]),), output(node), int(sizes[3]), mode)


def _is(value: ir.Value | None, op_type: str) -> bool:
    node = value.producer() if value is not None else None
    return node is not None and node.op_type == op_type


def _image_pads(value: ir.Value) -> tuple[int, ...]:
    """Top, left, bottom, right of what ONNX pads all four axes with."""
    before_n, before_c, top, left, after_n, after_c, bottom, right = constant(value).tolist()
    require(not any((before_n, before_c, after_n, after_c)))
    return top, left, bottom, right


def _weight(value: ir.Value | None) -> str:
    """The name of a float32 initializer."""
    if value is None or not value.is_initializer() or value.dtype != _FLOAT:
        raise NoFitError
    return name_of(value)


def _bias(values: Sequence[ir.Value | None]) -> str | None:
    return _weight(values[0]) if values and values[0] is not None else None


def _unless(value: ir.Value | None, neutral: float) -> str | None:
    """The name of an initializer; None where all of it is `neutral`."""
    return None if (constant(value) == neutral).all() else _weight(value)


_RULES: Mapping[str, tuple[Rule, ...]] = {
    "Add": (_split_conv, _batch_norm, _affine, _add),
    "AveragePool": (_average_pool,),
    "Cast": (_to_bytes, _label_features),
    "Concat": (_label_features, _concat),
    "Conv": (_conv,),
    "ConvTranspose": (_conv_transpose,),
    "DepthToSpace": (_depth_to_space,),
    "InstanceNormalization": (_instance_norm,),
    "LeakyRelu": (_activation,),
    "MaxPool": (_max_pool,),
    "Relu": (_activation,),
    "Resize": (_upsample,),
    "Sub": (_from_bytes,),
    "Tanh": (_activation,),
}


def rules_of(node: ir.Node) -> tuple[Rule, ...]:
    """What a node may be the end of; the first that fits counts."""
    special = HOLE_RULES.get((node.domain, node.op_type), ())
    if node.domain:
        return special
    return special + COMPLETION_RULES.get(node.op_type, ()) + _RULES.get(node.op_type, ())
