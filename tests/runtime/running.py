"""A studio or a server in a process of its own, as a person starts it."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.paths import ROOT

_ANSWERS_S = 120


class Running:
    """The process, and the address that it printed."""

    def __init__(self, arguments: list[str], errors: Path) -> None:
        command = [sys.executable, "-m", "runtime", *arguments]
        self.errors = errors
        with errors.open("wb") as stream:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stream, text=True)
        assert self.process.stdout
        self.address = self.process.stdout.readline().strip()
        assert self.address.startswith("http://"), errors.read_text()

    @property
    def port(self) -> int:
        return int(self.address.split("?")[0].rstrip("/").rpartition(":")[2])

    def interrupt(self) -> str:
        """Ctrl-C; what it had written on standard error by its end."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(_ANSWERS_S) == 130
        return self.errors.read_text()


@contextlib.contextmanager
def running(folder: Path, *arguments: str | Path) -> Iterator[Running]:
    """A verb and its arguments, on any free port unless they name one; killed at the end if it runs still."""
    given = [str(argument) for argument in arguments]
    server = Running(given if "--port" in given else [*given, "--port", "0"], folder / "errors.txt")
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        assert "Traceback" not in server.errors.read_text(), server.errors.read_text()


def running_studio(folder: Path, *arguments: str | Path) -> "contextlib.AbstractContextManager[Running]":
    """`pix2rt studio`."""
    return running(folder, "studio", "--no-browser", *arguments)
