"""Connections of clients that neither ask nor read: they are closed, so that they cost nothing."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class ImpatientProtocol(H11Protocol):
    """HTTP that looks at its connection now and then, and ends it where nothing has changed since it waits.

    uvicorn ends what waits for a further request after an answer; not what never asks, what stops in the middle of a
    head, and what does not take the end of an answer. Bodies have a limit of their own (`runtime.server.guard`).

    Attributes:
        patience: seconds between two looks: a connection has one to two of them.
    """

    patience = 10.0

    _timer: asyncio.TimerHandle | None = None
    _seen: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The connection begins, and looking at it."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.patience, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended."""
        super().connection_lost(exc)
        if self._timer:
            self._timer.cancel()

    def _look(self) -> None:
        if self.transport.get_protocol() is not self:  # a WebSocket's by now
            return
        is_closing = self.transport.is_closing()
        is_answering = self.cycle is not None and not self.cycle.response_complete
        waiting = None if is_answering and not is_closing else (self.cycle, is_closing)
        if waiting is not None and waiting == self._seen:
            self.transport.abort()
            return
        self._seen = waiting
        self._timer = self.loop.call_later(self.patience, self._look)
