"""Three steps of a stream at once: reading, computing and writing, each in a thread, items in order."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, TypeVar

Read = TypeVar("Read")
Made = TypeVar("Made")
Item = TypeVar("Item")

_PATIENCE_S = 0.5  # Windows delivers Ctrl-C between waits only


class _StoppedError(Exception):
    """The other end of a channel has given up."""


class _Channel(Generic[Item]):
    """A bounded queue of one writer and one reader that either can end for good."""

    def __init__(self, capacity: int) -> None:
        self._items: deque[Item] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._finished = self._stopped = False

    def put(self, item: Item) -> None:
        with self._changed:
            while len(self._items) >= self._capacity and not self._stopped:
                self._changed.wait(_PATIENCE_S)
            if self._stopped:
                raise _StoppedError
            self._items.append(item)
            self._changed.notify_all()

    def finish(self) -> None:
        """Nothing more will be put; what is there will be read."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Both ends get _StoppedError from now on."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        while True:
            with self._changed:
                while not (self._items or self._finished or self._stopped):
                    self._changed.wait(_PATIENCE_S)
                if self._stopped:
                    raise _StoppedError
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


def run_pipeline(
    source: Iterable[Read], compute: Callable[[Read], Made], write: Callable[[Made], None], depth: int = 4
) -> None:
    """Pass every item of `source` through `compute` to `write`, in order.

    `source` is read in one thread and `write` called in another, while `compute` runs in the caller's, where Ctrl-C
    arrives. The first error of any of them stops all, and is raised once no thread runs any more.

    Args:
        source: the items.
        compute: makes the result of an item.
        write: takes each result.
        depth: items that may wait before each step, a bound on memory.
    """
    read_items, made_items = _Channel[Read](depth), _Channel[Made](depth)

    def stop() -> None:
        read_items.stop()
        made_items.stop()

    def read_all() -> None:
        for item in source:
            read_items.put(item)
        read_items.finish()

    def write_all() -> None:
        for made in made_items:
            write(made)

    with ThreadPoolExecutor(2) as threads:
        reading, writing = (threads.submit(_or_stop, step, stop) for step in (read_all, write_all))
        try:
            with suppress(_StoppedError):
                for item in read_items:
                    made_items.put(compute(item))
                made_items.finish()
                writing.result()
        finally:
            stop()
    for step in (reading, writing):
        with suppress(_StoppedError):
            step.result()


def _or_stop(step: Callable[[], None], stop: Callable[[], None]) -> None:
    try:
        step()
    except BaseException:
        stop()
        raise
