"""The HTTP API: POST /v1/ENGINE/OPERATION with pictures in, a picture out; and what there is to ask for."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.errors import Pix2rtError
from runtime.runners.runner import Runner
from runtime.server.events import EVENTS, Events
from runtime.server.given import Part, check, receive
from runtime.server.handlers import GONE, answering, workers_of
from runtime.server.inference import Worker, Workers
from runtime.server.job import FORMATS, Job
from runtime.server.meter import Label, Meter
from runtime.server.operations import Operation, operations_of
from runtime.server.problems import NotAcceptableError, NotLoadedError, TooLateError, UnknownPathError
from runtime.server.watch import Watch

_FORMAT = Part("format", "Of the answer; else as Accept says, else png.", "string", "png", tuple(FORMATS))
_SHOW_EVERY = Part("show_every", "Steps between pictures, in a stream of events; 0 for none.", "integer", 0)


def parts_of(operation: Operation) -> tuple[Part, ...]:
    """All that a request may bring: what the operation takes, and how the answer is to come."""
    if operation.answers != "picture":
        return operation.parts
    return (*operation.parts, _FORMAT, *((_SHOW_EVERY,) if operation.is_watched else ()))


async def answer(request: Request) -> Response:
    """POST /v1/ENGINE/OPERATION."""
    start = time.perf_counter()
    files, texts = await receive(request)
    uploaded = time.perf_counter() - start
    worker, operation, runner = find(workers_of(request), **request.path_params)
    given = check(files, texts, parts_of(operation), f"{operation.name} of {worker.name}")
    options = dict(given.options)
    format, every = options.pop(_FORMAT.name, None), options.pop(_SHOW_EVERY.name, 0)
    wanted = wanted_kind(request.headers.get("accept", ""), operation)
    format = format or (_FORMAT.default if wanted == EVENTS else wanted)
    job = Job(worker, runner, operation, replace(given, options=options), format, {"upload": uploaded})
    meter: Meter = request.app.state.meter

    def finished() -> None:
        for stage, seconds in job.seconds.items():
            meter.took(Label(worker.name, operation.name), stage, seconds)

    if wanted == EVENTS:
        return Events(job, max(0, every), request.app.state.seconds, finished)
    with worker.line.place():
        response = await _unless_gone(request, job.answer, request.app.state.seconds)
    finished()
    return response


async def _unless_gone(
    request: Request, work: Callable[[Watch], Coroutine[Any, Any, Response]], seconds: float | None
) -> Response:
    """The answer, unless the client leaves before, or it takes too long: what has not begun then never begins."""
    watch = Watch()
    making, leaving = asyncio.create_task(work(watch)), asyncio.create_task(_left(request))
    try:
        ended, _ = await asyncio.wait({making, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if making in ended:
            return making.result()
        if leaving in ended:
            return Response(status_code=GONE)
        raise TooLateError(f"the answer was not ready within {seconds:g} s; try again later, or ask for less")
    finally:
        watch.stopped.set()
        for task in (making, leaving):
            task.cancel()
        await asyncio.gather(making, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def wanted_kind(accept: str, operation: Operation) -> str:
    """What an Accept header likes best of what the operation gives: a format, or `EVENTS`; "" for JSON.

    Raises:
        NotAcceptableError: none of it.
    """
    if operation.answers != "picture":
        return ""
    offered = {media_type: format for format, media_type in FORMATS.items()}
    if operation.is_watched:
        offered[EVENTS] = EVENTS
    for kind in _by_weight(accept or "*/*"):
        if kind in ("*/*", "image/*"):
            return str(_FORMAT.default)
        if kind in offered:
            return offered[kind]
    raise NotAcceptableError(f"the answer is wanted as {accept[:80]!r}, expected one of {', '.join(offered)}")


def _by_weight(accept: str) -> list[str]:
    """Media types in lower case, what is liked best first (RFC 9110, section 12.5.1)."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, *parameters = (one.strip() for one in part.split(";"))
        weight = next((one.removeprefix("q=") for one in parameters if one.startswith("q=")), "1")
        weights[kind] = float(weight) if re.fullmatch(r"[01](\.\d{0,3})?", weight) else 0.0
    return sorted((kind for kind, weight in weights.items() if weight > 0), key=lambda kind: -weights[kind])


def find(workers: Workers, engine: str, operation: str) -> tuple[Worker, Operation, Runner]:
    """What an address names.

    Raises:
        UnknownPathError: there is no such engine, or it has no such operation.
        NotLoadedError: the engine could not be loaded.
    """
    worker = _worker(workers, engine)
    offered = {one.name: (one, runner) for one, runner in operations_of(worker)}
    if operation not in offered:
        raise UnknownPathError(f"engine {engine} has no {operation[:80]!r}; it has {', '.join(offered)}")
    return worker, *offered[operation]


def _worker(workers: Workers, name: str) -> Worker:
    if name in workers.failed:
        raise NotLoadedError(f"engine {name} was not loaded: {workers.failed[name]}")
    worker = workers.get(name)
    if worker is None:
        known = ", ".join(one.name for one in workers)
        raise UnknownPathError(f"there is no engine {name[:80]!r} here; those are {known}")
    return worker


def described(worker: Worker) -> dict[str, Any]:
    """An engine in a list."""
    runner, spec = worker.runner, worker.runner.spec
    return {
        "name": worker.name,
        "kind": runner.kind,
        "family": spec.family,
        "operations": [operation.name for operation, _ in operations_of(worker)],
        "size": spec.size,
        "size_multiple": spec.size_multiple,
        "smallest_side": spec.smallest_side,
        "precision": spec.precision,
        "device": runner.device,
        "backend": runner.backend,
    }


async def engines(request: Request) -> Response:
    """GET /v1/engines: a list of them."""
    return JSONResponse({"engines": [described(worker) for worker in workers_of(request)]})


async def engine(request: Request) -> Response:
    """GET /v1/engines/ENGINE: with its whole specification."""
    worker = _worker(workers_of(request), request.path_params["engine"])
    return JSONResponse(described(worker) | {"specification": json.loads(worker.runner.spec.to_json())})


def label_of(workers: Workers, path: str) -> Label:
    """What a request is for; only names of what is there, so that nobody fills the memory with names."""
    words = path.strip("/").split("/")
    try:
        worker, operation, _ = find(workers, *words[1:])
    except (Pix2rtError, TypeError):
        return Label()
    return Label(worker.name, operation.name)


ROUTES = [
    Route("/v1/engines", answering(engines)),
    Route("/v1/engines/{engine}", answering(engine)),
    Route("/v1/{engine}/{operation}", answering(answer), methods=["POST"]),
]
