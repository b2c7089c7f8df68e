"""What the loop, the command line and the checkpoint need of a family: one class per file in `training/systems`."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from training.checkpoint import Checkpoint

# update(role, loss): backward through `loss` and one optimiser step for the role's parameters.
Update = Callable[[str, Tensor], None]
Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class HeldOut:
    """One held-out item: RGB uint8 [H, W, 3] each.

    Beside them, where the data has such: the label ids int32 [H, W] that were asked for, and the hole, bool [H, W],
    which is then all of the image that was made.
    """

    name: str
    input_picture: NDArray[np.uint8]
    fake_image: NDArray[np.uint8]
    real_image: NDArray[np.uint8]
    label_map: NDArray[np.int32] | None = None
    hole: NDArray[np.bool_] | None = None


class System(Protocol):
    """A family in training.

    Attributes:
        roles: what one optimiser each trains: "generator" (all that inference needs), and "discriminator" if any.
        dataset: maps (epoch, index) to an item.
    """

    roles: dict[str, nn.Module]
    dataset: Dataset[Any]

    def step(self, batch: Batch, modules: Mapping[str, nn.Module], update: Update) -> dict[str, Tensor]:
        """One training step; `modules` are the roles, wrapped for several GPUs. Returns detached losses by name."""
        ...

    def sample(self, batch: Batch) -> NDArray[np.uint8]:
        """Picture of the first item: input | synthesised | real, RGB uint8 [H, 3·W, 3]."""
        ...

    def checkpoint(self, step: int) -> Checkpoint:
        """What inference needs, after `step` steps."""
        ...

    def finish(self, checkpoint: Checkpoint, progress: Callable[[float], None]) -> Checkpoint:
        """Work over the whole data set after the last step, such as the style bank."""
        ...


def family_system(family: str) -> ModuleType:
    """The package training.systems.<family>, which offers `Options`, `PRESETS`, `create(options) -> System` and
    `untrained(options) -> Checkpoint`.

    A family that makes images also offers `held_out(checkpoint, data, split, settings) -> Iterator[HeldOut]` and
    `SETTINGS`, the names that `settings` may hold, each with the help text of its option; see `makes_images`.
    """
    return importlib.import_module(f"training.systems.{family}")


def makes_images(family: str) -> bool:
    """Whether the family offers `held_out` and `SETTINGS`; a segmenter does not."""
    return hasattr(family_system(family), "held_out")


def inference_device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return device or torch.device("cpu")


def has_bf16() -> bool:
    """Whether bfloat16 is fast where training runs; CPUs without AVX-512 take many times as long as for float."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.accelerator.is_available() or torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def frozen(module: nn.Module, *inputs: Tensor | None) -> Any:
    """`module(*inputs)` as a loss of another network: no gradient reaches its own parameters."""
    constants = {name: value.detach() for name, value in module.named_parameters()}
    return torch.func.functional_call(module, constants, inputs)
