"""The scene page's connection: a WebSocket for editing and live photos, and requests for files."""

import asyncio
import io
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from runtime.errors import InputError, Pix2rtError
from runtime.media.decoding import Upload
from runtime.media.images import png_bytes, read_inst_map, read_label_map, read_photo
from runtime.runners.checks import check_integer_maps, check_label_ids
from runtime.runners.edit_styles import measure
from runtime.runners.editor import Editor
from runtime.runners.runner import Notify, ignore
from runtime.runners.strokes import Box
from runtime.runners.synthesizer import Synthesizer
from runtime.server.handlers import answering, needed, picture, upload
from runtime.server.inference import Worker
from runtime.studio.session import Listener, Photo, SceneSession, Sessions, synthesizer_of

_LABELS, _INSTANCES = "_labels.png", "_instances.png"


def begin(worker: Worker) -> Editor:
    """The scene that lies beside the engine, NAME_labels.png and NAME_instances.png; else sky over ground."""
    labels, instances = (worker.path.with_name(worker.path.stem + end) for end in (_LABELS, _INSTANCES))
    if not labels.is_file():
        return Editor(synthesizer_of(worker), encoder=worker.encoder)
    return opened(worker, labels, instances if instances.is_file() else None)


def opened(worker: Worker, labels: Path | Upload, instances: Path | Upload | None, notify: Notify = ignore) -> Editor:
    """A scene from files; `notify` is told what had to be converted."""
    synthesizer = synthesizer_of(worker)
    ids = check_integer_maps(read_label_map(labels, synthesizer.labels, notify), "label_map", "class ids")
    label_map = check_label_ids(ids, synthesizer.labels, None)[0]
    inst_map = read_inst_map(instances, notify) if instances else None
    return Editor(synthesizer, label_map, inst_map, encoder=worker.encoder)


async def connect(socket: WebSocket) -> None:
    """Bring a page and a session together until the page goes."""
    await socket.accept()
    try:
        worker = socket.app.state.workers.of_kind(socket.path_params["engine"], Synthesizer)
        sessions: Sessions = socket.app.state.sessions
        session = sessions.find(socket.query_params.get("session", ""), worker)
        if session is None:
            session = sessions.add(worker, await run_in_threadpool(begin, worker))
    except Pix2rtError as error:
        await socket.close(reason=str(error)[:120])
        return
    listener = await session.join()
    sender = asyncio.create_task(_send_news(socket, session, listener))
    try:
        await _receive(socket, session, listener)
    except WebSocketDisconnect:
        pass
    finally:
        session.leave(listener)
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)


async def _receive(socket: WebSocket, session: SceneSession, listener: Listener) -> None:
    """Do what the page asks, in order; what cannot be done is told to that page alone."""
    drawing: asyncio.Task[None] | None = None
    while socket.application_state is WebSocketState.CONNECTED:  # until the page goes, or cannot be sent to any more
        text = await socket.receive_text()
        try:
            message = parse_message(text)
            if message.get("op") == "swatches":
                if drawing:
                    drawing.cancel()
                drawing = asyncio.create_task(_show_swatches(session, listener, message.get("instance")))
            elif message.get("op") == "draft":
                session.use_draft(message.get("step"))
            else:
                result, revision = await session.do(message)
                number = message.get("number")
                listener.tell(message={"type": "done", "number": number, "result": result, "revision": revision})
        except Pix2rtError as error:
            listener.tell(message={"type": "error", "message": str(error)})


