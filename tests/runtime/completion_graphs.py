"""The layers of `runtime.engines.program_completion` as nodes of an ONNX graph, for `program_graphs`."""

import numpy as np
from onnx import TensorProto


def from_vector(graph, layer):
    graph.node("Unsqueeze", [layer.inputs[0], graph.integers(2, 3)], layer.output)


def to_vector(graph, layer):
    graph.node("Squeeze", [layer.inputs[0], graph.integers(2, 3)], layer.output)


def to_scalar(graph, layer):
    graph.node("Squeeze", [layer.inputs[0], graph.integers(1, 2, 3)], layer.output)


def expand(graph, layer):
    flat = graph.node("Squeeze", [layer.inputs[0], graph.integers(2, 3)])
    matrix = graph.node("Reshape", [layer.weight, graph.integers(-1, int(np.prod(layer.shape)))])
    made = _with_bias(graph, graph.node("MatMul", [flat, matrix]), layer.bias)
    graph.node("Reshape", [made, graph.integers(-1, *layer.shape)], layer.output)


def contract(graph, layer):
    flat = graph.node("Flatten", [layer.inputs[0]], axis=1)
    dims = graph.weights[layer.weight].shape
    matrix = layer.weight if dims[1] == 1 else graph.node("Transpose", [layer.weight], perm=[1, 0])
    made = _with_bias(graph, graph.node("MatMul", [flat, matrix]), layer.bias)
    graph.node("Unsqueeze", [made, graph.integers(2, 3)], layer.output)


def _with_bias(graph, value, bias):
    return value if bias is None else graph.node("Add", [value, bias])


def _number(graph, value):
    return graph.constant(np.float32(value))


def leaky_relu_gradient(graph, layer):
    x, gradient = layer.inputs
    smaller = graph.node("Mul", [gradient, _number(graph, layer.alpha)])
    graph.node("Where", [graph.node("Greater", [x, _number(graph, 0)]), gradient, smaller], layer.output)


def tanh_gradient(graph, layer):
    made, gradient = layer.inputs
    slope = graph.node("Sub", [_number(graph, 1), graph.node("Mul", [made, made])])
    graph.node("Mul", [gradient, slope], layer.output)


def _dark(graph, layer, x):
    scaled = graph.node("Mul", [graph.node("Sub", [_number(graph, 1), x]), _number(graph, layer.slope)])
    return graph.node("Add", [scaled, _number(graph, layer.offset)])


def _contextual(graph, layer):
    """d(y), d(image), M, M·d(y), M·d(image)."""
    image, observed, known_mask = layer.inputs
    floats = graph.node("Transpose", [graph.node("Cast", [observed], to=TensorProto.FLOAT)], perm=[0, 3, 1, 2])
    y = graph.node("Sub", [graph.node("Div", [floats, _number(graph, 127.5)]), _number(graph, 1)])
    mask = graph.node("Cast", [known_mask], to=TensorProto.FLOAT)
    known = graph.node("Unsqueeze", [graph.node("Div", [mask, _number(graph, 255)]), graph.integers(1)])
    wanted, made = _dark(graph, layer, y), _dark(graph, layer, image)
    return wanted, made, known, graph.node("Mul", [wanted, known]), graph.node("Mul", [made, known])


def _total(graph, value):
    return graph.node("ReduceSum", [value, graph.integers(1, 2, 3)], keepdims=1)


def contextual_loss(graph, layer):
    wanted, made, _, all_wanted, all_made = _contextual(graph, layer)
    p = graph.node("Div", [all_wanted, _total(graph, all_wanted)])
    ratio = graph.node("Sub", [graph.node("Log", [wanted]), graph.node("Log", [made])])
    first = graph.node("Add", [_total(graph, graph.node("Mul", [p, ratio])), _log_total(graph, all_made)])
    graph.node("Sub", [first, _log_total(graph, all_wanted)], layer.output)


def _log_total(graph, value):
    return graph.node("Log", [_total(graph, value)])


def contextual_gradient(graph, layer):
    _, made, known, all_wanted, all_made = _contextual(graph, layer)
    share = graph.node("Div", [graph.node("Div", [all_wanted, _total(graph, all_wanted)]), made])
    difference = graph.node("Sub", [share, graph.node("Div", [known, _total(graph, all_made)])])
    graph.node("Mul", [difference, _number(graph, layer.slope)], layer.output)


def perceptual_loss(graph, layer):
    graph.node("Neg", [graph.node("Softplus", layer.inputs)], layer.output)


def perceptual_gradient(graph, layer):
    score, weight = layer.inputs
    graph.node("Neg", [graph.node("Mul", [graph.node("Sigmoid", [score]), weight])], layer.output)


def momentum(graph, layer):
    velocity, gradient, kept, learning_rate = layer.inputs
    parts = [graph.node("Mul", [kept, velocity]), graph.node("Mul", [learning_rate, gradient])]
    graph.node("Sub", parts, layer.output)


def bounded_sum(graph, layer):
    z, velocity, limit = layer.inputs
    above = graph.node("Max", [graph.node("Add", [z, velocity]), graph.node("Neg", [limit])])
    graph.node("Min", [above, limit], layer.output)


COMPLETION = {
    function.__name__: function
    for function in (
        *(from_vector, to_vector, to_scalar, expand, contract, leaky_relu_gradient, tanh_gradient, contextual_loss),
        *(contextual_gradient, perceptual_loss, perceptual_gradient, momentum, bounded_sum),
    )
}
