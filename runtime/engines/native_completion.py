"""A step of the search for ẑ in a native plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from runtime.engines import program_completion as completion
from runtime.engines.native_steps import Source
from runtime.engines.program_layer import Layer

if TYPE_CHECKING:
    from runtime.engines.native_planner import Parts, Planner


def from_vector(planner: Planner, layer: completion.FromVector) -> Parts:
    """A vector of the engine's."""
    return _made(planner, layer, "from_floats", 0)


def to_floats(planner: Planner, layer: completion.ToVector | completion.ToScalar) -> None:
    """A vector as an output."""
    part = planner.single(layer.inputs[0])
    planner.step("to_floats", (part.channels, 1, 1), inputs=(part,), buffers=(planner.buffers[layer.output],))


def linear(planner: Planner, layer: completion.Expand | completion.Contract) -> Parts:
    """A linear layer, either way."""
    inputs, outputs = (planner.values[name].shape[1:] for name in (layer.inputs[0], layer.output))
    channels, height, width = outputs if isinstance(layer, completion.Expand) else inputs
    address = planner.weights.at(layer.weight)
    assert address is not None
    source = Source(address, channels * height * width, 1, 0, 0, inputs[0])
    return _made(planner, layer, layer.op, 1, sources=(source,), bias=planner.weights.at(layer.bias))


def leaky_relu_gradient(planner: Planner, layer: completion.LeakyReluGradient) -> Parts:
    """Through a LeakyReLU."""
    return _made(planner, layer, "act_gradient", 2, scale=layer.alpha)


def tanh_gradient(planner: Planner, layer: completion.TanhGradient) -> Parts:
    """Through a tanh."""
    return _made(planner, layer, "act_gradient", 2, options=(True,))


def contextual(planner: Planner, layer: completion.ContextualLoss | completion.ContextualGradient) -> Parts:
    """The loss of what is known, or its gradient."""
    options = (isinstance(layer, completion.ContextualGradient),)
    return _made(planner, layer, "contextual", 1, options=options, scale=layer.slope, shift=layer.offset)


def perceptual(planner: Planner, layer: completion.PerceptualLoss | completion.PerceptualGradient) -> Parts:
    """The discriminator's loss, or its gradient."""
    return _made(planner, layer, "perceptual", 1, options=(isinstance(layer, completion.PerceptualGradient),))


def descent(planner: Planner, layer: completion.Momentum | completion.BoundedSum) -> Parts:
    """The next velocity, or the next z."""
    return _made(planner, layer, layer.op, 2)


def _made(planner: Planner, layer: Layer, kind: str, count: int, **fields: Any) -> Parts:
    """A step of the first `count` inputs; what comes after them is the engine's."""
    inputs = tuple(planner.single(name) for name in layer.inputs[:count])
    buffers = tuple(planner.buffers[name] for name in layer.inputs[count:])
    return planner.made(kind, planner.values[layer.output].shape[1:], inputs=inputs, buffers=buffers, **fields)


HANDLERS: dict[str, Callable[[Planner, Any], Parts | None]] = {
    "bounded_sum": descent,
    "contextual_gradient": contextual,
    "contextual_loss": contextual,
    "contract": linear,
    "expand": linear,
    "from_vector": from_vector,
    "leaky_relu_gradient": leaky_relu_gradient,
    "momentum": descent,
    "perceptual_gradient": perceptual,
    "perceptual_loss": perceptual,
    "tanh_gradient": tanh_gradient,
    "to_scalar": to_floats,
    "to_vector": to_floats,
}
