"""Command-line options made from the fields of dataclasses, so that each is declared once."""

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, TypeVar

import typer

from training.commands.console import REST
from training.networks import FAMILIES
from training.options import LoopOptions
from training.system import family_system, makes_images

_Record = TypeVar("_Record")


# Options of training that `--help` shows; `--help-all` shows all.
COMMON = (
    "data",
    "init",
    "epochs",
    "decay_epochs",
    "batch_size",
    "lr",
    "precision",
    "derive",
    "direction",
    "style",
    "features",
)


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
        panel = None if field.name in COMMON else REST
        option = typer.Option(names, help=help_of(field), rich_help_panel=panel)
        parameters.append(parameter(field.name, Annotated[kind_of_value | None, option], None))
    return parameters


def help_of(field: dataclasses.Field[Any], preset: Mapping[str, Any] | None = None) -> str:
    """What `--help` says of an option; with the value that it has in a preset, once one is named."""
    if preset is None:
        return f"{field.metadata['help']} (default: preset's, else {field.default!r})"
    return f"{field.metadata['help']} (default: {preset.get(field.name, field.default)!r})"


def settings_of_families() -> list[inspect.Parameter]:
    """A parameter per name in the `SETTINGS` of any family, None where the user does not give it."""
    helps: dict[str, dict[str, list[str]]] = {}
    for family in filter(makes_images, FAMILIES):
        for name, help in family_system(family).SETTINGS.items():
            helps.setdefault(name, {}).setdefault(help, []).append(family)
    texts = {
        name: "; ".join(f"{', '.join(families)}: {help}" for help, families in by_help.items())
        for name, by_help in helps.items()
    }
    return [
        parameter(name, Annotated[str | None, typer.Option(help=text, rich_help_panel=REST)], None)
        for name, text in texts.items()
    ]


def parameters_of(record: type[Any]) -> list[inspect.Parameter]:
    """A parameter per field of a dataclass whose annotations are Typer's."""
    return [
        parameter(
            field.name, field.type, inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
        )
        for field in dataclasses.fields(record)
    ]


def take(record: type[_Record], given: dict[str, Any]) -> _Record:
    """The dataclass `record` made of its fields in `given`, which loses them."""
    return record(**{field.name: given.pop(field.name) for field in dataclasses.fields(record)})  # type: ignore[arg-type]


def parameter(
    name: str, annotation: Any, default: Any = inspect.Parameter.empty, kind: Any = inspect.Parameter.KEYWORD_ONLY
) -> inspect.Parameter:
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def use_parameters(command: Callable[..., None], parameters: list[inspect.Parameter]) -> None:
    """Let Typer read `parameters` in place of the function's own."""
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
