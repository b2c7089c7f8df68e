"""The Contextual GAN as an engine: one step of the search for ẑ, forward, gradient and momentum in one graph."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from export.errors import ExportError
from export.gradient_graph import TracedStep, Weights
from export.inference_modules import Arrays, Graph, Request
from export.inference_modules.pixels import blocky_image, parameters, to_bytes, unit_range
from export.network_rewrites import fold_batch_norms, inference_copy
from runtime.engines.spec import TensorSpec
from training.checkpoint import Checkpoint
from training.networks.completion_losses import contextual_loss, perceptual_loss
from training.networks.contextual_gan import IMAGE_NC, START, Architecture, JointGenerator

_SCALARS = ("learning_rate", "momentum", "perceptual_weight", "z_limit")
# The gradient of a mean over many pixels is small; this brings it to where a wrong digit shows.
_EXAMPLE_LEARNING_RATE = 100.0


class CompletionStep(nn.Module):
    """ẑ = argmin_z L_contextual(z) + λ·L_perceptual(z): one step of gradient descent with momentum (section 3.2).

    Args:
        networks: "generator" and "discriminator", in evaluation mode; they are left as they are.
        z_nc: length of z.
    """

    def __init__(self, networks: Mapping[str, nn.Module], z_nc: int) -> None:
        super().__init__()
        copies = {name: inference_copy(network) for name, network in networks.items()}
        for network in copies.values():
            fold_batch_norms(network)
        _fold_front(copies["generator"])

        def losses(z: Tensor, weights: Weights, observed: Tensor, known: Tensor, perceptual_weight: Tensor) -> Any:
            joint_image = functional_call(copies["generator"], dict(weights["generator"]), (z,))
            logits = functional_call(copies["discriminator"], dict(weights["discriminator"]), (joint_image,))
            contextual, perceptual = contextual_loss(joint_image, observed, known), perceptual_loss(logits)
            return (contextual + perceptual_weight * perceptual).sum(), (contextual, perceptual, joint_image)

        def step(weights: Weights, z: Tensor, observed: Tensor, known: Tensor, perceptual_weight: Tensor) -> Any:
            gradient, values = torch.func.grad(losses, has_aux=True)(z, weights, observed, known, perceptual_weight)
            return gradient, *values

        height, width = _joint_size(networks["generator"], z_nc)
        example = torch.ones(1, 1, height, width)
        z = torch.zeros(2, z_nc)  # two, because torch takes a size of 1 for a property of the network
        self.step = TracedStep(step, copies, (z, example.expand(-1, IMAGE_NC, -1, -1), example, torch.ones(1)))

    def forward(
        self,
        observed: Tensor,
        known_mask: Tensor,
        z: Tensor,
        velocity: Tensor,
        learning_rate: Tensor,
        momentum: Tensor,
        perceptual_weight: Tensor,
        z_limit: Tensor,
    ) -> tuple[Tensor, ...]:
        """One step; both losses and the image are those of the `z` that comes in.

        Args:
            observed: y, joint image uint8 [1, H, 2H, 3].
            known_mask: M, uint8 [1, H, 2H]; 0 = unknown, else the weight of a pixel, 255 = 1.
            z: float32 [N, z_nc].
            velocity: likewise.
            learning_rate: float32 [1].
            momentum: float32 [1].
            perceptual_weight: λ, float32 [1].
            z_limit: z is clipped to ± this, float32 [1].

        Returns:
            z and velocity after the step, both losses [N], G(z) as uint8 [N, H, 2H, 3].
        """
        known = (known_mask.to(torch.float32) / 255).unsqueeze(1)
        gradient, contextual, perceptual, joint_image = self.step(z, unit_range(observed), known, perceptual_weight)
        velocity = momentum * velocity - learning_rate * gradient
        z = torch.minimum(torch.maximum(z + velocity, -z_limit), z_limit)
        return z, velocity, contextual, perceptual, to_bytes(joint_image)


def engines(checkpoint: Checkpoint, networks: Mapping[str, nn.Module], request: Request) -> list[Graph]:
    """The completion step.

    Raises:
        ExportError: another size or precision, or other statistics are asked for than the networks have.
    """
    a: Architecture = checkpoint.architecture
    height, width = a.size
    if request.precision != "fp32":
        raise ExportError(
            f"--precision {request.precision}: gradients of a Contextual GAN underflow in 16 bits; export as fp32"
        )
    if request.size not in (None, a.size):
        raise ExportError(
            f"--size {request.size[0]}x{request.size[1]}: this network makes joint images of {height}x{width} only; "
            "give --dynamic, which leaves the number of searches side by side free"
        )
    if checkpoint.normalization != "running-stats":
        raise ExportError(
            f"--normalization {checkpoint.normalization}: completion uses the statistics of training, so that a "
            "result does not depend on its batch mates; give running-stats or leave the option out"
        )

    def examples(count: int, _height: int, _width: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        known = np.zeros((1, height, width), np.uint8)
        known[:, :, : width // 2] = rng.integers(1, 256)
        values = np.array([_EXAMPLE_LEARNING_RATE, 0.9, 0.01, 1.0], np.float32)
        return {
            "observed": blocky_image(1, height, width, IMAGE_NC, rng),
            "known_mask": known,
            "z": rng.uniform(-1, 1, (count, a.z_nc)).astype(np.float32),
            "velocity": rng.uniform(-0.1, 0.1, (count, a.z_nc)).astype(np.float32),
            **{name: values[i : i + 1] for i, name in enumerate(_SCALARS)},
        }

    latent = ("N", a.z_nc)
    return [
        Graph(
            kind="sketch",
            suffix="",
            module=CompletionStep(networks, a.z_nc).eval(),
            inputs=(
                TensorSpec("observed", "uint8", (1, height, width, IMAGE_NC)),
                TensorSpec("known_mask", "uint8", (1, height, width)),
                TensorSpec("z", "float32", latent),
                TensorSpec("velocity", "float32", latent),
                *(TensorSpec(name, "float32", (1,)) for name in _SCALARS),
            ),
            outputs=(
                TensorSpec("next_z", "float32", latent),
                TensorSpec("next_velocity", "float32", latent),
                TensorSpec("contextual_loss", "float32", ("N",)),
                TensorSpec("perceptual_loss", "float32", ("N",)),
                TensorSpec("image", "uint8", ("N", height, width, IMAGE_NC)),
            ),
            size_multiple=height,
            smallest_side=height,
            parameters=sum(map(parameters, networks.values())),
            examples=examples,
            reference=lambda arrays: reference_step(networks, arrays),
            own_size=a.size,
        )
    ]


def reference_step(networks: Mapping[str, nn.Module], arrays: Arrays) -> dict[str, NDArray[Any]]:
    """One step by torch's autograd on the unchanged networks: what the engine has to reproduce."""
    t = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    z = t["z"].clone().requires_grad_(True)
    joint_image = networks["generator"](z)
    contextual = contextual_loss(joint_image, unit_range(t["observed"]), t["known_mask"].float()[:, None] / 255)
    perceptual = perceptual_loss(networks["discriminator"](joint_image))
    (gradient,) = torch.autograd.grad((contextual + t["perceptual_weight"] * perceptual).sum(), z)
    velocity = t["momentum"] * t["velocity"] - t["learning_rate"] * gradient
    limit = float(t["z_limit"])
    results = {
        "next_z": (z.detach() + velocity).clamp(-limit, limit),
        "next_velocity": velocity,
        "contextual_loss": contextual.detach(),
        "perceptual_loss": perceptual.detach(),
        "image": to_bytes(joint_image.detach()),
    }
    return {name: value.numpy() for name, value in results.items()}


def _joint_size(generator: nn.Module, z_nc: int) -> tuple[int, int]:
    with torch.no_grad():
        height, width = generator(torch.zeros(1, z_nc)).shape[2:]
    return height, width


def _fold_front(generator: nn.Module) -> None:
    """Multiply, in place, the BatchNorm of the 4×8 maps into the linear layer that makes them."""
    assert isinstance(generator, JointGenerator)
    linear, norm = generator.project, generator.front[0]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
    shift = norm.bias.detach() - norm.running_mean * scale
    pixels = START[0] * START[1]
    linear.weight = nn.Parameter(linear.weight.detach() * scale.repeat_interleave(pixels)[:, None], requires_grad=False)
    linear.bias = nn.Parameter(shift.repeat_interleave(pixels), requires_grad=False)
    generator.front[0] = nn.Identity()
