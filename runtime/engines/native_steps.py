"""The steps of a native plan: calls of kernels and the memory they work on, before they become C structures."""

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from runtime.engines.native_memory import Block, place
from runtime.errors import UnknownProgramError
from runtime.native.library import ALGORITHMS, KINDS, LEAKY, NONE, PLAIN, Kernels, Layer, Operand, Weights


@dataclass(frozen=True)
class Part:
    """Channels of a value as the next step reads them: act(x · scale + shift) of what lies in `block`.

    Attributes:
        maker: the step that wrote `block`.
        norm: scale and shift of each image and channel; None for 1 and 0.
        act, alpha: PLAIN, LEAKY with a slope (0 is ReLU) or TANH.
    """

    block: Block
    maker: "Step"
    channels: int
    height: int
    width: int
    norm: Block | None = None
    act: int = PLAIN
    alpha: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether it is read as it lies there."""
        return self.norm is None and self.act == PLAIN

    def activated(self, act: int, alpha: float) -> "Part | None":
        """With one more activation; None where the two are not one."""
        if self.act == PLAIN:
            return replace(self, act=act, alpha=alpha)
        if self.act == LEAKY == act and self.alpha >= 0:
            return replace(self, alpha=self.alpha * alpha)
        return None


class Source(NamedTuple):
    """Weights of some channels of a step's input `operand`, at an address; strides in floats."""

    address: int
    row: int
    column: int
    operand: int
    first: int
    channels: int


@dataclass(eq=False)
class Step:
    """One call of a kernel. The fields are those of `p2r_layer` in pix2rt.h."""

    kind: str
    shape: tuple[int, int, int]  # channels, height, width of the output
    inputs: tuple[Part, ...] = ()
    sources: tuple[Source, ...] = ()
    bias: int | None = None
    gain: int | None = None
    out: Block | None = None
    stats: Block | None = None
    codes: Block | None = None
    codes_out: Block | None = None
    mask: Block | None = None
    mask_out: Block | None = None
    scratch: Block | None = None
    packed: Block | None = None
    source: tuple[int, int] = (0, 0)  # height and width of `codes` and `mask`
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    is_reflected: bool = False
    algorithm: str = "auto"
    buffers: tuple[int, ...] = ()
    options: tuple[int, ...] = ()
    scale: float = 0.0
    shift: float = 0.0

    def blocks(self) -> list[Block]:
        """All memory that it reads or writes."""
        parts = [block for part in self.inputs for block in (part.block, part.norm)]
        others = (self.out, self.stats, self.codes, self.codes_out, self.mask, self.mask_out)
        return [block for block in (*parts, *others) if block]


@dataclass
class Plan:
    """What a call of the library runs, and how much memory it takes.

    Attributes:
        layers: a C array; read-only, so that several threads may run it.
        size: bytes of the arena.
        kept: what `layers` points to.
        labels: what each layer is, for people.
        products: multiply-adds of each layer in the direct form; 0 where that is not what counts.
        outputs: name, shape and dtype of the engine's outputs.
    """

    layers: "ctypes.Array[Layer]"
    size: int
    kept: list[object] = field(repr=False)
    labels: list[str]
    products: list[int]
    outputs: list[tuple[str, tuple[int, ...], str]] = field(default_factory=list)


def build(steps: Sequence[Step], batch: int, kernels: Kernels, threads: int, *, keeps_weights: bool = False) -> Plan:
    """Lay out the memory of `steps` and make C structures of them.

    `keeps_weights`: they stay packed from call to call, in memory of their own.

    Raises:
        UnknownProgramError: a step is beyond what the kernels can do.
    """
    kept: list[object] = []
    layers = (Layer * len(steps))(*(_layer(step, batch, kept) for step in steps))
    if keeps_weights:
        _keep_weights(steps, layers, kernels)
    blocks: dict[int, Block] = {id(step.packed): step.packed for step in steps if step.packed}
    for index, step in enumerate(steps):
        size = kernels.scratch(layers[index], threads)
        if size is None:
            raise UnknownProgramError(
                f"the native kernels have no {step.kind} of kernel {step.kernel}, stride {step.stride}"
            )
        step.scratch = Block(size, index, index)
        for block in (*step.blocks(), step.scratch):
            block.first = min(block.first, index) if id(block) in blocks else index
            block.last = index
            blocks[id(block)] = block
    size = place(list(blocks.values()))
    kept = []
    layers = (Layer * len(steps))(*(_layer(step, batch, kept) for step in steps))
    return Plan(layers, size, kept, [_label(step) for step in steps], [batch * _products(step) for step in steps])


def _keep_weights(steps: Sequence[Step], layers: "ctypes.Array[Layer]", kernels: Kernels) -> None:
    for step, layer in zip(steps, layers, strict=True):
        layer.packed = 0  # asks for the memory of a layer that keeps them
        size = kernels.packed(layer)
        if size:
            step.packed = Block(size, 0, len(steps) - 1)
        else:
            layer.packed = NONE


def _products(step: Step) -> int:
    outputs, height, width = step.shape
    if step.kind == "conv_transpose":
        height, width = step.inputs[0].height, step.inputs[0].width
    elif step.kind != "conv":
        return 0
    return math.prod(step.kernel) * sum(part.channels for part in step.inputs) * outputs * height * width


def _label(step: Step) -> str:
    inputs = "+".join(str(part.channels) for part in step.inputs)
    channels, height, width = step.shape
    kernel = f" {step.kernel[0]}x{step.kernel[1]}" if step.kernel != (1, 1) else ""
    stride = f" /{step.stride[0]}" if step.stride != (1, 1) else ""
    return f"{step.kind}{kernel}{stride} {inputs}->{channels} {height}x{width}"


def _layer(step: Step, batch: int, kept: list[object]) -> Layer:
    operands = (Operand * max(1, len(step.inputs)))(*(_operand(part) for part in step.inputs))
    weights = (Weights * max(1, len(step.sources)))(*(Weights(*source, 0) for source in step.sources))
    kept += [operands, weights]
    channels, height, width = step.shape
    layer = Layer(
        kind=KINDS.index(step.kind),
        batch=batch,
        n_in=len(step.inputs),
        n_weights=len(step.sources),
        operands=operands,
        weights=weights,
        bias=step.bias,
        gain=step.gain,
        channels=channels,
        height=height,
        width=width,
        is_reflected=step.is_reflected,
        algorithm=ALGORITHMS.index(step.algorithm),
        scale=step.scale,
        shift=step.shift,
    )
    for name in ("out", "stats", "codes", "codes_out", "mask", "mask_out", "scratch", "packed"):
        setattr(layer, name, _offset(getattr(step, name)))
    for name in ("source", "kernel", "stride", "dilation", "pad"):
        getattr(layer, name)[:] = getattr(step, name)
    layer.buffers[:] = (*step.buffers, NONE, NONE, NONE)[:3]
    layer.options[:] = (*step.options, 0, 0, 0, 0)[:4]
    return layer


def _operand(part: Part) -> Operand:
    scale = shift = NONE
    if part.norm:
        scale = _offset(part.norm)
        shift = scale + part.norm.size // 2
    return Operand(_offset(part.block), scale, shift, part.channels, part.height, part.width, part.act, part.alpha, 0)


def _offset(block: Block | None) -> int:
    return NONE if block is None else max(block.offset, 0)
