"""Listens: on loopback, on the wanted port or the next free one, until Ctrl-C."""

import contextlib
import errno
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from runtime.errors import DeviceError, InputError

_TRIED = 20  # ports from the wanted one on
_SECONDS_TO_END = 2  # that open requests get after Ctrl-C
_MAX_MESSAGE = 2**26  # bytes of a WebSocket's message


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on `port`, or where that is taken on one of the next; 0 for any.

    Raises:
        InputError: `host` is no address of this machine.
        DeviceError: no port is free.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in [port, *(range(port + 1, min(port + _TRIED, 2**16)) if port else ())]:
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
    raise DeviceError(f"ports {port} to {port + _TRIED - 1} of {host} are taken; give another --port")


def serve(app: ASGIApp, opened: socket.socket, started: Callable[[], None]) -> None:
    """Serve until Ctrl-C, then raise KeyboardInterrupt; `started` is called once requests are answered."""
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=_MAX_MESSAGE,
        ws_per_message_deflate=False,  # on loopback bytes are cheaper than the time to pack them
        timeout_graceful_shutdown=_SECONDS_TO_END,
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
