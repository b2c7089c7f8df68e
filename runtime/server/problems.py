"""What goes wrong, as clients are told it: problem details (RFC 9457) with the sentence that a command would print."""

from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse, Response

from runtime.errors import DeviceError, InputError, MissingExtraError, PictureSizeError, Pix2rtError
from runtime.server.line import QueueFullError

_TYPE = "application/problem+json"


class TooLargeError(InputError):
    """A request is larger than the server takes."""


class UnknownPathError(InputError):
    """There is no such engine here, or it has no such operation."""


class UnknownTypeError(InputError):
    """What came is of a kind that no operation reads."""


class NotAcceptableError(InputError):
    """The answer is wanted as something that the operation does not write."""


class TooSlowError(Pix2rtError):
    """An upload did not come in time."""


class TooLateError(Pix2rtError):
    """An answer was not ready in time."""


class NotLoadedError(Pix2rtError):
    """The engine is damaged, or cannot run here."""


# What messages call by the command line's names → by a request's.
_WORDS = {"--no-derive": "derive=false", "--derive": "derive=true", "--invert-mask": "invert_mask=true"}
# The first that fits; all others are the caller's to mend.
_STATUS = (
    ((TooLargeError, PictureSizeError), HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (UnknownPathError, HTTPStatus.NOT_FOUND),
    (UnknownTypeError, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (NotAcceptableError, HTTPStatus.NOT_ACCEPTABLE),
    (TooSlowError, HTTPStatus.REQUEST_TIMEOUT),
    (QueueFullError, HTTPStatus.TOO_MANY_REQUESTS),
    ((TooLateError, NotLoadedError), HTTPStatus.SERVICE_UNAVAILABLE),
    ((DeviceError, MissingExtraError), HTTPStatus.INTERNAL_SERVER_ERROR),
)


def status_of(error: Pix2rtError) -> int:
    """Whose fault it is decides it: 4xx the caller's, 5xx the server's."""
    return int(next((status for kinds, status in _STATUS if isinstance(error, kinds)), HTTPStatus.BAD_REQUEST))


def in_words_of_requests(sentence: str) -> str:
    """Options that a request has too, as they are written there."""
    for word, own in _WORDS.items():
        sentence = sentence.replace(word, own)
    return sentence


def document(status: int, detail: str, kind: str = "") -> dict[str, Any]:
    """The members of a problem; its type is "about:blank", or names the class of error."""
    kind = f"urn:pix2rt:{kind}" if kind else "about:blank"
    return {"type": kind, "title": HTTPStatus(status).phrase, "status": status, "detail": detail}


def document_of(error: Pix2rtError) -> dict[str, Any]:
    """The problem that an error of ours is."""
    return document(status_of(error), in_words_of_requests(str(error)), type(error).__name__)


def problem(status: int, detail: str, kind: str = "", **headers: str) -> Response:
    """A problem as the answer."""
    return JSONResponse(document(status, detail, kind), status, headers, media_type=_TYPE)


def problem_of(error: Pix2rtError) -> Response:
    """An error of ours as the answer."""
    headers = {"retry-after": str(error.retry_after)} if isinstance(error, QueueFullError) else {}
    return JSONResponse(document_of(error), status_of(error), headers, media_type=_TYPE)
