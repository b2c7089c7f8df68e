"""Command-line options made from the fields of a family's `Options`, so that each is declared once."""

import dataclasses
import inspect
from collections.abc import Callable, Collection
from typing import Annotated, Any

import typer

from training.options import LoopOptions


def options_of(kind: type[LoopOptions], without: Collection[str] = ()) -> list[inspect.Parameter]:
    """A parameter per field, None where the user does not give it.

    Args:
        kind: a family's `Options`.
        without: fields that the command sets itself.
    """
    parameters = []
    for field in dataclasses.fields(kind):
        if field.name in without:
            continue
        kind_of_value: Any = field.type
        names = f"--{field.name.replace('_', '-')}"
        if field.type is bool:
            names += f"/--no-{field.name.replace('_', '-')}"
        text = f"{field.metadata['help']} (default: preset's, else {field.default!r})"
        parameters.append(parameter(field.name, Annotated[kind_of_value | None, typer.Option(names, help=text)], None))
    return parameters


def parameter(
    name: str, annotation: Any, default: Any = inspect.Parameter.empty, kind: Any = inspect.Parameter.KEYWORD_ONLY
) -> inspect.Parameter:
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def use_parameters(command: Callable[..., None], parameters: list[inspect.Parameter]) -> None:
    """Let Typer read `parameters` in place of the function's own."""
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
