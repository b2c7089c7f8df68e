"""A program's layers as nodes of an ONNX graph: engine files whose program and graph say the same."""

import numpy as np
from onnx import TensorProto, helper

from runtime.engines.program_layers import OPS
from tests.runtime.completion_graphs import COMPLETION

_FLOAT = TensorProto.FLOAT


class Graph:
    """Nodes and constants that compute a program.

    Args:
        program: a `Program`.
        weights: float32 arrays by the name of the initializer.
    """

    def __init__(self, program, weights):
        self.nodes, self.constants = [], list(weights.items())
        self.weights = weights
        for layer in program.layers:
            LAYERS[layer.op](self, layer)

    def node(self, op, inputs, output=None, **attributes):
        output = output or f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def constant(self, value):
        name = f"constant_{len(self.constants)}"
        self.constants.append((name, value))
        return name

    def integers(self, *values):
        return self.constant(np.array(values, np.int64))

    def joined(self, names):
        return self.constant(np.concatenate([self.weights[name] for name in names], 1))

    def per_channel(self, initializer, absent):
        value = np.float32(absent) if initializer is None else self.weights[initializer].reshape(-1, 1, 1)
        return self.constant(value)


def label_features(graph, layer):
    label_map, *others = layer.inputs
    ids = graph.node("Cast", [label_map], to=TensorProto.INT32)
    classes = graph.constant(np.arange(layer.label_nc, dtype=np.int32).reshape(1, -1, 1, 1))
    one_hot = graph.node("Equal", [graph.node("Unsqueeze", [ids, graph.integers(1)]), classes])
    channels = [graph.node("Cast", [one_hot], to=_FLOAT)]
    if layer.has_edges:
        channels.append(_edges(graph, others[0]))
    if layer.feat_num:
        index = graph.node("Unsqueeze", [graph.node("Cast", [others[0]], to=TensorProto.INT64), graph.integers(-1)])
        features = graph.node("GatherND", [others[1], index], batch_dims=1)
        channels.append(graph.node("Transpose", [features], perm=[0, 3, 1, 2]))
    graph.node("Concat", channels, layer.output, axis=1)


def _edges(graph, inst_map):
    """Where the largest distance to a neighbour's id is not 0."""
    ids = graph.node("Unsqueeze", [graph.node("Cast", [inst_map], to=_FLOAT), graph.integers(1)])
    padded = graph.node("Pad", [ids, graph.integers(0, 0, 1, 1, 0, 0, 1, 1)], mode="edge")
    distances = []
    for top, left in ((0, 1), (2, 1), (1, 0), (1, 2)):
        ends = graph.integers(top - 2 or 2**31, left - 2 or 2**31)
        neighbour = graph.node("Slice", [padded, graph.integers(top, left), ends, graph.integers(2, 3)])
        distances.append(graph.node("Abs", [graph.node("Sub", [ids, neighbour])]))
    return graph.node("Sign", [graph.node("Max", distances)])


def from_bytes(graph, layer):
    floats = graph.node("Cast", list(layer.inputs), to=_FLOAT)
    scaled = graph.node("Mul", [floats, graph.constant(np.float32(layer.scale))])
    shifted = graph.node("Add", [scaled, graph.constant(np.float32(layer.shift))])
    graph.node("Transpose", [shifted], layer.output, perm=[0, 3, 1, 2])


def conv(graph, layer):
    (x,) = layer.inputs
    pads = layer.pads
    if layer.pad_mode == "reflect":
        top, left, bottom, right = pads
        x = graph.node("Pad", [x, graph.integers(0, 0, top, left, 0, 0, bottom, right)], mode="reflect")
        pads = (0, 0, 0, 0)
    sources = [x, graph.joined(layer.weights), *([layer.bias] if layer.bias else [])]
    graph.node("Conv", sources, layer.output, strides=layer.stride, dilations=layer.dilation, pads=pads)


def conv_transpose(graph, layer):
    sources = [*layer.inputs, layer.weight, *([layer.bias] if layer.bias else [])]
    more = {"output_padding": layer.output_padding}
    graph.node("ConvTranspose", sources, layer.output, strides=layer.stride, pads=layer.pads, **more)


def instance_norm(graph, layer):
    _normalised(graph, layer, (2, 3))


def batch_norm(graph, layer):
    _normalised(graph, layer, (0, 2, 3))


def _normalised(graph, layer, axes):
    (x,) = layer.inputs
    axes = graph.integers(*axes)
    centred = graph.node("Sub", [x, graph.node("ReduceMean", [x, axes])])
    variance = graph.node("ReduceMean", [graph.node("Mul", [centred, centred]), axes])
    deviation = graph.node("Sqrt", [graph.node("Add", [variance, graph.constant(np.float32(layer.epsilon))])])
    unit = graph.node("Div", [centred, deviation])
    scaled = graph.node("Mul", [unit, graph.per_channel(layer.scale, 1)])
    graph.node("Add", [scaled, graph.per_channel(layer.bias, 0)], layer.output)


def affine(graph, layer):
    scaled = graph.node("Mul", [*layer.inputs, graph.per_channel(layer.scale, 1)])
    graph.node("Add", [scaled, graph.per_channel(layer.bias, 0)], layer.output)


