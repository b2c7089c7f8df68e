"""Steps of a long command on the terminal: a spinner while one runs, its duration when it is over."""

import time
from types import TracebackType

from rich.console import Console
from rich.status import Status


class Steps:
    """Call it with the name of each step as the step starts.

    Args:
        console: where to write.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._name = ""
        self._start = 0.0

    def __enter__(self) -> "Steps":
        return self

    def __call__(self, name: str) -> None:
        self._finish(done=True)
        self._name, self._start = name, time.perf_counter()
        self._status = self._console.status(name)
        self._status.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish(done=error is None)

    def _finish(self, done: bool) -> None:
        if self._status is None:
            return
        self._status.stop()
        self._status = None
        if done:
            self._console.print(f"{self._name} [dim]{time.perf_counter() - self._start:.1f} s[/dim]", highlight=False)
