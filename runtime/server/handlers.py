"""Requests that know no page: a picture in, a picture out. What goes wrong with it becomes a sentence."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.errors import DeviceError, InputError, Pix2rtError
from runtime.media.decoding import Upload
from runtime.media.images import png_bytes, read_image, read_photo
from runtime.media.mask_images import read_hole_mask
from runtime.runners.inpainter import Inpainter
from runtime.runners.runner import ignore
from runtime.runners.translator import Translator
from runtime.runners.windows import STRATEGIES, Strategy
from runtime.server.guard import TooLargeError
from runtime.server.inference import Worker, Workers

Handler = Callable[[Request], Awaitable[Response]]
_GONE = 499  # nobody reads it: the client has gone


def answering(handler: Handler) -> Handler:
    """Errors of the caller's become {"error": …} with a status that fits."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except ClientDisconnect:
            return Response(status_code=_GONE)
        except TooLargeError as error:
            return _failure(error, 413)
        except DeviceError as error:
            return _failure(error, 500)
        except Pix2rtError as error:
            return _failure(error, 400)

    return answered


def _failure(error: Pix2rtError, status: int) -> Response:
    return JSONResponse({"error": str(error)}, status_code=status)


def picture(image: NDArray[np.integer[Any]], worker: Worker | None = None) -> Response:
    """A PNG, with the time that the engine took."""
    headers = {"x-pix2rt-ms": f"{worker.last_ms:.0f}"} if worker else {}
    return Response(png_bytes(image), media_type="image/png", headers=headers)


def workers_of(request: Request) -> Workers:
    """The engines of the server that got the request."""
    workers: Workers = request.app.state.workers
    return workers


async def upload(form: FormData, name: str) -> Upload | None:
    """A file of a form; None where it is not there."""
    part = form.get(name)
    if part is None:
        return None
    if not isinstance(part, UploadFile):
        raise InputError(f"{name} is a text, expected a file")
    return Upload(part.filename or name, await part.read())


async def needed(form: FormData, name: str) -> Upload:
    """A file of a form; raises InputError where it is not there."""
    found = await upload(form, name)
    if found is None:
        raise InputError(f"{name} is missing; send a picture")
    return found


def whole(form: FormData, name: str, default: int) -> int:
    """A whole number of a form."""
    text = form.get(name, str(default))
    if not isinstance(text, str) or not re.fullmatch(r"-?\d{1,10}", text):
        raise InputError(f"{name} is {text!r}, expected a whole number")
    return int(text)


async def translate(request: Request) -> Response:
    """POST image=PICTURE → its translation as PNG; `seed` for a stochastic engine."""
    worker = workers_of(request).of_kind(request.path_params["engine"], Translator)
    runner = worker.runner
    assert isinstance(runner, Translator)
    async with request.form(max_files=1) as form:
        file, seed = await needed(form, "image"), whole(form, "seed", 0) if runner.is_stochastic else None
    image = (await run_in_threadpool(read_image, file, runner.input_nc)).pixels
    made = await worker.call(runner.run, image, seed=seed)
    return await run_in_threadpool(picture, made if made.shape[2] > 1 else made[..., 0], worker)


async def inpaint(request: Request) -> Response:
    """POST image=PICTURE, mask=PICTURE → the image with its holes filled, as PNG; `dilate`, `feather`, `strategy`."""
    worker = workers_of(request).of_kind(request.path_params["engine"], Inpainter)
    async with request.form(max_files=3) as form:
        image, mask, style = await needed(form, "image"), await needed(form, "mask"), await upload(form, "style")
        options = {name: whole(form, name, 0) for name in ("dilate", "feather")}
        strategy = _strategy(form)
    photo = await run_in_threadpool(read_photo, image)
    hole_mask = await run_in_threadpool(read_hole_mask, mask, ignore)
    style_image = await run_in_threadpool(read_photo, style) if style else None
    filled: NDArray[np.uint8] = await worker.call(
        worker.runner.run, photo, hole_mask, style=style_image, strategy=strategy, **options
    )
    return await run_in_threadpool(picture, filled, worker)


def _strategy(form: FormData) -> Strategy:
    given = form.get("strategy", "auto")
    for strategy in STRATEGIES:
        if given == strategy:
            return strategy
    raise InputError(f"strategy is {given!r}, expected one of {', '.join(STRATEGIES)}")


ROUTES = [
    Route("/api/translate/{engine}", answering(translate), methods=["POST"]),
    Route("/api/inpaint/{engine}", answering(inpaint), methods=["POST"]),
]
