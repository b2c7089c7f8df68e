"""Label maps in a native plan: codes of pixels, of which convolutions look their weights up; one-hot only at need."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runtime.engines import program_layers as ops
from runtime.engines.native_memory import Block
from runtime.engines.native_steps import Part, Source, Step

if TYPE_CHECKING:
    from runtime.engines.native_planner import Parts, Planner

_CODE, _ENTRY = 2, 4  # bytes, see stem.h
_MOST_SLOTS = 16


@dataclass(frozen=True)
class Labels:
    """Classes and instance edges of a label map as codes; style features beside them.

    Attributes:
        layer: what they are.
        codes: int16 [N, H, W], behind pooled ones their lists.
        slots: codes that a pooled pixel may be made of; 0 for those that were not pooled.
        styles: the feature channels; None without.
        unpooled: what was pooled, and how; None for what was not.
    """

    layer: ops.LabelFeatures
    codes: Block
    height: int
    width: int
    slots: int = 0
    styles: Part | None = None
    unpooled: tuple[Labels, ops.AveragePool] | None = None

    @property
    def channels(self) -> int:
        """Of the one-hot form and the edge."""
        return self.layer.label_nc + self.layer.has_edges

    @property
    def options(self) -> tuple[int, ...]:
        """For the kernels: see stem.h."""
        return (self.layer.label_nc, self.layer.has_edges, 0, self.slots)


def read_labels(planner: Planner, layer: ops.LabelFeatures) -> Labels:
    """Codes of the engine's maps."""
    batch, _, height, width = planner.values[layer.output].shape
    numbers = tuple(planner.buffers[name] for name in layer.inputs)
    step = planner.step(
        "codes",
        (1, height, width),
        buffers=numbers[:2],
        codes_out=Block(batch * height * width * _CODE, 0, 0),
        options=(layer.label_nc, layer.has_edges),
    )
    assert step.codes_out
    styles = None
    if layer.feat_num:
        rows = planner.values[layer.inputs[2]].shape[1]
        shape = (layer.feat_num, height, width)
        styles = planner.made("style_features", shape, buffers=numbers[1:], options=(rows,))[0]
    return Labels(layer, step.codes_out, height, width, styles=styles)


def can_pool(labels: Labels, pool: ops.AveragePool | ops.MaxPool) -> bool:
    """Whether pooled pixels can be lists of codes."""
    return isinstance(pool, ops.AveragePool) and not labels.slots and math.prod(pool.kernel) <= _MOST_SLOTS


def pool_labels(planner: Planner, labels: Labels, pool: ops.AveragePool) -> Labels:
    """Codes of the smaller map."""
    batch, _, height, width = planner.values[pool.output].shape
    slots = math.prod(pool.kernel)
    pixels = batch * height * width
    window = {"kernel": pool.kernel, "stride": pool.stride, "pad": pool.pads[:2]}
    step = planner.step(
        "pool_codes",
        (1, height, width),
        codes=labels.codes,
        codes_out=Block(-(-pixels * _CODE // _ENTRY) * _ENTRY + pixels * slots * _ENTRY, 0, 0),
        source=(labels.height, labels.width),
        options=(labels.layer.label_nc, labels.layer.has_edges, 0, slots),
        **window,
    )
    assert step.codes_out
    styles = None
    if labels.styles:
        shape = (labels.styles.channels, height, width)
        styles = planner.made("average_pool", shape, inputs=(labels.styles,), **window)[0]
    return Labels(labels.layer, step.codes_out, height, width, slots, styles, (labels, pool))


def convolve_labels(planner: Planner, labels: Labels, conv: Step, sources: tuple[Source, ...]) -> Part:
    """The convolution `conv` of labels: of their styles as of any value, then of their codes on top.

    `sources` are weights of the codes (operand 0) and of the styles (operand 1).
    """
    if labels.styles:
        styles = tuple(source._replace(operand=0) for source in sources if source.operand == 1)
        planner.steps.append(replace(conv, inputs=(labels.styles,), sources=styles, bias=None))
    label_nc, has_edges, _, slots = labels.options
    stem = replace(
        conv,
        kind="stem",
        sources=tuple(source for source in sources if source.operand == 0),
        codes=labels.codes,
        source=(labels.height, labels.width),
        options=(label_nc, has_edges, labels.styles is not None, slots),
    )
    planner.steps.append(stem)
    assert stem.out
    return Part(stem.out, stem, *stem.shape)


def dense(planner: Planner, labels: Labels) -> Parts:
    """As any value, for layers that are no convolution."""
    if labels.unpooled:
        before, pool = labels.unpooled
        return planner.pooled(pool, dense(planner, before))
    shape = (labels.channels, labels.height, labels.width)
    source = (labels.height, labels.width)
    made = planner.made("label_features", shape, codes=labels.codes, source=source, options=labels.options)
    return (*made, labels.styles) if labels.styles else made
