"""The moving average of the generator's weights: steadier images than the weights of any one step make.

Averaging in GAN training: Yazıcı et al. 2019, "The Unusual Effectiveness of Averaging in GAN Training".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class WeightAverage:
    """Exponential moving average of a module's parameters and buffers.

    Args:
        module: in training; it is left as it is, but while `applied`.
        decay: of the average, per step; 0 averages nothing. The first steps count more: with n of them behind it, at
            most (1 + n) / (10 + n).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        def averaged(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
            if not average.is_floating_point():
                return current
            return average.lerp(current, 1 - min(decay, (1 + float(count)) / (10 + float(count))))

        self._module = module
        self._average = AveragedModel(module, avg_fn=averaged, use_buffers=True) if decay else None

    def update(self) -> None:
        """After each step of the module's optimiser."""
        if self._average is not None:
            self._average.update_parameters(self._module)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module has the averaged weights, and afterwards its own again."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, Any]:
        """To resume with; empty where nothing is averaged."""
        return {} if self._average is None else self._average.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._average is not None:
            self._average.load_state_dict(state)

    def _swap(self) -> None:
        if self._average is None or not self._average.n_averaged:
            return
        average = self._average.module
        mine, averages = (chain(module.parameters(), module.buffers()) for module in (self._module, average))
        for tensor, other in zip(mine, averages, strict=True):
            tensor.data, other.data = other.data, tensor.data
