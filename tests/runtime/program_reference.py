"""Programs in plain numpy and float64: slow, and short enough to believe; what kernels and exports are held against."""

import math
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cuda_ext import reference as patch_swap
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.program import read_program
from runtime.engines.program_layers import OPS
from tests.runtime.completion_reference import COMPLETION


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
    return enlarged(x, layer.scale, layer.mode)


def enlarged(x, scale, mode="linear"):
    if mode == "nearest":
        return x.repeat(scale, 2).repeat(scale, 3)
    for axis in (2, 3):
        side = x.shape[axis]
        at = np.clip((np.arange(scale * side) + 0.5) / scale - 0.5, 0, side - 1)
        x = np.apply_along_axis(lambda line, at=at, side=side: np.interp(at, np.arange(side), line), axis, x)
    return x


def hole_mask(layer, weights, mask):
    return (mask[:, None] != 0).astype(np.float64)


def select(layer, weights, mask, inside, outside):
    return np.where(mask > 0, inside, outside)


def subtract(layer, weights, x, y):
    return x - y


def blend(layer, weights, weight, first, second):
    return first + weight**layer.exponent * (second - first)


def smooth_fill(layer, weights, x, mask):
    pyramid = [(np.where(mask > 0, 0, x), 1 - mask)]
    for _ in range(layer.levels):
        pyramid.append(tuple(_halved(part) for part in pyramid[-1]))
    values, share = pyramid.pop()
    known = np.broadcast_to(share > layer.least, values.shape).astype(np.float64)
    values = values / np.maximum(share, layer.least)
    for _ in range(layer.spread):
        share = _box(known) / 9
        mean = _box(values * known) / 9 / np.maximum(share, layer.least)
        values, known = np.where(known > 0, values, mean), (share > 0).astype(np.float64)
    for own, share in reversed(pyramid):
        values = own + (1 - share) * enlarged(values, 2)
    return values


def _halved(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))


def _box(x):
    """Sums of 3×3 windows, zero outside."""
    return sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3)).sum((4, 5))


def patch_match(layer, weights, features, mask):
    return patch_swap.patch_match(features.astype(np.float32), mask > 0)


def patch_paste(layer, weights, features, mask, match):
    return patch_swap.patch_paste(features, mask > 0, match)


def paste_bytes(layer, weights, x, image, mask):
    return np.where(mask[..., None] != 0, to_bytes(layer, weights, x), image)


def to_match(layer, weights, match):
    return match


def to_bytes(layer, weights, x):
    return np.clip(x * layer.scale + layer.shift, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def to_floats(layer, weights, x):
    return x.astype(np.float32)


LAYERS = {op: COMPLETION.get(op) or globals()[op] for op in OPS}