def activation(graph, layer):
    op = {"relu": "Relu", "leaky_relu": "LeakyRelu", "tanh": "Tanh"}[layer.kind]
    graph.node(op, layer.inputs, layer.output, **({"alpha": layer.alpha} if op == "LeakyRelu" else {}))


def add(graph, layer):
    graph.node("Add", layer.inputs, layer.output)


def concat(graph, layer):
    graph.node("Concat", layer.inputs, layer.output, axis=1)


def average_pool(graph, layer):
    window = {"kernel_shape": layer.kernel, "strides": layer.stride, "pads": layer.pads}
    graph.node("AveragePool", layer.inputs, layer.output, **window)


def max_pool(graph, layer):
    window = {"kernel_shape": layer.kernel, "strides": layer.stride, "pads": layer.pads}
    graph.node("MaxPool", layer.inputs, layer.output, **window)


def depth_to_space(graph, layer):
    graph.node("DepthToSpace", layer.inputs, layer.output, blocksize=layer.block, mode="CRD")


def upsample(graph, layer):
    scales = graph.constant(np.array([1, 1, layer.scale, layer.scale], np.float32))
    modes = {"nearest": {"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}, "linear": {}}[
        layer.mode
    ]
    graph.node("Resize", [*layer.inputs, "", scales], layer.output, mode=layer.mode, **modes)


def to_bytes(graph, layer):
    _bytes(graph, layer, *layer.inputs, layer.output)


def _bytes(graph, layer, x, output=None):
    scaled = graph.node("Mul", [x, graph.constant(np.float32(layer.scale))])
    shifted = graph.node("Add", [scaled, graph.constant(np.float32(layer.shift))])
    clipped = graph.node("Clip", [shifted, graph.constant(np.float32(0)), graph.constant(np.float32(255))])
    last = graph.node("Transpose", [clipped], perm=[0, 2, 3, 1])
    return graph.node("Cast", [last], output, to=TensorProto.UINT8)


def to_floats(graph, layer):
    graph.node("Identity", layer.inputs, layer.output)


def hole_mask(graph, layer):
    is_missing = graph.node("Cast", [graph.node("Cast", list(layer.inputs), to=TensorProto.BOOL)], to=_FLOAT)
    graph.node("Unsqueeze", [is_missing, graph.integers(1)], layer.output)


def _is_set(graph, mask):
    return graph.node("Greater", [mask, graph.constant(np.float32(0))])


def select(graph, layer):
    mask, inside, outside = layer.inputs
    graph.node("Where", [_is_set(graph, mask), inside, outside], layer.output)


def subtract(graph, layer):
    graph.node("Sub", layer.inputs, layer.output)


def blend(graph, layer):
    weight, first, second = layer.inputs
    power = graph.node("Pow", [weight, graph.constant(np.float32(layer.exponent))])
    step = graph.node("Mul", [power, graph.node("Sub", [second, first])])
    graph.node("Add", [first, step], layer.output)


def smooth_fill(graph, layer):
    x, mask = layer.inputs
    zero, one, least = (graph.constant(np.float32(value)) for value in (0, 1, layer.least))
    pyramid = [(graph.node("Where", [_is_set(graph, mask), zero, x]), graph.node("Sub", [one, mask]))]
    for _ in range(layer.levels):
        halves = {"kernel_shape": (2, 2), "strides": (2, 2)}
        pyramid.append(tuple(graph.node("AveragePool", [part], **halves) for part in pyramid[-1]))
    values, share = pyramid.pop()
    known = graph.node("Cast", [graph.node("Greater", [share, least])], to=_FLOAT)
    values = graph.node("Div", [values, graph.node("Max", [share, least])])
    around = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), "count_include_pad": 1}
    for _ in range(layer.spread):
        share = graph.node("AveragePool", [known], **around)
        total = graph.node("AveragePool", [graph.node("Mul", [values, known])], **around)
        mean = graph.node("Div", [total, graph.node("Max", [share, least])])
        values = graph.node("Where", [_is_set(graph, known), values, mean])
        known = graph.node("Cast", [_is_set(graph, share)], to=_FLOAT)
    scales = graph.constant(np.array([1, 1, 2, 2], np.float32))
    while pyramid:
        own, share = pyramid.pop()
        finer = graph.node("Resize", [values, "", scales], mode="linear")
        lacking = graph.node("Mul", [graph.node("Sub", [one, share]), finer])
        values = graph.node("Add", [own, lacking], None if pyramid else layer.output)


def patch_match(graph, layer):
    graph.node("PatchMatch", layer.inputs, layer.output, domain="pix2rt")


def patch_paste(graph, layer):
    graph.node("PatchPaste", layer.inputs, layer.output, domain="pix2rt")


def paste_bytes(graph, layer):
    x, image, mask = layer.inputs
    is_missing = graph.node("Unsqueeze", [graph.node("Cast", [mask], to=TensorProto.BOOL), graph.integers(-1)])
    graph.node("Where", [is_missing, _bytes(graph, layer, x), image], layer.output)


def to_match(graph, layer):
    graph.node("Identity", layer.inputs, layer.output)


LAYERS = {op: COMPLETION.get(op) or globals()[op] for op in OPS}
