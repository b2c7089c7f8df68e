"""What a request brings: its parts by name, files or texts, checked against what an operation takes."""

import json
import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from runtime.errors import InputError
from runtime.media.decoding import Notify, Upload, require_megapixels
from runtime.media.images import read_npy
from runtime.server.problems import UnknownTypeError

logging.getLogger("python_multipart").addHandler(logging.NullHandler())  # what it says of damaged forms is answered
_MOST_FILES, _MOST_TEXTS = 4, 32
_LONGEST_TEXT = 2**20  # bytes: styles of thousands of instances
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
_RAW = ("", "application/octet-stream", "application/x-npy", "application/npy")
_LARGEST_NUMBER = 1e6
_TRUE, _FALSE = ("true", "1"), ("false", "0")


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?\d{1,10}", text):
        raise ValueError("a whole number")
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"[+-]?(\d{1,20}\.?\d{0,20}|\.\d{1,20})(e[+-]?\d{1,3})?", text.lower()):
        raise ValueError("a number")
    if abs(float(text)) > _LARGEST_NUMBER:
        raise ValueError(f"a number of at most {_LARGEST_NUMBER:g}")
    return float(text)


def _boolean(text: str) -> bool:
    if text not in (*_TRUE, *_FALSE):
        raise ValueError("true or false")
    return text in _TRUE


_READERS: Mapping[str, Callable[[str], Any]] = {
    "integer": _whole,
    "number": _number,
    "boolean": _boolean,
    "string": str,
}


@dataclass(frozen=True)
class Part:
    """A part that a request of an operation may have.

    Attributes:
        name: of the form's field.
        what: one sentence for whoever reads the list.
        type: "picture" for a file, else as JSON calls it: "integer", "number", "boolean", "string".
        default: of what need not be there; None where the runner decides.
        choices: all that a text may be; none for any.
        is_needed: whether it must be there.
    """

    name: str
    what: str
    type: str = "picture"
    default: Any = None
    choices: Sequence[str] = ()
    is_needed: bool = False

    def read(self, text: str) -> Any:
        """The value that a text stands for; raises InputError."""
        try:
            value = _READERS[self.type](text)
        except ValueError as error:
            raise InputError(f"{self.name} is {text[:80]!r}, expected {error}") from None
        if self.choices and value not in self.choices:
            raise InputError(f"{self.name} is {text[:80]!r}, expected one of {', '.join(self.choices)}")
        return value


@dataclass(frozen=True)
class Given:
    """The parts of one request.

    Attributes:
        files: by name.
        options: those of the other parts that came, as values.
        notes: what was done to its pictures, sentences for the caller.
    """

    files: Mapping[str, Upload]
    options: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)

    def picture(self, name: str, read: Callable[[Upload, Notify], NDArray[Any]], axes: str = "HWC") -> Any:
        """A picture decoded by `read`, or an array (.npy) as it is; None where the request has none of this name.

        Raises:
            ImageFileError: the file is damaged, or the picture too large.
            InputError: the array has more than these axes: a request is for one picture.
        """
        file = self.files.get(name)
        if file is None:
            return None
        array = read_npy(file)
        if array is None:
            return read(file, self.notes.append)
        if array.ndim > len(axes):
            raise InputError(f"{name} has shape {list(array.shape)}, expected [{', '.join(axes)}]: one in a request")
        require_megapixels(array.shape[:2], f"{name} {file}")
        return array


async def receive(request: Request) -> tuple[dict[str, Upload], dict[str, str]]:
    """Files and texts of a request: of a form; or one picture as the body, which is called "", and of the address.

    Raises:
        UnknownTypeError: the body is of another kind.
        InputError: the form is damaged or not whole, or has too many parts.
    """
    kind, *parameters = (part.strip() for part in request.headers.get("content-type", "").split(";"))
    kind = kind.lower()
    body = await request.body()  # also where it is refused, so that the client reads the answer
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnknownTypeError(f"the body is packed ({request.headers['content-encoding'][:80]}); send it as it is")
    files: dict[str, Upload] = {}
    texts: dict[str, str] = {}
    for name, text in request.query_params.multi_items():
        _keep(texts, name, text, ())
    texts.pop("token", None)
    if kind in _FORMS:
        if kind == _FORMS[0]:
            _require_whole(body, parameters)
        await _receive_form(request, files, texts)
    elif kind.startswith("image/") or kind in _RAW:
        files[""] = Upload("the body", body)
    else:
        raise UnknownTypeError(
            f"the body is {kind[:80]!r}, expected multipart/form-data, or one picture as image/png, image/jpeg or "
            "application/x-npy"
        )
    return files, texts


async def _receive_form(request: Request, files: dict[str, Upload], texts: dict[str, str]) -> None:
    try:
        async with request.form(max_files=_MOST_FILES, max_fields=_MOST_TEXTS, max_part_size=_LONGEST_TEXT) as parts:
            for name, value in parts.multi_items():
                if isinstance(value, UploadFile):
                    _keep(files, name, Upload(value.filename or "of the form", await value.read()), texts)
                else:
                    _keep(texts, name, value, files)
    except (MultiPartException, HTTPException) as error:
        reason = error.message if isinstance(error, MultiPartException) else error.detail
        raise InputError(f"the form is damaged: {reason}") from error


def _keep(found: dict[str, Any], name: str, value: Any, others: Collection[str]) -> None:
    if not name:
        raise InputError("a part of the form has no name")
    if name in found or name in others:
        raise InputError(f"{name[:80]} is there twice; send it once")
    found[name] = value


def _require_whole(body: bytes, parameters: Sequence[str]) -> None:
    """A form that was cut off would lose its last part without a word."""
    boundary = next((one.partition("=")[2].strip('"') for one in parameters if one.lower().startswith("boundary=")), "")
    if not boundary:
        raise InputError("the form is damaged: its content-type names no boundary")
    if f"--{boundary}--".encode() not in body:
        raise InputError("the form is damaged: it ends before its last boundary; send it again")


def check(files: Mapping[str, Upload], texts: Mapping[str, str], parts: Sequence[Part], where: str) -> Given:
    """Hold what came against what is taken; a body without a form is the first picture.

    Raises:
        InputError: a part is missing, unknown, or of the wrong kind; names it.
    """
    by_name = {part.name: part for part in parts}
    first = next(part.name for part in parts if part.type == "picture")
    files = {name or first: file for name, file in files.items()}
    unknown = [name for name in (*files, *texts) if name not in by_name]
    if unknown:
        raise InputError(f"{where} takes no {unknown[0][:80]!r}; it takes {', '.join(by_name)}")
    for name in files:
        if by_name[name].type != "picture":
            raise InputError(f"{name} is a file, expected a text")
    for name in texts:
        if by_name[name].type == "picture":
            raise InputError(f"{name} is a text, expected a file")
    missing = [part for part in parts if part.is_needed and part.name not in (*files, *texts)]
    if missing:
        raise InputError(f"{missing[0].name} is missing; send {missing[0].what[0].lower()}{missing[0].what[1:]}")
    return Given(files, {name: by_name[name].read(text) for name, text in texts.items()})


def json_of(value: Any) -> Any:
    """Arrays as lists, keys as texts."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): json_of(one) for key, one in value.items()}
    return json.loads(json.dumps(value))
