"""A small program of a search's step with every layer of its kind, for any sizes, and engine files that carry it."""

from dataclasses import dataclass, replace

import numpy as np

from runtime.engines.program import Program
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
from runtime.engines.program_layers import Activation, Add, Conv, ConvTranspose, ToBytes
from tests.runtime import tiny_programs
from tests.runtime.tiny_completers import SCALARS, spec

CARRIED = {"next_z": "z", "next_velocity": "velocity"}
_TWO, _ONE, _PADS = (2, 2), (1, 1), (2, 2, 2, 2)


@dataclass(frozen=True)
class Sizes:
    """Of a step: length of z, channels of both networks' hidden maps, and the side of the photo, even."""

    z_nc: int = 5
    hidden: int = 20
    side: int = 6

    @property
    def image(self):
        return self.side, 2 * self.side

    @property
    def half(self):
        return self.side // 2, self.side


def program(sizes):
    """G: linear, LeakyReLU, transposed convolution, tanh. D: convolution, LeakyReLU, linear. Then all of it back."""
    up, shape = (_TWO, _PADS, _ONE), (sizes.hidden, *sizes.half)
    seen = ("joint", "observed", "known_mask")
    down = (_TWO, _ONE, _PADS, "zero")
    return Program(
        (
            FromVector(("z",), "z inside"),
            FromVector(("velocity",), "velocity inside"),
            Expand(("z inside",), "front", "project", "front bias", shape),
            Activation(("front",), "leaky", "leaky_relu", 0.2),
            ConvTranspose(("leaky",), "made", "generator", "rgb bias", *up),
            Activation(("made",), "joint", "tanh"),
            Conv(("joint",), "seen", ("discriminator",), "bias", *down),
            Activation(("seen",), "judged", "leaky_relu", 0.2),
            Contract(("judged",), "score", "head", "head bias"),
            ContextualLoss(seen, "contextual", 0.4975, 0.005),
            PerceptualLoss(("score",), "perceptual"),
            PerceptualGradient(("score", "perceptual_weight"), "by score"),
            Expand(("by score",), "by judged", "head", None, shape),
            LeakyReluGradient(("seen", "by judged"), "by seen", 0.2),
            ConvTranspose(("by seen",), "perceived", "discriminator", None, *up),
            ContextualGradient(seen, "by known", 0.4975, 0.005),
            Add(("by known", "perceived"), "by joint"),
            TanhGradient(("joint", "by joint"), "by made"),
            Conv(("by made",), "by leaky", ("generator",), None, *down),
            LeakyReluGradient(("front", "by leaky"), "by front", 0.2),
            Contract(("by front",), "by z", "project", None),
            Momentum(("velocity inside", "by z", "momentum", "learning_rate"), "faster"),
            BoundedSum(("z inside", "faster", "z_limit"), "moved"),
            ToVector(("moved",), "next_z"),
            ToVector(("faster",), "next_velocity"),
            ToScalar(("contextual",), "contextual_loss"),
            ToScalar(("perceptual",), "perceptual_loss"),
            ToBytes(("joint",), "image", 127.5, 127.5),
        )
    )


def weights(sizes, seed=0):
    """Of such a size that images have contrast, and few pixels none."""
    rng = np.random.default_rng(seed)
    pixels = sizes.hidden * sizes.half[0] * sizes.half[1]
    dims = {  # and how many values each output is the sum of
        "project": ((sizes.z_nc, pixels), sizes.z_nc),
        "front bias": ((pixels,), 10),
        "generator": ((sizes.hidden, 3, 5, 5), 6 * sizes.hidden),
        "rgb bias": ((3,), 10),
        "discriminator": ((sizes.hidden, 3, 5, 5), 75),
        "bias": ((sizes.hidden,), 10),
        "head": ((pixels, 1), pixels),
        "head bias": ((1,), 10),
    }
    return {name: rng.normal(0, count**-0.5, shape).astype(np.float32) for name, (shape, count) in dims.items()}


def specification(sizes, **changes):
    """Of an engine of such a step."""
    made = spec(side=sizes.side)
    latent = ("N", sizes.z_nc)
    inputs = tuple(replace(t, shape=latent) if t.name in CARRIED.values() else t for t in made.inputs)
    outputs = tuple(replace(t, shape=latent) if t.name in CARRIED else t for t in made.outputs)
    return replace(made, inputs=inputs, outputs=outputs, **changes)


def engine(path, sizes=None, document=None):
    """An engine file."""
    sizes = sizes or Sizes()
    return tiny_programs.engine(path, program(sizes), specification(sizes), weights(sizes), document)


def inputs(sizes=None, count=2, seed=0):
    """Of one step, large enough to see every digit."""
    sizes, rng = sizes or Sizes(), np.random.default_rng(seed)
    known = rng.integers(0, 256, (1, *sizes.image)).astype(np.uint8)
    known[:, :, sizes.side :] = 0
    values = dict(zip(SCALARS, (20.0, 0.9, 0.3, 1.0), strict=True))
    return {
        "observed": rng.integers(0, 256, (1, *sizes.image, 3)).astype(np.uint8),
        "known_mask": known,
        "z": rng.uniform(-1, 1, (count, sizes.z_nc)).astype(np.float32),
        "velocity": rng.uniform(-0.1, 0.1, (count, sizes.z_nc)).astype(np.float32),
        **{name: np.array([value], np.float32) for name, value in values.items()},
    }
