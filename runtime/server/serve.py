"""Listens: on the wanted port or the next free one, until Ctrl-C or SIGTERM."""

import contextlib
import errno
import math
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from runtime.errors import DeviceError, InputError
from runtime.server.connection import ImpatientProtocol

_TRIED = 20  # ports from the wanted one on
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")  # addresses that only this machine reaches
SECONDS_TO_END = 2  # that open requests get after Ctrl-C
_MOST_FILES = 2**16
_MAX_MESSAGE = 2**26  # bytes of a WebSocket's message


def listen(host: str, port: int, tried: int = _TRIED) -> socket.socket:
    """A listening socket on `port`, or where that is taken on one of the next, `tried` in all; 0 for any.

    Raises:
        InputError: `host` is no address of this machine.
        DeviceError: no port is free.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    candidates = range(port, min(port + tried, 2**16)) if port else range(1)
    for candidate in candidates:
        opened = socket.socket(family, socket.SOCK_STREAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((host, candidate))
            opened.listen()
        except OSError as error:
            opened.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise InputError(
                    f"--host {host}: {error.strerror or error}; give an address of this machine"
                ) from error
            continue
        return opened
    ports = f"port {port} of {host} is" if len(candidates) == 1 else f"ports {port} to {candidates[-1]} of {host} are"
    raise DeviceError(f"{ports} taken, or not yours to use; give another --port")


def address_of(opened: socket.socket) -> str:
    """What to type into a browser."""
    name, number = opened.getsockname()[:2]
    return f"http://{f'[{name}]' if ':' in name else name}:{number}/"


def serve(
    app: ASGIApp, opened: socket.socket, started: Callable[[], None], seconds_to_end: float = SECONDS_TO_END
) -> None:
    """Serve until Ctrl-C, then raise KeyboardInterrupt, or until SIGTERM, then raise what its handler does.

    `started` is called once requests are answered. At the end nothing more is accepted, and what was accepted gets
    `seconds_to_end` to be answered.
    """
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        http=ImpatientProtocol,
        ws="websockets-sansio",
        ws_max_size=_MAX_MESSAGE,
        ws_per_message_deflate=False,  # on loopback bytes are cheaper than the time to pack them
        timeout_graceful_shutdown=math.ceil(seconds_to_end),
    )
    server = _Announcing(config, started)
    with contextlib.closing(opened):
        server.run(sockets=[opened])


class _Announcing(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()


def raise_file_limit() -> None:
    """Let this process have as many connections as the system allows it; nothing where there is no such limit."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
