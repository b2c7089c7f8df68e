"""How the graph of a search's step looks (`export.inference_modules.contextual_gan`): losses, gradients, descent."""

import numpy as np
import onnx_ir as ir

from export.graph_patterns import Found, NoFitError, Op, attribute, constant, fit, name_of, number, op, require
from export.program_scope import Rule, Scope, output
from runtime.engines.program_completion import (
    BoundedSum,
    ContextualGradient,
    ContextualLoss,
    Contract,
    Expand,
    FromVector,
    LeakyReluGradient,
    Momentum,
    PerceptualGradient,
    PerceptualLoss,
    TanhGradient,
    ToScalar,
    ToVector,
)
from runtime.engines.program_layer import Layer

_FLOAT = ir.DataType.FLOAT
_SUMMED = [1, 2, 3]
_SURE = 20.0  # from here on torch takes softplus(x) for x

_LEAKY = op("Where", op("Greater", "x", 0.0), "gradient", op("Mul", "gradient", "alpha"))
_TANH = op("Mul", "gradient", op("Sub", 1.0, op("Mul", "made", "made")))

_OBSERVED = op("Sub", op("Div", op("Transpose", op("Cast", "observed", to=_FLOAT), perm=(0, 3, 1, 2)), 127.5), 1.0)
_KNOWN = op("Unsqueeze", op("Div", op("Cast", "known_mask", to=_FLOAT), 255.0), [1])


def _dark(image: Op | str) -> Op:
    return op("Add", op("Mul", op("Sub", 1.0, image), "slope"), "offset")


def _total(weighted: Op) -> Op:
    return op("ReduceSum", weighted, _SUMMED, keepdims=0)


_WANTED = op("Mul", _dark(_OBSERVED), _KNOWN)  # M·d(y)
_MADE = op("Mul", _dark("image"), _KNOWN)
_P = op("Div", _WANTED, _total(_WANTED))
_RATIO = op("Sub", op("Log", _dark(_OBSERVED)), op("Log", _dark("image")))


_DIVERGENCE = op("Sub", op("Add", _total(op("Mul", _P, _RATIO)), op("Log", _total(_MADE))), op("Log", _total(_WANTED)))


def _spread(value: Op | str, shape: str) -> Op:
    """A number for each image, repeated for every pixel."""
    return op("Expand", op("Unsqueeze", op("Unsqueeze", value, "axes"), "axis"), shape)


_ONES = op("Expand", 1.0, "count")


_BY_RATIO = op("Div", op("Neg", op("Mul", _spread(_ONES, "shape"), _P)), _dark("image"))
_BY_TOTAL = op("Mul", _spread(op("Div", _ONES, _total(_MADE)), "shape"), _KNOWN)
_BY_IMAGE = op("Neg", op("Mul", op("Add", _BY_RATIO, _BY_TOTAL), "slope"))


_IS_SURE = op("Greater", "score", _SURE)
_SOFTPLUS = op("Neg", op("Where", _IS_SURE, "score", op("Softplus", "score")))
_WEIGHT = op("Neg", op("Mul", _ONES, "weight"))
_SIGMOID = op("Div", op("Mul", _WEIGHT, op("Exp", "score")), op("Add", op("Exp", "score"), 1.0))
_SOFTPLUS_GRADIENT = op("Where", _IS_SURE, _WEIGHT, _SIGMOID)

_VELOCITY = op("Sub", op("Mul", "momentum", "velocity"), op("Mul", "learning_rate", "gradient"))
_BOUNDED = op("Min", op("Max", op("Add", "z", "velocity"), op("Neg", "limit")), "limit")

_TRANSPOSED = op("Transpose", "weight", perm=(1, 0))


def _leaky_relu_gradient(scope: Scope, node: ir.Node) -> LeakyReluGradient:
    found = fit(_LEAKY, node.outputs[0])
    inputs = (scope.name(found["x"]), scope.name(found["gradient"]))
    return LeakyReluGradient(inputs, output(node), number(found["alpha"]))


def _tanh_gradient(scope: Scope, node: ir.Node) -> TanhGradient:
    found = fit(_TANH, node.outputs[0])
    return TanhGradient((scope.name(found["made"]), scope.name(found["gradient"])), output(node))


def _contextual(scope: Scope, found: Found) -> tuple[tuple[str, str, str], float, float]:
    """Inputs, slope and offset."""
    observed, known = found["observed"], found["known_mask"]
    require(observed.is_graph_input() and known.is_graph_input())
    inputs = (scope.name(found["image"]), name_of(observed), name_of(known))
    return inputs, number(found["slope"]), number(found["offset"])


def _contextual_loss(scope: Scope, node: ir.Node) -> ContextualLoss:
    inputs, slope, offset = _contextual(scope, fit(_DIVERGENCE, node.outputs[0]))
    return ContextualLoss(inputs, output(node), slope, offset)


def _contextual_gradient(scope: Scope, node: ir.Node) -> ContextualGradient:
    inputs, slope, offset = _contextual(scope, fit(_BY_IMAGE, node.outputs[0]))
    return ContextualGradient(inputs, output(node), slope, offset)


def _perceptual_loss(scope: Scope, node: ir.Node) -> PerceptualLoss:
    return PerceptualLoss((scope.name(fit(_SOFTPLUS, node.outputs[0])["score"]),), output(node))


