"""The engines that have a name."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Column, Table
from rich.text import Text

from runtime.commands.console import note, out
from runtime.commands.tables import MB, size_words
from runtime.engines.engine import engine_spec
from runtime.engines.names import VARIABLE, Model, models
from runtime.engines.spec import EngineSpec
from runtime.errors import Pix2rtError


def models_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON, with paths.")] = False,
) -> None:
    """List the engines that have a name: those that ship, and those in the folder that PIX2RT_MODELS names.

    Every command takes a name in the place of a path.

    Example: `pix2rt models`

    Example: `PIX2RT_MODELS=engines pix2rt translate day2night photo.jpg -o night.png`
    """
    rows = [_Row.of(model) for model in models().values()]
    if as_json:
        print(json.dumps([row.document() for row in rows], indent=2))
        return
    whole = (Column(title, no_wrap=True) for title in ("name", "kind"))
    table = Table(*whole, "image size", "file", "what for", "licence", box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for row in rows:
        model, spec = row.model, row.spec
        kind, size, memory = (spec.kind, size_words(spec), f"{row.bytes / MB:.1f} MB") if spec else ("–", "–", "–")
        purpose = model.purpose or (f"{spec.family}, {spec.precision}" if spec else "cannot be opened")
        table.add_row(*map(Text, (model.name, kind, size, memory, purpose, model.licence or "yours")))
    out.print(table)
    for row in rows:
        if row.failure:
            note(row.failure)
    if all(row.model.ships for row in rows):
        out.print(f"{VARIABLE}=FOLDER adds the engines of a folder of yours.", highlight=False)


@dataclass(frozen=True)
class _Row:
    """An engine, and its specification or why it has none."""

    model: Model
    spec: EngineSpec | None
    failure: str = ""

    @classmethod
    def of(cls, model: Model) -> "_Row":
        try:
            return cls(model, engine_spec(model.path))
        except Pix2rtError as error:
            return cls(model, None, str(error))

    @property
    def bytes(self) -> int:
        return self.model.path.stat().st_size

    def document(self) -> dict[str, Any]:
        model, spec = self.model, self.spec
        common = {"name": model.name, "path": str(model.path), "purpose": model.purpose, "licence": model.licence}
        if spec is None:
            return {**common, "ships": model.ships, "failure": self.failure}
        known = {"kind": spec.kind, "family": spec.family, "size": spec.size, "bytes": self.bytes}
        return {**common, "ships": model.ships, **known}
