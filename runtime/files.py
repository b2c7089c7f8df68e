"""File access that keeps two promises: a clear error for a bad path, and never a half-written file under its final
name."""

import io
import os
import re
import secrets
import shutil
import socket
import stat
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, TextIO

from runtime.errors import MissingFileError, OutputError, Pix2rtError

STDIO = Path("-")  # stdin where one file goes in, stdout where one goes out

_STREAM = re.compile(
    r"-|/dev/(stdin|stdout|stderr|fd/\d+)|/proc/[^/]+/fd/\d+"
)  # may be a regular file, not ours to replace
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_PARTIAL = re.compile(rf"\..*\.{_HOST}-(\d+)\.[0-9a-f]{{8}}\.partial(\..*)?")
_LONGEST_STEM = 32
_SWEEP_S = 1.0

_being_written: set[Path] = set()
_swept: dict[Path, float] = {}
_lock = threading.Lock()


def require_file(path: str | os.PathLike[str], what: str) -> Path:
    """Return `path` if it is a regular file.

    Args:
        path: the file that the caller named.
        what: what it should be, for the message ("engine", "label map").

    Raises:
        MissingFileError: nothing is there, a directory is, or a pipe or device.
    """
    path = require_readable(path, what)
    if is_stream(path):
        raise MissingFileError(f"{what} {path} is a pipe or device, expected a file; save it first")
    return path


def require_readable(path: str | os.PathLike[str], what: str) -> Path:
    """Return `path` if `open_input` takes it: a file, a pipe, a device, `-`; else raise MissingFileError."""
    path = Path(path)
    if is_folder(path):
        raise MissingFileError(f"{what} {path} is a directory, expected a file")
    if path != STDIO and not is_there(path):
        raise MissingFileError(
            f"{what} {path} does not exist; check the spelling and the working directory ({Path.cwd()})"
        )
    return path


def is_folder(path: Path) -> bool:
    """Path.is_dir, which raises OSError where a name is too long for the system."""
    return os.path.isdir(path)  # noqa: PTH112


def is_there(path: Path) -> bool:
    """Path.exists, likewise."""
    return os.path.exists(path)  # noqa: PTH110


def is_stream(path: Path) -> bool:
    """Whether `path` is `-`, a pipe or a device: read once, and written to instead of replaced."""
    if _STREAM.fullmatch(str(path)):
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def open_input(path: Path) -> BinaryIO:
    """Open what `require_readable` returned, from its beginning and seekable; a stream's content is kept for the next
    time. A read sets no more memory aside than the file has bytes left, whatever a damaged length in it asks for.

    Raises:
        OSError: it cannot be read.
    """
    return io.BytesIO(_stream_content(path, sys.stdin)) if is_stream(path) else _WithinFile(io.FileIO(path))


class _WithinFile(io.BufferedReader):
    def read(self, size: int | None = -1, /) -> bytes:
        left = max(os.fstat(self.fileno()).st_size - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))


@lru_cache(maxsize=4)
def _stream_content(path: Path, stdin: TextIO | None) -> bytes:
    return _bytes_of(stdin).read() if path == STDIO else path.read_bytes()


def _bytes_of(stream: TextIO | None) -> BinaryIO:
    if stream is None:
        raise OSError("it is closed")
    return stream.buffer


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on failure.

    A kill at any moment leaves the previous file, or none, and never a part of the new one; what a kill leaves beside
    it goes when a later process writes into the folder. Links are followed, a file that is there keeps its mode. To
    `-`, a pipe or a device the content is written once it is whole.

    An OSError inside becomes an OutputError. A library with exceptions of its own for a full disk (safetensors, torch)
    is converted where it is called.

    Raises:
        OutputError: the folder cannot be made or written, or `path` is a directory or write-protected.
    """
    path = Path(path)
    with _output_errors(path):
        if is_stream(path):
            with tempfile.TemporaryDirectory() as folder:
                yield (temporary := Path(folder, f"result{path.suffix}"))
                _send(temporary, path)
            return
        target = _real_target(path)
        temporary = _new_temporary(target)
        try:
            yield temporary
            _publish(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
            _being_written.discard(temporary)


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except Pix2rtError:
        raise
    except OSError as error:
        is_place = isinstance(error, PermissionError | NotADirectoryError | FileExistsError)
        advice = "; choose a folder you can write to" if is_place else ""
        raise OutputError(f"cannot write {path}: {error.strerror or error}{advice}") from error


def _real_target(path: Path) -> Path:
    """Where `path` leads, its folder made."""
    target = Path(os.path.realpath(path))
    if is_folder(target):
        raise OutputError(f"cannot write {path}: it is a directory; give a file name")
    target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        target.stat()  # fails before the work, not after it, for names too long and links in a circle
        if not os.access(target, os.W_OK):
            raise OutputError(f"cannot write {path}: it is write-protected; choose another name")
    return target


def _new_temporary(target: Path) -> Path:
    """Make the empty file that becomes `target`, with the mode that it will have."""
    _sweep(target.parent)
    name = f".{target.stem[:_LONGEST_STEM]}.{_HOST}-{os.getpid()}.{secrets.token_hex(4)}.partial{target.suffix}"
    temporary = target.with_name(name)
    _being_written.add(temporary)
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # less what the user's umask takes
    with suppress(FileNotFoundError):
        temporary.chmod(stat.S_IMODE(target.stat().st_mode))
    return temporary


def _sweep(folder: Path) -> None:
    """Remove what writers of this machine that were killed left in `folder`; looks once a second at most."""
    with _lock:
        now = time.monotonic()
        if now - _swept.get(folder, -_SWEEP_S) < _SWEEP_S:
            return
        _swept[folder] = now
    for name in os.listdir(folder):  # noqa: PTH208
        match = _PARTIAL.fullmatch(name)
        if match and _is_abandoned(folder / name, int(match[1])):
            (folder / name).unlink(missing_ok=True)


def _is_abandoned(partial: Path, process: int) -> bool:
    if process == os.getpid():
        return partial not in _being_written  # of an earlier process of this number, as containers have them
    if os.name == "nt":
        return False  # no way to ask: signal 0 is a Ctrl-C there
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False


def _publish(temporary: Path, target: Path) -> None:
    with temporary.open("r+b") as stream:  # Windows flushes no handle that only reads
        os.fsync(stream.fileno())
    temporary.replace(target)


def _send(temporary: Path, path: Path) -> None:
    with temporary.open("rb") as content:
        if path == STDIO:
            stdout = _bytes_of(sys.stdout)
            shutil.copyfileobj(content, stdout)
            stdout.flush()
            return
        # Appended: /dev/stdout may be a file that the shell opened, with something in it.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND), "wb") as stream:
            shutil.copyfileobj(content, stream)
