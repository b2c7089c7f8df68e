"""The studio as one application: its page and files, the list of engines, and everything behind a guard."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from runtime.runners.inpainter import Inpainter
from runtime.runners.sketch_completer import SketchCompleter
from runtime.runners.synthesizer import Synthesizer
from runtime.runners.translator import Translator
from runtime.server import api, handlers
from runtime.server.guard import Guard
from runtime.server.inference import Worker, Workers
from runtime.server.meter import Meter
from runtime.server.problems import problem
from runtime.studio import scene, search
from runtime.studio.session import Sessions
from runtime.version import __version__

STATIC = Path(__file__).parent / "static"
KINDS = tuple(one.kind for one in (Synthesizer, Translator, Inpainter, SketchCompleter))  # of engines that have a page


async def _page(_: Request) -> Response:
    return FileResponse(STATIC / "studio.html")


async def _engines(request: Request) -> Response:
    workers = handlers.workers_of(request)
    return JSONResponse({"version": __version__, "engines": [_described(worker) for worker in workers]})


def _described(worker: Worker) -> dict[str, Any]:
    runner = worker.runner
    facts: dict[str, Any] = {"name": worker.name, "kind": runner.kind, "device": runner.device}
    if isinstance(runner, Translator):
        facts |= {"channels": runner.input_nc, "isStochastic": runner.is_stochastic, "size": runner.spec.cost.size}
    if isinstance(runner, Inpainter):
        facts |= {"usesStyle": runner.uses_style, "iterations": runner.spec.options.get("iterations")}
    return facts


async def _example(request: Request) -> Response:
    """GET a picture that lies beside an engine: NAME_input.png, NAME_photo.jpg, NAME_mask.png or NAME_sketch.png."""
    worker = next((one for one in handlers.workers_of(request) if one.name == request.path_params["engine"]), None)
    end = {"input": "input.png", "photo": "photo.jpg", "mask": "mask.png", "sketch": "sketch.png"}.get(
        request.path_params["what"]
    )
    path = worker.path.with_name(f"{worker.path.stem}_{end}") if worker and end else None
    return FileResponse(path) if path and path.is_file() else problem(404, "there is no such example")


def studio(workers: Workers, **guard: Any) -> Guard:
    """The application; `guard` as in `runtime.server.guard.Guard`. It closes the engines when it ends."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        workers.close()

    routes = [
        Route("/", _page),
        Route("/api/engines", _engines),
        Route("/api/examples/{engine}/{what}", _example),
        *api.ROUTES,
        *scene.ROUTES,
        *search.ROUTES,
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers.PROBLEMS)
    app.state.workers, app.state.sessions = workers, Sessions()
    app.state.meter, app.state.seconds = Meter(), None
    return Guard(app, **guard)
