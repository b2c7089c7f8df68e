"""Programs of random layers, from bytes to floats, for hypothesis."""

import numpy as np
from hypothesis import strategies as st

from runtime.engines import program_layers as ops
from runtime.engines.initializers import Initializer
from runtime.engines.program import Program
from runtime.engines.program_holes import Blend, PatchMatch, PatchPaste, Select, SmoothFill, Subtract
from runtime.engines.program_layer import Value
from tests.runtime.tiny_programs import floats_spec

_LARGEST = 40_000  # values of a layer: the reference is slow


class _Builder:
    """A program that grows; `draw` is hypothesis'."""

    def __init__(self, draw, shape):
        self.draw = draw
        self.weights, self.layers = {}, []
        self.values = {"image": Value("uint8", shape)}
        self._rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        self.add(ops.FromBytes(("image",), "floats", 2 / 255, -1.0))

    def add(self, layer):
        """Append a layer if it fits."""
        weights = {name: Initializer(name, 0, value.shape) for name, value in self.weights.items()}
        try:
            value = layer.infer(tuple(self.values[name] for name in layer.inputs), weights)
            layer.check()
        except ValueError:
            return
        if min(value.shape) > 0 and np.prod(value.shape) <= _LARGEST:
            self.layers.append(layer)
            self.values[layer.output] = value

    @property
    def last(self):
        """The newest value of floats."""
        return next(layer.output for layer in reversed(self.layers) if self.values[layer.output].dtype == "float32")

    def weight(self, *dims):
        name = f"w{len(self.weights)}"
        fan_in = max(np.prod(dims[1:]), 1)
        self.weights[name] = self._rng.normal(0, fan_in**-0.5, dims).astype(np.float32)
        return name

    def maybe(self, *dims):
        return self.weight(*dims) if self.draw(st.booleans()) else None

    def whole(self, least, most):
        return self.draw(st.integers(least, most))

    def pair(self, least, most):
        return self.whole(least, most), self.whole(least, most)

    def mask(self):
        """A mask of the image's size, 0 or 1 whatever is rounded on the way."""
        if "mask" not in self.values:
            self.add(ops.FromBytes(("image",), "bytes", 1.0, -128.5))
            channel = np.zeros((1, self.values["bytes"].shape[1], 1, 1), np.float32)
            channel[0, 0] = 100
            self.weights["channel"] = channel
            self.add(ops.Conv(("bytes",), "large", ("channel",), None, (1, 1), (1, 1), (0, 0, 0, 0), "zero"))
            self.add(ops.Activation(("large",), "sign", "tanh"))
            self.add(ops.Activation(("sign",), "mask", "relu"))
        return "mask"

    def pads(self, kernel):
        return tuple(self.whole(0, min(kernel[i % 2] - 1, 3)) for i in range(4))


def _conv(b, x, c, output):
    kernel, dilation = b.pair(1, 7), b.pair(1, 2)
    split = b.whole(1, c)
    out = b.draw(st.sampled_from([1, 3, 8, 11, 16, 24, 40]))
    parts = [c] if split == c else [split, c - split]
    names = tuple(b.weight(out, part, *kernel) for part in parts)
    mode = b.draw(st.sampled_from(["zero", "reflect"]))
    return ops.Conv((x,), output, names, b.maybe(out), b.pair(1, 3), dilation, b.pads(kernel), mode)


def _conv_transpose(b, x, c, output):
    kernel, stride = b.pair(1, 5), b.pair(1, 3)
    out = b.draw(st.sampled_from([1, 3, 8, 16, 17]))
    more = tuple(b.whole(0, side - 1) for side in stride)
    return ops.ConvTranspose((x,), output, b.weight(c, out, *kernel), b.maybe(out), stride, b.pads(kernel), more)


def _norm(b, x, c, output):
    return b.draw(st.sampled_from([ops.InstanceNorm, ops.BatchNorm]))((x,), output, b.maybe(c), b.maybe(c), 1e-5)


def _activation(b, x, c, output):
    kind = b.draw(st.sampled_from(["relu", "leaky_relu", "tanh"]))
    return ops.Activation((x,), output, kind, 0.2 if kind == "leaky_relu" else 0.0)


def _pool(b, x, c, output):
    kernel = b.pair(1, 4)
    return b.draw(st.sampled_from([ops.AveragePool, ops.MaxPool]))((x,), output, kernel, b.pair(1, 3), b.pads(kernel))


def _two(b, x, c, output):
    other = b.draw(st.sampled_from([name for name, value in b.values.items() if value.dtype == "float32"]))
    return b.draw(st.sampled_from([ops.Add, ops.Concat, Subtract]))((x, other), output)


def _masked(b, x, c, output):
    other = b.draw(st.sampled_from([name for name, value in b.values.items() if value.dtype == "float32"]))
    layers = (
        Select((b.mask(), x, other), output),
        Blend((b.mask(), x, other), output, b.whole(1, 2)),
        SmoothFill((x, b.mask()), output, b.whole(1, 2), b.whole(0, 3), 1e-3),
    )
    return b.draw(st.sampled_from(layers))


def _swap(b, x, c, output):
    """Not to be compared: where two patches all but tie, rounding decides."""
    match = PatchMatch((x, b.mask()), f"{output} match")
    b.add(match)
    return PatchPaste((x, "mask", match.output), output) if match in b.layers else match


_KINDS = (
    _conv,
    _conv,
    _conv_transpose,
    _norm,
    _activation,
    _pool,
    _two,
    _masked,
    lambda b, x, c, output: ops.Affine((x,), output, b.weight(c), b.weight(c)),
    lambda b, x, c, output: ops.DepthToSpace((x,), output, 2),
    lambda b, x, c, output: ops.Upsample((x,), output, b.whole(2, 4), b.draw(st.sampled_from(["nearest", "linear"]))),
)


@st.composite
def random_programs(draw, max_layers=8, with_matches=False):
    """(program, its weights, its specification, image uint8 [N, H, W, C])."""
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 21)), draw(st.integers(1, 21)), draw(st.integers(1, 4)))
    builder = _Builder(draw, shape)
    for index in range(draw(st.integers(1, max_layers))):
        x = builder.last
        kind = draw(st.sampled_from((*_KINDS, _swap, _swap) if with_matches else _KINDS))
        builder.add(kind(builder, x, builder.values[x].shape[1], f"v{index}"))
    builder.add(ops.ToFloats((builder.last,), "features"))
    program = Program(tuple(builder.layers))
    weights = {name: builder.weights[name] for name in program.initializers}
    spec = floats_spec(shape[3], builder.values["features"].shape[1])
    return program, weights, spec, np.random.default_rng(1).integers(0, 256, shape, np.uint8)
