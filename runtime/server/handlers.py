"""What handlers of requests share: parts of a form, pictures as answers, errors as problems."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from runtime.errors import InputError, Pix2rtError
from runtime.media.decoding import Upload
from runtime.media.images import png_bytes
from runtime.server.inference import Workers
from runtime.server.problems import problem, problem_of

Handler = Callable[[Request], Awaitable[Response]]
GONE = 499  # nobody reads it: the client has gone


def answering(handler: Handler) -> Handler:
    """Errors of ours become problem details."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except ClientDisconnect:
            return Response(status_code=GONE)
        except Pix2rtError as error:
            return problem_of(error)

    return answered


async def http_problem(_: Request, error: Exception) -> Response:
    """What Starlette refuses by itself: paths and methods that are not there, forms that are none."""
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), **dict(error.headers or {}))


async def crash_problem(_: Request, error: Exception) -> Response:
    """A fault of the server's; it is on standard error."""
    return problem(500, f"the server failed ({type(error).__name__}); its log says more")


PROBLEMS: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    HTTPException: http_problem,
    Exception: crash_problem,
}


def picture(image: NDArray[np.integer[Any]]) -> Response:
    """A PNG."""
    return Response(png_bytes(image), media_type="image/png")


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
