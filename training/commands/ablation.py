"""`ablation`: a paper's table in one command per study, with the training options of the study's family."""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from runtime.errors import InputError
from training.commands.console import Verb, app, console
from training.commands.evaluate import progress_of_items, show
from training.commands.measures import MeasureOptions
from training.commands.parameters import options_of, parameter, parameters_of, take, use_parameters
from training.evaluation.ablation import Ablation, Comparison, run_ablation
from training.evaluation.studies import STUDIES
from training.system import family_system

ablation_app = typer.Typer(no_args_is_help=True, help="Train, evaluate and tabulate the rows of a paper's ablation.")
app.add_typer(ablation_app, name="ablation")


@dataclass(frozen=True)
class _Common:
    """What every study's command takes beside training options and measures."""

    output: Path
    preset: str
    rows: str
    eval_split: str
    size: str
    items: int


def add_study(name: str) -> None:
    """A command whose options are those of the study's family, less what the rows set."""
    study = STUDIES[name]
    module = family_system(study.family)
    presets = list(module.PRESETS)

    def command(**given: Any) -> None:
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise InputError("ablation runs as one process, not under torchrun; divide its rows with --rows instead")
        common, chosen = take(_Common, given), take(MeasureOptions, given)
        ablation = Ablation(study, study.choose(common.rows), common.preset, given, common.output)
        settings = {"size": common.size} if common.size else {}
        comparison = Comparison(common.eval_split, settings, chosen.measures, chosen.document())
        reports = run_ablation(ablation, comparison, common.items, console.print, progress_of_items)
        show("row", [(row, report.generated) for row, report in reports.items()], [])
        console.print(f"{common.output / 'table.md'}\n{common.output / 'grid.png'}")

    rows_help = f"which rows, separated by commas; all: {','.join(study.rows)}"
    parameters = [
        parameter("output", Annotated[Path, typer.Option("--output", "-o", help="folder; run again to resume")]),
        parameter("preset", Annotated[str, typer.Option(help=f"one of {', '.join(presets)}")], presets[0]),
        parameter("rows", Annotated[str, typer.Option(help=rows_help)], ""),
        parameter("eval_split", Annotated[str, typer.Option(help="held-out part of the data folder")], "val"),
        parameter("size", Annotated[str, typer.Option(help="HEIGHTxWIDTH of held-out items; default their own")], ""),
        parameter("items", Annotated[int, typer.Option(min=1, help="lines of grid.png")], 6),
        *parameters_of(MeasureOptions),
        *options_of(module.Options, without=study.varied),
    ]
    use_parameters(command, parameters)
    derive = " --derive grey" if "derive" in {field.name for field in fields(module.Options)} else ""
    example = f"Example: pix2rt study ablation {name} --data photos{derive} -o runs/{name}"
    ablation_app.command(name, help=f"{study.section}. Rows: {', '.join(study.rows)}.\n\n{example}", cls=Verb)(command)


for _study in STUDIES:
    add_study(_study)
