"""Where calls of engines wait for their turn: some threads that take them as they came, and a bound on how many."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from runtime.errors import Pix2rtError

Result = TypeVar("Result")
_OLD, _NEW = 0.9, 0.1  # weights of the mean of what calls took


class QueueFullError(Pix2rtError):
    """As many requests as the server can keep are there already.

    Attributes:
        retry_after: seconds after which there is likely to be room.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Done(Generic[Result]):
    """What a call gave.

    Attributes:
        result: of it.
        waited: seconds until its turn.
        took: seconds of the call itself.
    """

    result: Result
    waited: float
    took: float


class Line:
    """Runs calls in threads, so that the event loop never waits for a network.

    Attributes:
        parallel: calls that run at once.
        most: requests that it keeps at once, those that run among them; None for any number.
        kept: requests that are there.
        waiting: calls that have not ended.
    """

    def __init__(self, name: str, parallel: int = 1, most: int | None = None) -> None:
        self.parallel, self.most = parallel, most
        self.kept = self.waiting = 0
        self._mean = 0.0  # seconds of a call
        self._running: set[float] = set()  # when calls began that have not ended
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix=f"pix2rt {name}")

    @contextmanager
    def place(self) -> Iterator[None]:
        """Keep a request, from before its pictures are decoded until its answer is written.

        Raises:
            QueueFullError: there is no room for it.
        """
        if self.most is not None and self.kept >= self.most:
            after = max(1, math.ceil(self._expected() * self.kept / self.parallel))
            raise QueueFullError(
                f"the server has {self.kept} requests, as many as it keeps; try again in {after} s", after
            )
        self.kept += 1
        try:
            yield
        finally:
            self.kept -= 1

    async def run(self, work: Callable[..., Result], *arguments: Any, **options: Any) -> Done[Result]:
        """Run `work` in a thread. Where the caller is cancelled before its turn, it is not run at all."""
        asked = time.perf_counter()

        def timed() -> Done[Result]:
            start = time.perf_counter()
            self._running.add(start)
            try:
                result = work(*arguments, **options)
            finally:
                self._running.discard(start)
            return Done(result, start - asked, time.perf_counter() - start)

        self.waiting += 1
        try:
            done = await asyncio.get_running_loop().run_in_executor(self._threads, timed)
        finally:
            self.waiting -= 1
        self._mean = _OLD * self._mean + _NEW * done.took if self._mean else done.took
        return done

    def _expected(self) -> float:
        """Seconds of a call: the mean, or more where one that runs has already taken more."""
        now = time.perf_counter()
        return max([self._mean, *(now - start for start in list(self._running))])

    def close(self) -> None:
        """Wait for the calls that run, and drop those that wait."""
        self._threads.shutdown(wait=True, cancel_futures=True)
