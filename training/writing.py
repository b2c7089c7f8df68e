"""Files of tensors, written whole or not at all, and with an error of ours where the disk is full."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from runtime.files import atomic_path

_SYSTEMS_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def tensor_file(path: str | Path) -> Iterator[Path]:
    """`atomic_path` for safetensors and torch, whose writers have exceptions of their own.

    Raises:
        OutputError: the folder cannot be made or written, the disk is full, or `path` is a directory.
    """
    with atomic_path(path) as temporary:
        try:
            yield temporary
        except (SafetensorError, RuntimeError) as error:
            systems = _systems_error(error)
            if systems is None:
                raise
            raise systems from error


def _systems_error(error: BaseException) -> OSError | None:
    """What the system said: safetensors quotes its number, torch fails a second time and hides the first."""
    if match := _SYSTEMS_ERROR.search(str(error)):
        number = int(match[1])
        return OSError(number, os.strerror(number))
    before = error.__context__
    return before if isinstance(before, OSError) else None
