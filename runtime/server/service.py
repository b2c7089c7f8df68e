"""The API as one application, with what those who run it ask: does it live, is it ready, what did it do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.server import api, handlers
from runtime.server.guard import Guard
from runtime.server.inference import Workers
from runtime.server.line import Line
from runtime.server.metrics import CONTENT_TYPE, Metrics
from runtime.server.openapi import openapi
from runtime.server.problems import document

STATIC = Path(__file__).parent / "static"
OPEN_PATHS = ("/healthz", "/readyz")  # for orchestrators, who know no token


async def _page(_: Request) -> Response:
    return FileResponse(STATIC / "api.html")


async def _openapi(request: Request) -> Response:
    return JSONResponse(openapi(handlers.workers_of(request)))


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "alive"})


async def _readyz(request: Request) -> Response:
    failed = handlers.workers_of(request).failed
    if not failed:
        return JSONResponse({"status": "ready"})
    reasons = {name: str(error) for name, error in failed.items()}
    content = document(503, f"engines were not loaded: {', '.join(failed)}", "NotLoadedError") | {"failed": reasons}
    return JSONResponse(content, 503, media_type="application/problem+json")


async def _metrics(request: Request) -> Response:
    return Response(request.app.state.meter.text(), media_type=CONTENT_TYPE)


ROUTES = [
    Route("/", _page),
    Route("/openapi.json", _openapi),
    Route("/healthz", _healthz),
    Route("/readyz", _readyz),
    Route("/metrics", _metrics),
    *api.ROUTES,
    Mount("/static", StaticFiles(directory=STATIC)),
]


def service(workers: Workers, line: Line, seconds: float) -> Starlette:
    """The application; it closes the engines when it ends.

    Args:
        workers: the engines.
        line: that they share.
        seconds: in which a request must be answered.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        workers.close()

    app = Starlette(routes=ROUTES, lifespan=lifespan, exception_handlers=handlers.PROBLEMS)
    app.state.workers, app.state.meter, app.state.seconds = workers, Metrics(line), seconds
    return app


def guarded(app: Starlette, seconds: float, **guard: Any) -> ASGIApp:
    """The application behind a guard, and every answer counted; `guard` as in `runtime.server.guard.Guard`."""
    inner = Guard(app, open_paths=OPEN_PATHS, seconds=seconds, **guard)

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await inner(scope, receive, send)
            return
        status = handlers.GONE

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await inner(scope, receive, told)
        finally:
            app.state.meter.ended(api.label_of(app.state.workers, scope["path"]), status)

    return counted