def _perceptual_gradient(scope: Scope, node: ir.Node) -> PerceptualGradient:
    found = fit(_SOFTPLUS_GRADIENT, node.outputs[0])
    require(found["weight"].is_graph_input())
    return PerceptualGradient((scope.name(found["score"]), name_of(found["weight"])), output(node))


def _momentum(scope: Scope, node: ir.Node) -> Momentum:
    found = fit(_VELOCITY, node.outputs[0])
    require(found["momentum"].is_graph_input() and found["learning_rate"].is_graph_input())
    numbers = (name_of(found["momentum"]), name_of(found["learning_rate"]))
    return Momentum((scope.name(found["velocity"]), scope.name(found["gradient"]), *numbers), output(node))


def _bounded_sum(scope: Scope, node: ir.Node) -> BoundedSum:
    found = fit(_BOUNDED, node.outputs[0])
    require(found["limit"].is_graph_input())
    return BoundedSum((scope.name(found["z"]), scope.name(found["velocity"]), name_of(found["limit"])), output(node))


def _linear(value: ir.Value | None) -> tuple[ir.Value, ir.Value, ir.Value | None]:
    """Input, weight and bias of a Gemm without factors, or a MatMul."""
    node = value.producer() if value is not None else None
    require(node is not None and node.op_type in ("Gemm", "MatMul"))
    assert node is not None
    if node.op_type == "Gemm":
        require(all(attribute(node, name) in (None, 1.0) for name in ("alpha", "beta")))
        require(not attribute(node, "transA") and not attribute(node, "transB"))
    x, weight, *bias = node.inputs
    require(x is not None and weight is not None)
    assert x is not None
    assert weight is not None
    return x, weight, bias[0] if bias else None


def _expand(scope: Scope, node: ir.Node) -> Expand:
    """The reshaped result of a linear layer."""
    x, weight, bias = _linear(node.inputs[0])
    count, *shape = (int(side) for side in constant(node.inputs[1]))
    require(count == -1 and len(shape) == 3)
    if not weight.is_initializer():
        weight = _column(fit(_TRANSPOSED, weight)["weight"])
    return Expand((scope.name(x),), output(node), _weight(weight), _bias(bias), (shape[0], shape[1], shape[2]))


def _contract(scope: Scope, node: ir.Node) -> Contract:
    """A linear layer of a reshaped map."""
    x, weight, bias = _linear(node.outputs[0])
    flat = fit(op("Reshape", "x", "shape"), x)
    require(list(constant(flat["shape"])[:-1]) == [-1])
    weight = _rows(weight) if weight.is_initializer() else fit(_TRANSPOSED, weight)["weight"]
    return Contract((scope.name(flat["x"]),), output(node), _weight(weight), _bias(bias))


def _rows(value: ir.Value) -> ir.Value:
    """The initializer that is a matrix's transpose: of small ones the exporter leaves both."""
    matrix = constant(value)
    if matrix.ndim == 2 and matrix.shape[1] == 1:
        return value
    require(value.graph is not None)
    for other in value.graph.initializers.values():  # type: ignore[union-attr]
        if other.shape is not None and other.shape == matrix.shape[::-1] and np.array_equal(constant(other).T, matrix):
            return other
    raise NoFitError


def _column(value: ir.Value) -> ir.Value:
    """A matrix of one column, which lies as its transpose does."""
    require(value.shape is not None and len(value.shape) == 2 and value.shape[1] == 1)
    return value


def _weight(value: ir.Value) -> str:
    require(value.is_initializer() and value.dtype == _FLOAT)
    return name_of(value)


def _bias(value: ir.Value | None) -> str | None:
    return None if value is None else _weight(value)


def _same_numbers(scope: Scope, node: ir.Node) -> str:
    """[N, 1] as [N], or the reverse: to a program both are [N, 1, 1, 1]."""
    require(len(node.inputs) == 2)
    value, axes = node.inputs
    require(list(constant(axes)) == [1] and value is not None and value.shape is not None)
    assert value is not None
    assert value.shape is not None
    require(len(value.shape) == 1 or (len(value.shape) == 2 and value.shape[1] == 1))
    return scope.name(value)


COMPLETION_RULES: dict[str, tuple[Rule, ...]] = {
    "Gemm": (_contract,),
    "MatMul": (_contract,),
    "Min": (_bounded_sum,),
    "Mul": (_tanh_gradient,),
    "Neg": (_contextual_gradient, _perceptual_loss),
    "Reshape": (_expand,),
    "Squeeze": (_same_numbers,),
    "Sub": (_contextual_loss, _momentum),
    "Unsqueeze": (_same_numbers,),
    "Where": (_leaky_relu_gradient, _perceptual_gradient),
}


def as_vector(value: ir.Value) -> FromVector | None:
    """The layer that reads a graph's input of vectors; None for whatever is none."""
    is_vector = value.dtype == _FLOAT and value.shape is not None and len(value.shape) == 2
    return FromVector((name_of(value),), f"{name_of(value)} inside") if is_vector else None


def as_numbers(scope: Scope, value: ir.Value) -> Layer | None:
    """The layer that shows a vector or a number as an output; None for whatever is neither."""
    kind = {1: ToScalar, 2: ToVector}.get(len(value.shape) if value.shape is not None else 0)
    return kind((scope.name(value),), name_of(value)) if kind and value.dtype == _FLOAT else None
