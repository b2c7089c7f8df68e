"""The sketch page's connection: a search that is watched step by step and can be stopped."""

import asyncio
import json
from contextlib import suppress
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from runtime.engines.document import Document
from runtime.errors import InputError, Pix2rtError
from runtime.media.decoding import Upload
from runtime.media.images import png_bytes, read_drawing
from runtime.media.mask_images import read_hint
from runtime.runners.search import SearchOptions
from runtime.runners.sketch_completer import DIRECTIONS, SketchCompleter
from runtime.server.watch import Watch

_EVERY = 5  # steps between pictures
_MOST_STEPS, _MOST_RESTARTS, _HIGHEST_SEED = 5000, 16, 2**31 - 1


async def connect(socket: WebSocket) -> None:
    """Options as text, the drawing, and where the options say so a hint; then steps go out until "stop" comes in."""
    await socket.accept()
    with suppress(WebSocketDisconnect):  # whatever is being said when the page goes
        try:
            await _search(socket)
        except Pix2rtError as error:
            await socket.send_text(json.dumps({"type": "error", "message": str(error)}))
            await socket.close()


async def _search(socket: WebSocket) -> None:
    watch = Watch(asyncio.get_running_loop(), _EVERY)
    worker = socket.app.state.workers.of_kind(socket.path_params["engine"], SketchCompleter)
    completer = worker.runner
    options, given, has_hint = _options(await socket.receive_text())
    drawing = await run_in_threadpool(read_drawing, Upload("the drawing", await socket.receive_bytes()))
    hint = None
    if has_hint:
        hint = await run_in_threadpool(read_hint, Upload("the hint", await socket.receive_bytes()))
    joint = await run_in_threadpool(completer.joint, drawing, None, hint, given=given)
    stopper = asyncio.create_task(_stop_when_told(socket, watch))
    search = asyncio.create_task(worker.call(completer.complete, *joint, callback=watch, **options))
    try:
        await _report(socket, search, watch)
        done = await search
        sketch, photo = done.halves(given)
        news = {"type": "done", "iteration": done.iteration, "steps": len(done.contextual_loss) - 1}
        await _send(socket, news, await run_in_threadpool(png_bytes, photo if given == "sketch" else sketch))
        await socket.close()
    finally:
        watch.stopped.set()
        stopper.cancel()
        await asyncio.gather(stopper, search, return_exceptions=True)


async def _report(socket: WebSocket, search: "asyncio.Task[Any]", watch: Watch) -> None:
    while not search.done() or not watch.queue.empty():
        waits = asyncio.create_task(watch.queue.get())
        await asyncio.wait({waits, search}, return_when=asyncio.FIRST_COMPLETED)
        if not waits.done():
            waits.cancel()
            continue
        step, image = waits.result()
        await _send(socket, {"type": "step", **step}, image)
        if watch.stopped.is_set():
            return


async def _send(socket: WebSocket, news: dict[str, Any], image: bytes | None) -> None:
    await socket.send_text(json.dumps(news))
    if image:
        await socket.send_bytes(image)


async def _stop_when_told(socket: WebSocket, watch: Watch) -> None:
    try:
        await socket.receive_text()
    except WebSocketDisconnect:
        pass
    finally:
        watch.stopped.set()


def _options(text: str) -> tuple[SearchOptions, Any, bool]:
    try:
        document = Document.parse(text, "the options")
        given = document.text("given")
        if given not in DIRECTIONS:
            raise ValueError(f"given is {given!r}, expected one of {', '.join(DIRECTIONS)}")
        options: SearchOptions = {
            "iterations": document.integer("iterations", 1, _MOST_STEPS),
            "restarts": document.integer("restarts", 1, _MOST_RESTARTS),
            "seed": document.integer("seed", 0, _HIGHEST_SEED),
        }
    except ValueError as error:
        raise InputError(f"the options of the search: {error}") from error
    return options, given, document.fields.get("hint") is True


ROUTES = [WebSocketRoute("/ws/complete/{engine}", connect)]
