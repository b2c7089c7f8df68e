"""File access that keeps two promises: a clear error for a bad path, and never a half-written file under its final "
"name."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import MissingFileError, OutputError, Pix2rtError


def require_file(path: str | os.PathLike[str], what: str) -> Path:
    """Return `path` if it is a regular file.

    Args:
        path: the file that the caller named.
        what: what it should be, for the message ("engine", "label map").

    Raises:
        MissingFileError: nothing is there, or a directory is.
    """
    path = Path(path)
    if path.is_dir():
        raise MissingFileError(f"{what} {path} is a directory, expected a file")
    if not path.is_file():
        raise MissingFileError(
            f"{what} {path} does not exist; check the spelling and the working directory ({Path.cwd()})"
        )
    return path


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on failure.

    A kill at any moment leaves the previous file, or none, and never a part of the new one.

    Raises:
        OutputError: the folder cannot be made or written, or `path` is a directory.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a directory; give a file name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:32]}.", suffix=f".partial{path.suffix}", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; choose a folder you can write to"
        ) from error
    temporary = Path(name)
    try:
        yield temporary
        _publish(temporary, path)
    except Pix2rtError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _publish(temporary: Path, path: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)  # mkstemp makes files private; results are ordinary files
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)
