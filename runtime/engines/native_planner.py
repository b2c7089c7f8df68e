"""From a program to the steps of native kernels: norms, activations and concatenations move into their readers.

A value is the parts that its readers read: a concatenation is the list of its sources' parts, a normalisation a scale
and shift of a part, whose statistics the convolution before it leaves behind.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runtime.engines import native_completion as completion
from runtime.engines import native_holes as holes
from runtime.engines import program_layers as ops
from runtime.engines.initializers import Initializer
from runtime.engines.native_labels import Labels, can_pool, convolve_labels, dense, pool_labels, read_labels
from runtime.engines.native_memory import Block
from runtime.engines.native_steps import Part, Source, Step
from runtime.engines.program import Program
from runtime.engines.program_layer import Layer, Value
from runtime.errors import UnknownProgramError
from runtime.native.library import LEAKY, TANH

_FLOAT, _DOUBLE = 4, 8
_ACTIVATIONS = {"relu": LEAKY, "leaky_relu": LEAKY, "tanh": TANH}
Parts = tuple[Part, ...]


@dataclass(frozen=True)
class WeightFile:
    """The mapped engine file: its address, and where initializers lie in it."""

    address: int
    initializers: Mapping[str, Initializer]

    def dims(self, name: str) -> tuple[int, ...]:
        """Sizes of an initializer."""
        return self.initializers[name].dims

    def at(self, name: str | None, index: int = 0) -> int | None:
        """Address of a value of an initializer; None for none."""
        return None if name is None else self.address + self.initializers[name].offset + _FLOAT * index


class Planner:
    """Plans one program for inputs of one shape."""

    def __init__(
        self,
        values: Mapping[str, Value],
        batch: int,
        buffers: Mapping[str, int],
        weights: WeightFile,
        lanes: int,
        algorithm: str,
    ) -> None:
        """`buffers`: engine inputs and outputs → their number; `algorithm`: of convolutions, "auto" but in tests."""
        self.values, self.batch, self.buffers, self.weights = values, batch, buffers, weights
        self._lanes, self._algorithm = lanes, algorithm
        self._parts: dict[str, Parts] = {}
        self._labels: dict[str, Labels] = {}
        self.masks: dict[str, holes.Mask] = {}
        self.matches: dict[str, Block] = {}
        self.steps: list[Step] = []

    def plan(self, program: Program) -> list[Step]:
        """The steps of all layers."""
        for layer in program.layers:
            parts = _HANDLERS[layer.op](self, layer)
            if parts is not None:
                self._parts[layer.output] = parts
        return self.steps

    def step(self, kind: str, shape: tuple[int, ...], **fields: Any) -> Step:
        """Append a step."""
        step = Step(kind, (shape[0], shape[1], shape[2]), **fields)
        self.steps.append(step)
        return step

    def made(self, kind: str, shape: tuple[int, ...], **fields: Any) -> Parts:
        """A step that writes a value of its own."""
        size = self._padded(shape[0]) * shape[1] * shape[2] * self.batch * _FLOAT
        step = self.step(kind, shape, out=Block(size, 0, 0), **fields)
        assert step.out
        return (Part(step.out, step, *step.shape),)

    def _padded(self, channels: int) -> int:
        return -(-channels // self._lanes) * self._lanes

    def _inputs(self, layer: Layer) -> Parts:
        return self._parts_of(layer.inputs[0])

    def _parts_of(self, name: str) -> Parts:
        if name not in self._parts:
            mask = self.masks.get(name)
            self._parts[name] = holes.widened(self, mask) if mask else dense(self, self._labels[name])
        return self._parts[name]

    def _shape(self, name: str) -> tuple[int, ...]:
        return self.values[name].shape[1:]

    def single(self, name: str) -> Part:
        """A value as one part; a concatenation is copied together."""
        parts = self._parts_of(name)
        if len(parts) > 1:
            self._parts[name] = parts = self.made("concat", self._shape(name), inputs=parts)
        return parts[0]

    def _plain(self, part: Part) -> Part:
        """The part, computed where it is not read as it lies there."""
        return part if part.is_plain else self.made("sum", (part.channels, part.height, part.width), inputs=(part,))[0]

    def _from_bytes(self, layer: ops.FromBytes) -> Parts:
        buffers = (self.buffers[layer.inputs[0]],)
        return self.made("from_bytes", self._shape(layer.output), buffers=buffers, scale=layer.scale, shift=layer.shift)

    def _label_features(self, layer: ops.LabelFeatures) -> None:
        self._labels[layer.output] = read_labels(self, layer)

    def _conv(self, layer: ops.Conv) -> Parts:
        kernel = self.weights.dims(layer.weights[0])[2:]
        labels = self._labels.get(layer.inputs[0])
        inputs = () if labels else self._inputs(layer)
        made = self.made(
            "conv",
            self._shape(layer.output),
            inputs=inputs,
            sources=() if labels else self._conv_sources(layer.weights, [part.channels for part in inputs]),
            bias=self.weights.at(layer.bias),
            kernel=kernel,
            stride=layer.stride,
            dilation=layer.dilation,
            pad=layer.pads[:2],
            is_reflected=layer.pad_mode == "reflect",
            algorithm=self._algorithm,
        )
        if not labels:
            return made
        channels = [labels.channels, labels.styles.channels if labels.styles else 0]
        conv = self.steps.pop()
        return (convolve_labels(self, labels, conv, self._conv_sources(layer.weights, channels)),)

    def _conv_sources(self, names: tuple[str, ...], inputs: Sequence[int]) -> tuple[Source, ...]:
        """Where the weights of each run of channels lie that is in one initializer and one part."""
        sources = []
        begin = 0
        for name in names:
            _, channels, height, width = self.weights.dims(name)
            first = 0
            for operand, part in enumerate(inputs):
                low, high = max(first, begin), min(first + part, begin + channels)
                if low < high:
                    taps = height * width
                    address = self.weights.at(name, (low - begin) * taps)
                    assert address is not None
                    sources.append(Source(address, channels * taps, taps, operand, low - first, high - low))
                first += part
            begin += channels
        return tuple(sources)

    def _conv_transpose(self, layer: ops.ConvTranspose) -> Parts:
        _, outputs, *kernel = self.weights.dims(layer.weight)
        taps = kernel[0] * kernel[1]
        inputs, sources, first = self._inputs(layer), [], 0
        for operand, part in enumerate(inputs):
            address = self.weights.at(layer.weight, first * outputs * taps)
            assert address is not None
            sources.append(Source(address, taps, outputs * taps, operand, 0, part.channels))
            first += part.channels
        return self.made(
            "conv_transpose",
            self._shape(layer.output),
            inputs=inputs,
            sources=tuple(sources),
            bias=self.weights.at(layer.bias),
            kernel=tuple(kernel),
            stride=layer.stride,
            pad=layer.pads[:2],
            algorithm=self._algorithm,
        )

    def _norm(self, layer: ops.InstanceNorm | ops.BatchNorm | ops.Affine) -> Parts:
        """Each part of its own: the channels of a normalisation do not know each other."""
        parts, first = [], 0
        is_affine = isinstance(layer, ops.Affine)
        for part in self._inputs(layer):
            plain = self._plain(part)
            norm = self.step(
                "norm",
                (part.channels, part.height, part.width),
                gain=self.weights.at(layer.scale, first),
                bias=self.weights.at(layer.bias, first),
                stats=None if is_affine else self._stats(plain),
                out=Block(2 * self.batch * self._padded(part.channels) * _FLOAT, 0, 0),
                scale=0.0 if isinstance(layer, ops.Affine) else layer.epsilon,
                options=(isinstance(layer, ops.BatchNorm), is_affine),
            )
            parts.append(replace(plain, norm=norm.out))
            first += part.channels
        return tuple(parts)

    def _stats(self, part: Part) -> Block:
        """Mean and variance of a plain part, by the way of the step that makes it if that can."""
        if part.maker.stats:
            return part.maker.stats
        step = part.maker
        if step.kind not in ("conv", "conv_transpose", "stem"):
            step = self.step("stats", (part.channels, part.height, part.width), inputs=(part,))
        step.stats = Block(2 * self.batch * self._padded(part.channels) * _DOUBLE, 0, 0)
        return step.stats

    def _activation(self, layer: ops.Activation) -> Parts:
        act, alpha = _ACTIVATIONS[layer.kind], layer.alpha if layer.kind == "leaky_relu" else 0.0
        parts = (part.activated(act, alpha) or self._plain(part).activated(act, alpha) for part in self._inputs(layer))
        return tuple(part for part in parts if part)

    def _add(self, layer: ops.Add) -> Parts:
        return self.made("sum", self._shape(layer.output), inputs=tuple(self.single(name) for name in layer.inputs))

    def _concat(self, layer: ops.Concat) -> Parts:
        return tuple(part for name in layer.inputs for part in self._parts_of(name))

    def _pool(self, layer: ops.AveragePool | ops.MaxPool) -> Parts | None:
        labels = self._labels.get(layer.inputs[0])
        if labels and isinstance(layer, ops.AveragePool) and can_pool(labels, layer):
            self._labels[layer.output] = pool_labels(self, labels, layer)
            return None
        mask = self.masks.get(layer.inputs[0])
        if mask:
            holes.pool_mask(self, mask, layer)
            return None
        return self.pooled(layer, self._inputs(layer))

    def pooled(self, layer: ops.AveragePool | ops.MaxPool, inputs: Parts) -> Parts:
        """Each part pooled."""
        sizes = {"kernel": layer.kernel, "stride": layer.stride, "pad": layer.pads[:2]}
        height, width = self._shape(layer.output)[1:]
        made = [self.made(layer.op, (x.channels, height, width), inputs=(x,), **sizes) for x in inputs]
        return tuple(parts[0] for parts in made)

    def _upsample(self, layer: ops.Upsample) -> Parts | None:
        mask = self.masks.get(layer.inputs[0])
        if mask:
            holes.enlarge_mask(self, mask, layer)
            return None
        height, width = self._shape(layer.output)[1:]
        options = (layer.mode == "linear", layer.scale)
        made = [
            self.made(layer.op, (x.channels, height, width), inputs=(x,), options=options) for x in self._inputs(layer)
        ]
        return tuple(parts[0] for parts in made)

    def _depth_to_space(self, layer: ops.DepthToSpace) -> Parts:
        inputs = (self.single(layer.inputs[0]),)
        return self.made(layer.op, self._shape(layer.output), inputs=inputs, options=(layer.block,))

    def _to_bytes(self, layer: ops.ToBytes) -> None:
        self._put(layer, scale=layer.scale, shift=layer.shift)

    def _put(self, layer: ops.ToBytes | ops.ToFloats, **fields: float) -> None:
        part = self.single(layer.inputs[0])
        shape = (part.channels, part.height, part.width)
        self.step(layer.op, shape, inputs=(part,), buffers=(self.buffers[layer.output],), **fields)


def _unknown(planner: Planner, layer: Layer) -> None:
    raise UnknownProgramError(f"the native kernels have no {layer.op}")


_HANDLERS: dict[str, Callable[[Planner, Any], Parts | None]] = {
    **dict.fromkeys(ops.OPS, _unknown),
    "label_features": Planner._label_features,
    "from_bytes": Planner._from_bytes,
    "conv": Planner._conv,
    "conv_transpose": Planner._conv_transpose,
    "instance_norm": Planner._norm,
    "batch_norm": Planner._norm,
    "affine": Planner._norm,
    "activation": Planner._activation,
    "add": Planner._add,
    "concat": Planner._concat,
    "average_pool": Planner._pool,
    "max_pool": Planner._pool,
    "upsample": Planner._upsample,
    "depth_to_space": Planner._depth_to_space,
    "to_bytes": Planner._to_bytes,
    "to_floats": Planner._put,
    **completion.HANDLERS,
    **holes.HANDLERS,
}
