"""`--config`: a command's options from a file, TOML or the JSON that a run wrote. The command line goes first."""

import difflib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from runtime.errors import InputError
from runtime.files import open_input, require_readable

_RECORDS = ("lengthened",)  # of a run's own file, which are no options


def _take(context: typer.Context, file: Path | None) -> Path | None:
    """Let the command find its options in the file where the command line does not have them."""
    if file is None:
        return None
    values = {key.replace("-", "_"): value for key, value in _read(file).items() if key not in _RECORDS}
    parameters = {one.name: one for one in context.command.params if one.name not in ("config", "help", None)}
    known = [name for name in parameters if name]
    for key, value in values.items():
        if key in parameters:
            several = getattr(parameters[key], "multiple", False) and not isinstance(value, list)
            values[key] = [value] if several else value
        else:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(sorted(known))}"
            raise InputError(f"--config {file}: {context.command.name} has no option {key!r}{hint}")
    context.default_map = {**(context.default_map or {}), **values}
    return file


def _read(file: Path) -> dict[str, Any]:
    with open_input(require_readable(file, "options file")) as stream:
        content = stream.read()
    try:
        text = content.decode("utf-8")
        values = json.loads(text) if file.suffix.lower() == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"--config {file} is neither TOML nor, as .json, JSON ({error}); write lines like epochs = 100"
        ) from error
    if not isinstance(values, dict):
        raise InputError(f"--config {file} holds no options by name; write lines like epochs = 100")
    wrong = [key for key, value in values.items() if isinstance(value, dict) and key not in _RECORDS]
    if wrong:
        raise InputError(f"--config {file}: [{wrong[0]}] is a table; write all options at the top")
    return values


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="File of options, lines like `epochs = 100` (TOML), or a run's options.json; the command line goes first.",
        callback=_take,
        is_eager=True,
    ),
]
