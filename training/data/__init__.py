"""Data sets, and the order in which a run sees them."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from torch.utils.data import Sampler

from runtime.errors import Pix2rtError

Draw = tuple[int, int]  # epoch and index: what a data set needs to give the same augmented item again


class ResumableBatches(Sampler[list[Draw]]):
    """Batches as a function of the step alone, so that a resumed run sees what an uninterrupted one would.

    Args:
        length: items of the data set.
        batch_size: items per step and process.
        seed: of the order; each epoch has its own permutation.
        steps: first and last + 1.
        rank, world_size: of this process; together the processes see every item once an epoch.
    """

    def __init__(
        self, length: int, batch_size: int, seed: int, steps: range, rank: int = 0, world_size: int = 1
    ) -> None:
        self.length, self.batch_size, self.seed, self.steps = length, batch_size, seed, steps
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[Draw]]:
        together = self.batch_size * self.world_size
        per_epoch = steps_per_epoch(self.length, together)
        for step in self.steps:
            epoch, position = divmod(step, per_epoch)
            order = np.random.default_rng([self.seed, epoch]).permutation(self.length)
            start = position * together + self.rank * self.batch_size
            yield [(epoch, int(order[k % self.length])) for k in range(start, start + self.batch_size)]


@contextmanager
def errors_of_loaders() -> Iterator[None]:
    """Give an error of ours that a loader process met its own message back; torch puts its traceback in front."""
    try:
        yield
    except Pix2rtError as error:
        message = str(error)
        if "Traceback" not in message:
            raise
        raise type(error)(message.rpartition("Error: ")[2].strip()) from error


def steps_per_epoch(length: int, batch_size: int) -> int:
    """Whole batches in one pass; at least one, for data sets smaller than a batch."""
    return max(1, length // batch_size)
