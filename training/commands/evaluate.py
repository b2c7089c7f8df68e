"""`evaluate`: figures of a checkpoint's images against real photos."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich import box
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from runtime.errors import InputError
from training.checkpoint import load_checkpoint
from training.commands.console import Verb, app, console
from training.commands.measures import MeasureOptions
from training.commands.parameters import parameters_of, settings_of_families, take, use_parameters
from training.evaluation.evaluate import evaluate, held_out_items, write_csv, write_json, write_report
from training.evaluation.figures import FIGURES, Values, cell, occurring
from training.evaluation.judge import JudgePage


@dataclass(frozen=True)
class _Common:
    """What the command takes beside the families' settings and the measures."""

    checkpoint: Annotated[Path, typer.Argument(help="checkpoint.safetensors")]
    data: Annotated[Path, typer.Option(help="data folder")]
    split: Annotated[str, typer.Option(help="held-out part of the folder")] = "val"
    limit: Annotated[int | None, typer.Option(min=1, help="the first so many items; all if not given")] = None
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if not given")] = None
    json: Annotated[Path | None, typer.Option(help="also write every figure there, as JSON")] = None
    csv: Annotated[Path | None, typer.Option(help="also write a line an item there, as CSV")] = None
    page: Annotated[bool, typer.Option("--page", help="also write judge.html, on which people judge")] = False
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="also write pictures and a Markdown table here")
    ] = None


def evaluate_command(**given: Any) -> None:
    """Figures of generated images against real photos.

    Example: pix2rt evaluate runs/demo/checkpoint.safetensors --data scenes --split val -o report
    """
    common, chosen = take(_Common, given), take(MeasureOptions, given)
    if common.page and common.output is None:
        raise InputError("--page writes files: say where with -o FOLDER")
    settings = {name: value for name, value in given.items() if value is not None}
    loaded = load_checkpoint(common.checkpoint)
    items = itertools.islice(held_out_items(loaded, common.data, common.split, settings), common.limit)
    if common.threads:
        torch.set_num_threads(common.threads)
    measures = chosen.measures(loaded)
    judge = JudgePage(common.output) if common.page and common.output else None
    if judge:
        measures.append(judge)
    with progress_of_items() as progress:
        report = evaluate(items, measures, common.output, progress)
    if common.output is not None:
        write_report(common.output / "report.md", report, settings)
    if common.json:
        write_json(common.json, report, settings)
    if common.csv:
        write_csv(common.csv, report)
    if judge:
        console.print(f"open in a browser: {judge.write(str(common.checkpoint))}")
    show("image", report.rows(), report.notes)


use_parameters(evaluate_command, [*parameters_of(_Common), *settings_of_families(), *parameters_of(MeasureOptions)])
app.command("evaluate", cls=Verb)(evaluate_command)


@contextmanager
def progress_of_items() -> Iterator[Callable[[str], None]]:
    """A callback that shows the item just evaluated, and how many there were."""
    columns = (TextColumn("evaluated {task.completed} items"), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda name: progress.update(task, advance=1, description=name)


def show(first_title: str, rows: Sequence[tuple[str, Values]], notes: Sequence[str]) -> None:
    """Print figures as a table; columns as in the Markdown."""
    keys = occurring(values for _, values in rows)
    # A narrow terminal folds figures: one that is cut is none.
    columns = [Column(first_title, no_wrap=True), *(Column(FIGURES[key].title, overflow="fold") for key in keys)]
    table = Table(*columns, box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for name, values in rows:
        table.add_row(name, *(cell(values, key) for key in keys))
    console.print(table, *notes, sep="\n")