def parse_message(text: str) -> dict[str, Any]:
    """The object that a page sent; raises InputError where it is none."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("a message is no JSON; reload the page") from error
    if not isinstance(message, dict):
        raise InputError("a message is no object; reload the page")
    return message


async def _show_swatches(session: SceneSession, listener: Listener, instance: Any) -> None:
    try:
        swatches, chosen = await session.swatches(instance)
    except Pix2rtError as error:
        listener.tell(message={"type": "error", "message": str(error)})
        return
    count, side = swatches.pictures.shape[:2]
    header = {"type": "swatches", "instance": instance, "count": count, "side": side, "chosen": chosen}
    listener.tell(message={"header": header, "payload": _rgba(swatches.pictures)})


async def _send_news(socket: WebSocket, session: SceneSession, listener: Listener) -> None:
    while True:
        await listener.wakes.wait()
        listener.wakes.clear()
        messages, box, photo = listener.messages, listener.box, listener.photo
        listener.messages, listener.box, listener.photo = [], None, None
        for message in messages:
            if "payload" in message:
                await socket.send_bytes(_frame(message["header"], message["payload"]))
            else:
                await socket.send_text(json.dumps(message))
        if box:
            await socket.send_bytes(await run_in_threadpool(_maps_frame, session, box))
        if photo:
            await socket.send_bytes(await run_in_threadpool(_photo_frame, session, photo))


def _maps_frame(session: SceneSession, box: Box) -> bytes:
    labels, ids = session.pixels(box)
    header = {"type": "maps", "box": [box.top, box.left, box.bottom, box.right]}
    return _frame(header, labels.tobytes() + ids.astype("<i4").tobytes())


def _photo_frame(session: SceneSession, photo: Photo) -> bytes:
    height, width = photo.pixels.shape[:2]
    header = {
        "type": "photo",
        "revision": photo.revision,
        "width": width,
        "height": height,
        "ms": round(photo.milliseconds),
        "queue": session.worker.waiting,
    }
    return _frame(header, _rgba(photo.pixels))


def _rgba(image: NDArray[np.uint8]) -> bytes:
    """As a canvas takes it."""
    filled = np.full((*image.shape[:-1], 4), 255, np.uint8)
    filled[..., :3] = image
    return filled.tobytes()


def _frame(header: Mapping[str, Any], payload: bytes) -> bytes:
    """The header's length as uint32 and the header as JSON, padded to four bytes, then raw pixels."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<I", len(text)) + text + payload


def _session(request: Request) -> SceneSession:
    sessions: Sessions = request.app.state.sessions
    return sessions.get(request.path_params["session"])


async def save(request: Request) -> Response:
    """GET a file of the session: labels.png, colours.png, instances.png, photo.png or session.npz."""
    session, name = _session(request), request.path_params["file"]
    if name == "photo.png":
        return await run_in_threadpool(picture, (await session.render()).pixels)
    if name not in _FILES:
        raise InputError(f"there is no file {name!r}; those are photo.png, {', '.join(_FILES)}")
    content: bytes = await session.read(_FILES[name])
    return Response(content, media_type="image/png" if name.endswith(".png") else "application/octet-stream")


def _session_bytes(editor: Editor) -> bytes:
    stream = io.BytesIO()
    editor.save(stream)
    return stream.getvalue()


_FILES: Mapping[str, Callable[[Editor], bytes]] = {
    "labels.png": lambda editor: png_bytes(editor.label_map),
    "colours.png": lambda editor: png_bytes(editor.synthesizer.labels.colourise(editor.label_map)),
    "instances.png": lambda editor: png_bytes(editor.inst_map),
    "session.npz": _session_bytes,
}


async def open_files(request: Request) -> Response:
    """POST session=FILE, or labels=PNG and perhaps instances=PNG, or nothing for an empty scene."""
    session = _session(request)
    notes: list[str] = []
    async with request.form(max_files=3) as form:
        file, labels, instances = [await upload(form, name) for name in ("session", "labels", "instances")]
    worker, synthesizer = session.worker, synthesizer_of(session.worker)

    def make() -> Editor:
        if file:
            stream = io.BytesIO(file.content)
            return Editor.open(stream, synthesizer, encoder=worker.encoder, notify=notes.append)
        return (
            opened(worker, labels, instances, notes.append) if labels else Editor(synthesizer, encoder=worker.encoder)
        )

    await session.replace(make)
    return JSONResponse({"notes": notes})


async def restyle(request: Request) -> Response:
    """POST instance=ID and photo=PICTURE: the instance takes the style that the photo shows."""
    session = _session(request)
    async with request.form(max_files=1) as form:
        file, target = await needed(form, "photo"), str(form.get("instance", ""))
    if not target.isdecimal() or len(target) > len("2147483647"):
        raise InputError(f"instance is {target!r}, expected an id")
    photo = await run_in_threadpool(read_photo, file)
    region, size = await session.read(lambda editor: (editor.pixels_of(editor.require(int(target))), editor.size))
    # In the engine's thread, and not while the scene is held: an encoder is a network, too.
    feature = await session.worker.call(measure, photo, region, size, session.worker.encoder)
    await session.edit(lambda editor: editor.restyle(int(target), feature))
    return JSONResponse({})


ROUTES = [
    WebSocketRoute("/ws/scene/{engine}", connect),
    Route("/api/scene/{session}/open", answering(open_files), methods=["POST"]),
    Route("/api/scene/{session}/restyle", answering(restyle), methods=["POST"]),
    Route("/api/scene/{session}/{file}", answering(save), methods=["GET"]),
]
