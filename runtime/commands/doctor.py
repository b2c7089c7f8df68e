"""Whether everything is in order."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich import box
from rich.table import Column, Table
from rich.text import Text

from runtime.commands.console import err, out
from runtime.engines.health import ABSENT, BROKEN, OK, examine

_STYLES = {OK: "green", ABSENT: "dim", BROKEN: "red"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Look at Python, packages, backends, GPUs and engines; the exit code is 1 where something is broken.

    What is absent is no fault: it says what would bring it.

    Example: `pix2rt doctor`
    """
    with err.status("look"):
        checks = examine()
    broken = [check for check in checks if check.state == BROKEN]
    if as_json:
        print(json.dumps({"broken": len(broken), "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        table = Table(
            Column("", no_wrap=True),
            Column("", no_wrap=True),
            Column("", overflow="fold"),
            box=box.SIMPLE,
            show_header=False,
        )
        for check in checks:
            words = f"{check.found}\n{check.advice}" if check.advice and check.state == BROKEN else check.found
            table.add_row(Text(check.state, style=_STYLES[check.state]), check.name, Text(words))
        out.print(table)
        out.print(f"{len(broken)} broken" if broken else "nothing is broken", highlight=False)
    if broken:
        raise typer.Exit(1)
