"""Options of `python -m export onnx` made from the families' own."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any

import typer

from export.family_options import families_with_options, options_class
from runtime.commands.lazy import REST


def family_parameters() -> list[inspect.Parameter]:
    """A keyword per field of any family's `Options`; its help names the families."""
    found: dict[str, tuple[Any, Any, list[str]]] = {}
    for family in families_with_options():
        for field in fields(options_class(family)):
            _, _, helps = found.setdefault(field.name, (field.type, field.default, []))
            helps.append(f"{family}: {field.metadata['help']}")
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=Annotated[
                kind, typer.Option(f"--{name.replace('_', '-')}", help=" ".join(helps), rich_help_panel=REST)
            ],
        )
        for name, (kind, default, helps) in found.items()
    ]


def with_family_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let Typer read the families' options in the place of the command's `**options`."""
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    parameters = [*own, *family_parameters()]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def given_options(options: dict[str, Any]) -> dict[str, Any]:
    """Those that differ from their defaults."""
    defaults = {p.name: p.default for p in family_parameters()}
    return {name: value for name, value in options.items() if value != defaults[name]}
