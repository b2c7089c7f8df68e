"""Progress of a run where no terminal shows a bar: lines in a log."""

import time
from datetime import timedelta

from rich import get_console
from rich.progress import Task

_PAUSE_S = 10.0


class Lines:
    """Prints a line about a run now and then.

    Args:
        wanted: whether this process tells anything. Where a terminal shows the bar no line is printed.
    """

    def __init__(self, wanted: bool) -> None:
        self._is_silent = not wanted or get_console().is_terminal
        self._last = -_PAUSE_S

    def tell(self, task: Task, epoch: int) -> None:
        """Step, epoch, speed, time left and losses; the first and the last step, and one in ten seconds between."""
        now = time.monotonic()
        if self._is_silent or (now - self._last < _PAUSE_S and not task.finished):
            return
        self._last = now
        left = "" if task.time_remaining is None else f", {timedelta(seconds=round(task.time_remaining))} left"
        speed = f"{task.fields['speed']:.2f} images/s"
        step = f"step {task.completed:.0f}/{task.total:.0f}, epoch {epoch}"
        print(f"{step}, {speed}{left}: {task.fields['losses']}", flush=True)
