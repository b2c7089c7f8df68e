"""Work spread over a Ray cluster: actors that hold an engine each do it, results come back as they are made."""

import logging
import math
import os
import pickle
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent; it must be known before the import

import ray
import ray.data

from runtime.errors import DeviceError

LOCAL = "local"
_MOST_IN_A_BLOCK = 16  # what is made again where an actor dies, and shows late; each costs some ms to schedule
_BLOCKS_OF_AN_ACTOR = 8
_ANSWERS_S = 5
Work = Callable[[int], Any]


@dataclass(frozen=True)
class Actors:
    """What each actor takes of its machine."""

    cpus: int = 1
    gpus: float = 0

    def fitting(self) -> int:
        """How many the cluster has room for, at least one: it may grow."""
        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        rooms = [there.get("CPU", 0) / self.cpus, *([there.get("GPU", 0) / self.gpus] if self.gpus else [])]
        return max(1, int(min(rooms)))


class _Actor:
    """Unpickles the work, which opens its engine, once; then does it for index after index."""

    def __init__(self, pickled: bytes, folder: str) -> None:
        os.chdir(folder)  # names of files are relative to it
        self._work: Work = pickle.loads(pickled)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"index": row["index"], "outcome": pickle.dumps(self._work(int(row["index"])))}


@contextmanager
def cluster(address: str) -> Iterator[None]:
    """Be connected to a cluster: its address, "auto" for the one that runs here, "local" for one of one's own.

    Raises:
        DeviceError: it does not answer.
    """
    try:
        _require_answer(address)
        if address == LOCAL:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise DeviceError(
            f"no Ray cluster answers at {address!r} ({first}); start one with `ray start --head`, or give its address, "
            "or local for one of this machine"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Ray itself would ask for two minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), _ANSWERS_S).close()


def spread(work: Work, indices: Sequence[int], actors: Actors) -> Iterator[tuple[int, Any]]:
    """Do `work` for every index on the cluster one is connected to.

    An actor that dies, by its machine or by its memory, is started again, and what it had not given back is done again:
    work must come to the same where it is done twice.

    Args:
        work: what is called with an index; it is pickled, with whatever it holds.
        indices: for each of which it is called.
        actors: what each of them needs.

    Returns:
        Indices and what `work` returned, in any order.

    Raises:
        DeviceError: an actor cannot be started, or work raised.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    count = min(actors.fitting(), len(indices))
    blocks = max(math.ceil(len(indices) / _MOST_IN_A_BLOCK), min(len(indices), count * _BLOCKS_OF_AN_ACTOR))
    rows = ray.data.from_items([{"index": index} for index in indices], override_num_blocks=blocks)
    pickled: bytes = ray.cloudpickle.dumps(work)  # type: ignore[no-untyped-call]
    made = rows.map(
        _Actor,  # type: ignore[arg-type]
        fn_constructor_args=(pickled, str(Path.cwd())),
        compute=ray.data.ActorPoolStrategy(size=count),
        num_cpus=actors.cpus,
        num_gpus=actors.gpus,
    )
    try:
        for row in made.iter_rows():
            yield row["index"], pickle.loads(row["outcome"])
    except ray.exceptions.RayError as error:
        raise DeviceError(f"the Ray cluster failed: {str(error).strip().splitlines()[-1]}") from error
