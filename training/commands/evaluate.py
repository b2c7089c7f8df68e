"""`evaluate`: figures of a checkpoint's images against real photos."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from runtime.errors import InputError
from training.checkpoint import load_checkpoint
from training.commands.console import app, console
from training.commands.measures import (
    FeaturesNorm,
    FeaturesPath,
    FeaturesSize,
    MeasureOptions,
    SegmenterClasses,
    SegmenterNorm,
    SegmenterPath,
    SegmenterSize,
)
from training.evaluation.evaluate import evaluate, held_out_items, write_report
from training.evaluation.figures import FIGURES, Values, cell, occurring
from training.evaluation.judge import JudgePage


@app.command("evaluate")
def evaluate_command(
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint.safetensors")],
    data: Annotated[Path, typer.Option(help="data folder")],
    split: Annotated[str, typer.Option(help="held-out part of the folder")] = "val",
    styles: Annotated[
        str | None, typer.Option(help="pix2pixHD: encoded (from the real photo) or sampled (from the style bank)")
    ] = None,
    derive: Annotated[str | None, typer.Option(help="pix2pix: how inputs are made; default as in training")] = None,
    direction: Annotated[str | None, typer.Option(help="pix2pix: AtoB or BtoA; default as in training")] = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH every item is brought to; default its own")] = None,
    holes: Annotated[str | None, typer.Option(help="inpainting: kinds of holes; default as in training")] = None,
    scales: Annotated[str | None, typer.Option(help="inpainting: 1 works at the photo's size alone (default)")] = None,
    iterations: Annotated[str | None, typer.Option(help="inpainting: swaps at each scale; default 1")] = None,
    segmenter: SegmenterPath = None,
    segmenter_norm: SegmenterNorm = "imagenet",
    segmenter_size: SegmenterSize = "",
    segmenter_classes: SegmenterClasses = None,
    features: FeaturesPath = None,
    features_norm: FeaturesNorm = "imagenet",
    features_size: FeaturesSize = "",
    page: Annotated[bool, typer.Option("--page", help="also write judge.html, on which people judge")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="also write pictures and a Markdown table here")
    ] = None,
) -> None:
    """Figures of generated images against real photos.

    Example: python -m training evaluate runs/demo/checkpoint.safetensors --data scenes --split val -o report
    """
    if page and output is None:
        raise InputError("--page writes files: say where with -o FOLDER")
    given = {"styles": styles, "derive": derive, "direction": direction, "size": size}
    given |= {"holes": holes, "scales": scales, "iterations": iterations}
    settings = {name: value for name, value in given.items() if value is not None}
    chosen = MeasureOptions(
        segmenter, segmenter_norm, segmenter_size, segmenter_classes, features, features_norm, features_size
    )
    loaded = load_checkpoint(checkpoint)
    items = held_out_items(loaded, data, split, settings)
    measures = chosen.measures(loaded)
    judge = JudgePage(output) if page and output else None
    if judge:
        measures.append(judge)
    with progress_of_items() as progress:
        report = evaluate(items, measures, output, progress)
    if output is not None:
        write_report(output / "report.md", report, settings)
    if judge:
        console.print(f"open in a browser: {judge.write(str(checkpoint))}")
    show("image", report.rows(), report.notes)


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
