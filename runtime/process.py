"""What every command line of this project does first, so that neither a character nor a signal ends it badly."""

import io
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


def prepare_process() -> None:
    """Make output take every character, and SIGTERM and SIGHUP unwind as Ctrl-C does: partial files are removed, the
    exit code is 128 + the signal's number.
    """
    take_every_character()
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores it
            signal.signal(number, _end)


def take_every_character() -> None:
    """Make standard output and error write characters that their encoding lacks as `\\u2192`: on a console of Windows,
    in a pipe with LC_ALL=C, in file names that are no UTF-8.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None without a console, something else in a notebook
            stream.reconfigure(errors="backslashreplace")


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


@contextmanager
def silent_interrupts() -> Iterator[None]:
    """Let Ctrl-C end the process at once and without a word, while libraries load and there is nothing to clean up."""
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if is_ours:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    except ValueError:  # in a thread, where signals do not arrive
        is_ours = False
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
