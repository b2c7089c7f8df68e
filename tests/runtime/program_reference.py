"""Programs in plain numpy and float64: slow, and short enough to believe; what kernels and exports are held against."""

import math
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from runtime.engines.onnx_metadata import read_spec
from runtime.engines.program import read_program


def run_program(program, weights, inputs):
    """Every value by name, outputs among them.

    Args:
        program: a `Program`.
        weights: float32 arrays by the name of the initializer.
        inputs: arrays by the name of the engine's input.
    """
    values = dict(inputs)
    weights = {name: np.asarray(weight, np.float64) for name, weight in weights.items()}
    for layer in program.layers:
        values[layer.output] = LAYERS[layer.op](layer, weights, *(values[name] for name in layer.inputs))
    return values


def run_file(path, inputs):
    """Every value of the program in an engine file."""
    program, weights = read_program(path, read_spec(path))
    content = Path(path).read_bytes()
    return run_program(program, {name: weight.read(content) for name, weight in weights.items()}, inputs)


def label_features(layer, weights, label_map, inst_map=None, styles=None):
    channels = [label_map[:, None] == np.arange(layer.label_nc)[:, None, None]]
    if layer.has_edges:
        across = inst_map[:, :, 1:] != inst_map[:, :, :-1]
        down = inst_map[:, 1:] != inst_map[:, :-1]
        edge = np.zeros(inst_map.shape, bool)
        edge[:, :, 1:] |= across
        edge[:, :, :-1] |= across
        edge[:, 1:] |= down
        edge[:, :-1] |= down
        channels.append(edge[:, None])
    if layer.feat_num:
        rows = [table[ids] for table, ids in zip(styles, inst_map, strict=True)]
        channels.append(np.stack(rows).transpose(0, 3, 1, 2))
    return np.concatenate(channels, 1, dtype=np.float64)


def from_bytes(layer, weights, image):
    return image.transpose(0, 3, 1, 2) * layer.scale + layer.shift


def conv(layer, weights, x):
    kernel = np.concatenate([weights[name] for name in layer.weights], 1)
    top, left, bottom, right = layer.pads
    mode = {"zero": "constant", "reflect": "reflect"}[layer.pad_mode]
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), mode)
    reach = [dilation * (side - 1) + 1 for dilation, side in zip(layer.dilation, kernel.shape[2:], strict=True)]
    windows = sliding_window_view(x, reach, (2, 3))
    windows = windows[:, :, :: layer.stride[0], :: layer.stride[1], :: layer.dilation[0], :: layer.dilation[1]]
    return _with_bias(np.einsum("nchwij,ocij->nohw", windows, kernel, optimize=True), weights, layer.bias)


def conv_transpose(layer, weights, x):
    kernel = weights[layer.weight]
    n, _, h, w = x.shape
    _, out, rows, columns = kernel.shape
    (down, across), (top, left, bottom, right) = layer.stride, layer.pads
    full = np.zeros((n, out, (h - 1) * down + rows, (w - 1) * across + columns))
    for i in range(rows):
        for j in range(columns):
            spread = full[:, :, i : i + (h - 1) * down + 1 : down, j : j + (w - 1) * across + 1 : across]
            spread += np.einsum("nchw,co->nohw", x, kernel[:, :, i, j], optimize=True)
    more = layer.output_padding
    full = np.pad(full, ((0, 0), (0, 0), (0, more[0]), (0, more[1])))
    full = full[:, :, top : full.shape[2] - bottom, left : full.shape[3] - right]
    return _with_bias(full, weights, layer.bias)


def _with_bias(x, weights, bias):
    return x if bias is None else x + _column(weights, bias)


def _column(weights, name):
    """One value a channel."""
    return weights[name].reshape(-1, 1, 1)


def instance_norm(layer, weights, x):
    return _normalised(layer, weights, x, (2, 3))


def batch_norm(layer, weights, x):
    return _normalised(layer, weights, x, (0, 2, 3))


def _normalised(layer, weights, x, axes):
    x = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + layer.epsilon)
    if layer.scale is not None:
        x = x * _column(weights, layer.scale)
    return _with_bias(x, weights, layer.bias)


def affine(layer, weights, x):
    return x * _column(weights, layer.scale) + _column(weights, layer.bias)


def activation(layer, weights, x):
    if layer.kind == "tanh":
        return np.tanh(x)
    return np.where(x > 0, x, layer.alpha * x if layer.kind == "leaky_relu" else 0)


def add(layer, weights, x, y):
    return x + y


def concat(layer, weights, *values):
    return np.concatenate(values, 1)


def average_pool(layer, weights, x):
    return np.nanmean(_windows(layer, x, np.nan), (4, 5))


def max_pool(layer, weights, x):
    return _windows(layer, x, -math.inf).max((4, 5))


def _windows(layer, x, padding):
    top, left, bottom, right = layer.pads
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=padding)
    return sliding_window_view(x, layer.kernel, (2, 3))[:, :, :: layer.stride[0], :: layer.stride[1]]


def depth_to_space(layer, weights, x):
    n, c, h, w = x.shape
    b = layer.block
    return x.reshape(n, c // b**2, b, b, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, c // b**2, h * b, w * b)


def upsample(layer, weights, x):
    if layer.mode == "nearest":
        return x.repeat(2, 2).repeat(2, 3)
    for axis in (2, 3):
        x = np.moveaxis(x, axis, 0)
        padded = np.concatenate([x[:1], x, x[-1:]])
        pairs = np.stack([0.25 * padded[:-2] + 0.75 * x, 0.75 * x + 0.25 * padded[2:]], 1)
        x = np.moveaxis(pairs.reshape(-1, *x.shape[1:]), 0, axis)
    return x


def to_bytes(layer, weights, x):
    return np.clip(x * layer.scale + layer.shift, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def to_floats(layer, weights, x):
    return x.astype(np.float32)


LAYERS = {
    function.__name__: function
    for function in (
        activation,
        add,
        affine,
        average_pool,
        batch_norm,
        concat,
        conv,
        conv_transpose,
        depth_to_space,
        from_bytes,
        instance_norm,
        label_features,
        max_pool,
        to_bytes,
        to_floats,
        upsample,
    )
}
