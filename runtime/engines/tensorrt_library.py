"""Finding TensorRT or TensorRT-RTX, and hearing what it says: it reports through its logger and raises nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from runtime.engines.plan import FLAVORS, PACKAGES
from runtime.errors import DeviceError, InputError

_ERRORS = ("ERROR", "INTERNAL_ERROR")


def load_tensorrt(flavor: str | None) -> tuple[str, ModuleType]:
    """(flavour, module); None for the installed one, TensorRT first.

    Raises:
        InputError: there is no such flavour.
        DeviceError: it is not installed.
    """
    if flavor is not None and flavor not in FLAVORS:
        raise InputError(f"flavor {flavor!r} is not one of {', '.join(FLAVORS)}")
    reasons = []
    for name in (flavor,) if flavor else FLAVORS:
        try:
            return name, import_module(FLAVORS[name])
        except ImportError as error:
            reasons.append(f"{name} is not installed; pip install {PACKAGES[name]}")
            if error.name != FLAVORS[name]:  # it is there, and something that it needs is not
                reasons[-1] = f"{name} does not load ({error}); pip install --force-reinstall {PACKAGES[name]}"
    raise DeviceError(", or ".join(reasons))


class Heard:
    """What TensorRT said in a while."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def errors(self) -> list[str]:
        """What it called errors."""
        return [message for severity, message in self.lines if severity in _ERRORS]

    def reason(self) -> str:
        """The last errors as one sentence."""
        return "; ".join(self.errors()[-5:]) or "it gave no reason"


class Log:
    """Hears TensorRT, whatever thread it speaks from.

    TensorRT keeps the first logger that it is given for the life of the process, so there is one for each library.
    """

    def __init__(self, tensorrt: ModuleType) -> None:
        self._heard: list[Heard] = []
        self._lock = threading.Lock()
        self.logger = _logger(tensorrt, self)

    @contextmanager
    def hearing(self) -> Iterator[Heard]:
        """Yields what is said until the block ends; what other threads cause meanwhile is among it."""
        heard = Heard()
        with self._lock:
            self._heard.append(heard)
        try:
            yield heard
        finally:
            with self._lock:
                self._heard.remove(heard)

    def add(self, severity: str, message: str) -> None:
        """A line."""
        with self._lock:
            for heard in self._heard:
                heard.lines.append((severity, message))


def log_of(tensorrt: ModuleType) -> Log:
    """The one log of a library."""
    with _lock:
        if tensorrt not in _logs:
            _logs[tensorrt] = Log(tensorrt)
        return _logs[tensorrt]


_logs: dict[ModuleType, Log] = {}
_lock = threading.Lock()


def _logger(tensorrt: ModuleType, log: Log) -> Any:
    class Logger(tensorrt.ILogger):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            tensorrt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if severity.name != "VERBOSE":
                log.add(severity.name, msg)

    return Logger()
