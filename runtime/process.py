"""What every command line of this project does first, so that neither a character nor a signal ends it badly."""

import io
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


def prepare_process() -> None:
    """Make output take every character, and SIGTERM and SIGHUP unwind as Ctrl-C does.

    Characters that the encoding lacks (a console of Windows, a pipe with LC_ALL=C, file names that are no UTF-8) are
    written as `\\u2192`. After a signal partial files are removed; the exit code is 128 + the signal's number.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None without a console, something else in a notebook
            stream.reconfigure(errors="backslashreplace")
    if threading.current_thread() is not threading.main_thread():  # where signals do not arrive
        return
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores it
            signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


@contextmanager
def silent_interrupts() -> Iterator[None]:
    """Let Ctrl-C end the process at once and without a word, while libraries load and there is nothing to clean up."""
    is_main = threading.current_thread() is threading.main_thread()
    is_ours = is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
