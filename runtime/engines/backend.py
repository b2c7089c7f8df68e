"""What runs engines: the protocol of an opened one, the devices, and the entry by which a backend is found."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec
from runtime.errors import InputError

_DEVICE = re.compile(r"(cpu|cuda)(?::(\d{1,4}))?")


class Engine(Protocol):
    """An opened engine. `run` may be called from several threads at once.

    Attributes:
        spec: what the engine is.
        device: where it runs: "cpu", "cuda" or "cuda:1".
        backend: how: the name of its entry.
        skipped: what "auto" prefers and found here, but could not start, with the reason; and what else was left out.
    """

    spec: EngineSpec
    device: str
    backend: str
    skipped: tuple[str, ...]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Arrays by input name, as the specification says → fresh arrays by output name.

        Raises:
            DeviceError: the engine fails on this device, for instance for lack of memory.
            InputError: it was built for other sizes.
            ClosedError: `close` was called.
        """

    def loop(self, inputs: Mapping[str, NDArray[Any]], carried: Mapping[str, str]) -> "Loop":
        """Calls that feed outputs back, without leaving the device.

        Args:
            inputs: arrays by input name, for the first call; those that are not carried stay.
            carried: output name → the input that it becomes in the next call.

        Raises:
            DeviceError, ClosedError: as in `run`.
        """

    def close(self) -> None:
        """Give memory and device back; calls that still run end as they would. Closing twice does nothing."""


class Loop(Protocol):
    """Repeated calls of an engine; for one thread."""

    def step(self) -> None:
        """Call the engine once more.

        Raises:
            DeviceError: the engine fails on this device, for instance for lack of memory.
        """

    def fetch(self, name: str) -> NDArray[Any]:
        """An output of the last call, copied from the device."""


@dataclass(frozen=True)
class Device:
    """A place to run: "cpu", or "cuda" with the index of a GPU."""

    type: str
    index: int = 0

    @classmethod
    def parse(cls, text: str) -> "Device":
        """ "cpu", "cuda" or "cuda:1"; raises InputError for anything else."""
        match = _DEVICE.fullmatch(text) if isinstance(text, str) else None
        if not match or (match[1] == "cpu" and match[2]):
            raise InputError(f"device {text!r} is unknown; give auto, cpu, cuda or cuda:1 for the second GPU")
        return cls(match[1], int(match[2] or 0))

    def __str__(self) -> str:
        return f"{self.type}:{self.index}" if self.index else self.type


@dataclass(frozen=True)
class Backend:
    """A way to run engines; `runtime.engines.backends` has a module for each, light to import.

    Attributes:
        name: that `backend=` takes.
        preference: "auto" tries the lowest first.
        devices: types of devices that it runs on.
        suffixes: of the files that it runs.
        why_not: what is missing to run this engine there, as a sentence without a full stop; None where nothing is
            known to be. Takes milliseconds.
        open: load the weights: source, specification, device, CPU threads of a call (None for one per core). Raises
            EngineFormatError, DeviceError.
        shuns: why "auto" leaves this engine to the others, as a sentence without a full stop; None where it does not.
        is_yardstick: it is there to be compared with: "auto" never takes it, and export does not vouch for it.
    """

    name: str
    preference: int
    devices: tuple[str, ...]
    suffixes: tuple[str, ...]
    why_not: Callable[[EngineSource, EngineSpec, Device], str | None]
    open: Callable[[EngineSource, EngineSpec, Device, int | None], Engine]
    shuns: Callable[[EngineSource, EngineSpec], str | None] = lambda source, spec: None
    is_yardstick: bool = False
