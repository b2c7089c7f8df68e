"""Who may talk to the server, and how much: host names, origins, the token, and the size of what comes in."""

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.errors import InputError
from runtime.server.line import QueueFullError
from runtime.server.problems import TooLargeError, TooSlowError, problem

COOKIE = "pix2rt_token"
MAX_UPLOAD = 64 * 2**20  # bytes of one request
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_MOST_DIGITS = 20  # of a length: Python refuses to read thousands
_NO_TOKEN = (
    "the token is missing or wrong; open the address that the server printed, or send `Authorization: Bearer TOKEN`"
)
_REFUSED = 1008  # of a WebSocket: policy violation
_HEADERS = {
    # Nothing is loaded from, and nothing is sent to, any other host.
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class _StalledError(Exception):
    """A client does not read its answer: its connection ends."""


@dataclass
class Uploads:
    """What all requests together have sent and are not done with.

    Attributes:
        most: bytes that are kept.
        held: bytes that are there.
    """

    most: int = 16 * MAX_UPLOAD
    held: int = 0

    def take(self, count: int) -> None:
        """Further bytes; raises QueueFullError where there are too many."""
        if self.held + count > self.most:
            raise QueueFullError(
                f"the server holds {self.held / 2**20:.0f} MiB of uploads, as much as it keeps; try again in 1 s", 1
            )
        self.held += count


@dataclass(frozen=True)
class Guard:
    """Lets through what a page of this server sends, and nothing else.

    Attributes:
        app: what it guards.
        hosts: host names that a request may be addressed to: any other is a foreign name that was made to point here
            (DNS rebinding). None for any, with a token.
        token: what a request must know, as its cookie, as `?token=` or as `Authorization: Bearer`; None where only this
            machine can connect.
        max_upload: bytes of one request.
        open_paths: what needs no token: whether the server lives.
        seconds: that an upload may take, and again a part of the answer to be taken; None for any time.
        uploads: of all requests.
    """

    app: ASGIApp
    hosts: tuple[str, ...] | None = LOOPBACK
    token: str | None = None
    max_upload: int = MAX_UPLOAD
    open_paths: tuple[str, ...] = ()
    seconds: float | None = None
    uploads: Uploads = field(default_factory=Uploads)

    def __post_init__(self) -> None:
        if self.hosts is None and not self.token:
            raise InputError("a server that other machines reach needs a token; give one")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            received = [0]
            try:
                await self.app(scope, self._counted(receive, received), self._sealed(scope, send))
            except _StalledError:
                pass
            finally:
                self.uploads.held -= received[0]
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _REFUSED, "reason": refusal[1]})
        else:
            status, reason = refusal
            headers = {"www-authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
            await problem(status, reason, **headers)(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason, or None to let it through."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if self.hosts is not None and name.lower() not in self.hosts:
            return 421, f"the request is for the host {host!r}, this server is {' or '.join(self.hosts)}"
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return 403, f"the request comes from a page of {origin}, not of this server"
        if self.token and scope["path"] not in self.open_paths and not self._knows_token(headers, _query_token(scope)):
            return 401, _NO_TOKEN
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > _MOST_DIGITS or int(length) > self.max_upload:
            return 413, _too_large(self.max_upload)
        return None

    def _knows_token(self, headers: Mapping[str, str], given: str) -> bool:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        kept = cookie.value if cookie else ""
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        return any(hmac.compare_digest(one.encode(), (self.token or "").encode()) for one in (kept, given, bearer))

    def _counted(self, receive: Receive, received: list[int]) -> Receive:
        """Ends a request whose body is larger than its header said, or that said nothing; or that is too slow."""
        ends, has_more = self._deadline(), True

        async def counted() -> Message:
            nonlocal has_more
            if not has_more:  # only that the client leaves is still to come, whenever it does
                return await receive()
            try:
                async with asyncio.timeout_at(ends):
                    message = await receive()
            except TimeoutError as error:
                raise TooSlowError(f"the upload took more than {self.seconds:g} s; send it faster, or less") from error
            if message["type"] == "http.request":
                count = len(message.get("body", b""))
                self.uploads.take(count)
                received[0] += count
                has_more = message.get("more_body", False)
                if received[0] > self.max_upload:
                    raise TooLargeError(_too_large(self.max_upload))
            return message

        return counted

    def _deadline(self) -> float | None:
        return None if self.seconds is None else asyncio.get_running_loop().time() + self.seconds

    def _sealed(self, scope: Scope, send: Send) -> Send:
        """Adds the headers that keep the page to this server, and the cookie of a token that was given."""

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if self.token and _query_token(scope):
                    headers.append("set-cookie", f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/")
            try:
                async with asyncio.timeout(self.seconds):
                    await send(message)
            except TimeoutError as error:
                raise _StalledError from error

        return sealed


def _query_token(scope: Scope) -> str:
    text: bytes = scope.get("query_string", b"")
    query = parse_qs(text.decode("latin-1"))
    return query.get("token", [""])[0]


def _too_large(limit: int) -> str:
    return f"the upload is larger than {limit / 2**20:g} MiB; give a smaller file, or start with a larger --max-upload"
