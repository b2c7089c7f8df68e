"""The folder in which built plans are kept, and what makes building them faster: as large as a bound, and never torn.

Every entry is written under another name first. Several processes may use it at once: who builds holds a lock.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runtime.engines.plan import SUFFIX, json_path
from runtime.errors import DeviceError, OutputError
from runtime.files import atomic_path

FOLDER_VARIABLE, BYTES_VARIABLE = "PIX2RT_CACHE", "PIX2RT_CACHE_BYTES"
DEFAULT_BYTES = 8 * 10**9
_POLL_S = 0.1


def cache_folder() -> Path:
    """What PIX2RT_CACHE names, else the folder that the system has for such things."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "pix2rt" / "plans"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pix2rt" / "plans"


def cache_bytes() -> int:
    """The bound: PIX2RT_CACHE_BYTES, else `DEFAULT_BYTES`.

    Raises:
        OutputError: the variable is no number of bytes.
    """
    text = os.environ.get(BYTES_VARIABLE, str(DEFAULT_BYTES))
    if not text.isdecimal():
        raise OutputError(f"{BYTES_VARIABLE} is {text!r}, expected a number of bytes such as {DEFAULT_BYTES}")
    return int(text)


def entry_name(*parts: str, suffix: str) -> str:
    """A file's name made of texts that may hold anything."""
    return "-".join("".join(c if c.isalnum() or c in ".-" else "_" for c in part) for part in parts) + suffix


def read_entry(name: str) -> bytes:
    """A small entry; empty where it is not there."""
    with suppress(OSError):
        return (cache_folder() / name).read_bytes()
    return b""


def write_entry(name: str, data: bytes) -> None:
    """Keep a small entry; where the folder cannot be written it is made again the next time."""
    with suppress(OutputError), atomic_path(cache_folder() / name) as temporary:
        temporary.write_bytes(data)


def used(plan: Path) -> None:
    """Note that a plan was used just now: the one used least recently goes first."""
    with suppress(OSError):
        os.utime(plan)


def keep_within_bound(newest: Path) -> None:
    """Remove what was used least recently until the folder is within its bound; `newest` always stays."""
    entries = []
    for path in newest.parent.iterdir():
        with suppress(OSError):  # another process may remove it meanwhile
            if path.is_file() and path.suffix in (SUFFIX, ".kernels", ".timing"):
                state = path.stat()
                entries.append((path == newest, state.st_mtime, state.st_size, path))
    total = sum(size for _, _, size, _ in entries)
    for is_newest, _, size, path in sorted(entries):
        if total <= cache_bytes() or is_newest:
            return
        for gone in (json_path(path), path):
            with suppress(OSError):
                gone.unlink()
        total -= size


def lock_path(plan: Path) -> Path:
    """The file that who builds `plan` holds a lock on."""
    return plan.with_name(f"{plan.name}.lock")


@contextmanager
def locked(plan: Path, wait_s: float) -> Iterator[None]:
    """Be the only process that builds `plan`; a process that dies gives its lock back.

    Raises:
        OutputError: the folder cannot be written.
        DeviceError: another process still builds after `wait_s` seconds.
    """
    path = lock_path(plan)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("ab")
    except OSError as error:
        raise OutputError(
            f"the cache folder {path.parent} cannot be written: {error.strerror or error}; make it writable, or name "
            f"another in {FOLDER_VARIABLE}"
        ) from error
    deadline = time.monotonic() + wait_s
    with stream:
        while not _try_lock(stream.fileno()):
            if time.monotonic() > deadline:
                raise DeviceError(
                    f"another process has been building {plan} for over {wait_s:g} s; wait for it, or end it"
                )
            time.sleep(_POLL_S)
        yield


def _try_lock(descriptor: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
