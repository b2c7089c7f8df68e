"""The API's description (OpenAPI 3.1): the paths of the engines that this server has, and what each takes."""

from typing import Any

from runtime.server.api import parts_of
from runtime.server.events import EVENTS
from runtime.server.given import Part
from runtime.server.inference import Worker, Workers
from runtime.server.job import FORMATS
from runtime.server.operations import Operation, operations_of
from runtime.version import __version__

_PICTURE = {"type": "string", "format": "binary"}
_DETAILS = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_PROBLEMS = {
    "400": "The request is wrong; detail says what is, and what to do.",
    "401": "The token is missing or wrong.",
    "404": "There is no such engine or operation.",
    "406": "The answer is wanted as something that the operation does not write.",
    "408": "The upload took too long.",
    "413": "The upload, or a picture in it, is too large.",
    "415": "The body is of an unknown kind.",
    "429": "The server has as many requests as it keeps; Retry-After says when to come again.",
    "503": "The answer was not ready in time, or the engine was not loaded.",
}


def openapi(workers: Workers) -> dict[str, Any]:
    """The document of a server with these engines."""
    paths: dict[str, Any] = {
        "/v1/engines": {"get": _get("engines", "The engines of this server.")},
        "/v1/engines/{engine}": {
            "get": _get("engine", "An engine and its specification.")
            | {"parameters": [{"name": "engine", "in": "path", "required": True, "schema": {"type": "string"}}]}
        },
        "/healthz": {"get": _get("healthz", "Whether the server lives.")},
        "/readyz": {"get": _get("readyz", "Whether all engines are loaded; a problem that says which are not.")},
    }
    for worker in workers:
        for operation, _ in operations_of(worker):
            paths[f"/v1/{worker.name}/{operation.name}"] = {"post": _operation(worker, operation)}
    members = {"type": "string", "title": "string", "status": "integer", "detail": "string"}
    schema = {"type": "object", "properties": {name: {"type": kind} for name, kind in members.items()}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "pix2rt", "version": __version__, "summary": "Image-to-image GANs at full resolution."},
        "paths": paths,
        "components": {
            "schemas": {"Problem": schema},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _get(name: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": {"application/json": {}}},
            "default": {"description": "Problem details (RFC 9457).", "content": _DETAILS},
        },
    }


def _operation(worker: Worker, operation: Operation) -> dict[str, Any]:
    parts = parts_of(operation)
    form = {
        "type": "object",
        "properties": {part.name: _schema(part) for part in parts},
        "required": [part.name for part in parts if part.is_needed],
        "additionalProperties": False,
    }
    content: dict[str, Any] = {"multipart/form-data": {"schema": form}}
    if sum(part.is_needed for part in parts) == 1:
        content |= {kind: {"schema": _PICTURE} for kind in FORMATS.values()}
    answers = {kind: {"schema": _PICTURE} for kind in FORMATS.values()}
    answers |= {EVENTS: {"schema": {"type": "string"}}} if operation.is_watched else {}
    answers = {"application/json": {}} if operation.answers == "json" else answers
    return {
        "operationId": f"{worker.name}.{operation.name}",
        "summary": operation.what,
        "tags": [worker.name],
        "parameters": [
            {"name": part.name, "in": "query", "schema": _schema(part), "description": part.what}
            for part in parts
            if part.type != "picture"
        ],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": operation.what, "content": answers}}
        | {status: {"description": what, "content": _DETAILS} for status, what in _PROBLEMS.items()},
    }


def _schema(part: Part) -> dict[str, Any]:
    if part.type == "picture":
        return _PICTURE | {"description": part.what}
    schema: dict[str, Any] = {"type": part.type, "description": part.what}
    if part.default is not None:
        schema["default"] = part.default
    if part.choices:
        schema["enum"] = list(part.choices)
    return schema
