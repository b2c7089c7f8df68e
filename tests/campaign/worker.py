"""A process that reads damaged files, one after the other, under limits of memory and time; it may die of it."""

import faulthandler
import os
import resource
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from runtime.errors import Pix2rtError
from tests.campaign.kinds import Kind

MEMORY = 3 * 2**30  # beyond what the process has mapped when the intact files have been read
SECONDS = 20  # of processor time, a file
_MAPPED = 0  # field of /proc/self/statm


def case(kind: Kind, folder: Path, seed: int, index: int) -> tuple[str, bytes]:
    """The damaged file number `index`: its name and bytes. The same for the same seed, in any process."""
    rng = Random(f"{seed} {kind.name} {index}")
    files = sorted(folder.iterdir())
    path, other = rng.choice(files), rng.choice(files)
    return f"{index}{path.suffix}", kind.damage(rng, path, other.read_bytes())


def trouble(kind: Kind, path: Path, folder: Path) -> str | None:
    """What is wrong with how a file is read: None for a result or a documented error, else what was raised."""
    try:
        kind.read(path, folder)
    except Pix2rtError as error:
        return None if str(error) else f"{type(error).__name__} without a word"
    except BaseException:  # noqa: BLE001  whatever it is, it is the finding
        return traceback.format_exc()
    return None


def work(connection: Connection, kind: Kind, intact: Path, folder: Path, seed: int) -> None:
    """Read every case whose number comes, and answer with what was wrong with it."""
    log = (folder / "log.txt").open("w")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    faulthandler.enable(log)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for path in sorted(intact.iterdir()):
        found = trouble(kind, path, folder)
        if found:
            raise RuntimeError(f"the intact file {path.name} cannot be read: {found}")
    mapped = int(Path("/proc/self/statm").read_text().split()[_MAPPED]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
    connection.send("ready")
    while (index := connection.recv()) is not None:
        name, content = case(kind, intact, seed, index)
        path = folder / name
        path.write_bytes(content)
        used = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + SECONDS, hard))
        found = trouble(kind, path, folder)
        path.unlink()
        connection.send(found)
