"""One command per family, made from its `Options`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from training.commands.console import Config, Verb, app, console
from training.commands.parameters import help_of, options_of, parameter, use_parameters
from training.networks import FAMILIES
from training.options import LoopOptions, resolve
from training.run import create_system, open_run
from training.state import CHECKPOINT_FILE
from training.system import System, family_system


def train(family: str, preset: str, folder: Path, dry_run: bool, given: dict[str, Any]) -> None:
    """Resolve options, create the system, train or resume."""
    module = family_system(family)
    options: LoopOptions = resolve(module.Options, module.PRESETS, preset, given)
    if dry_run:
        describe(create_system(family, options), options, preset)
        return
    trainer = open_run(family, options, preset, folder, console.print)
    if trainer.accelerator.is_main_process and trainer.step:
        console.print(f"resuming {folder} at step {trainer.step} of {trainer.total_steps}")
    trainer.run()
    if trainer.accelerator.is_main_process:
        console.print(f"checkpoint: {folder / CHECKPOINT_FILE}\nlosses: tensorboard --logdir {folder}")


def describe(system: System, options: LoopOptions, preset: str) -> None:
    """What a run would do, without doing it."""
    table = Table("option", "value", title=f"preset {preset}", title_justify="left")
    for name, value in dataclasses.asdict(options).items():
        table.add_row(name, str(value))
    console.print(table)
    for role, module in system.roles.items():
        total = sum(p.numel() for p in module.parameters())
        trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
        console.print(f"{role}: {total / 1e6:.2f} M parameters, {trained / 1e6:.2f} M trained")
    item = system.dataset[0, 0]
    shapes = ", ".join(f"{key} {list(value.shape)}" for key, value in item.items())
    console.print(f"{len(system.dataset)} items; an item: {shapes}")  # type: ignore[arg-type]


class FamilyVerb(Verb):
    """A family's command, whose `--help` shows a preset's own values once the preset is named.

    Attributes:
        family: it trains.
    """

    family: str

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        module = family_system(self.family)
        preset = next((module.PRESETS[word] for word in args if word in module.PRESETS), None)
        fields = {field.name: field for field in dataclasses.fields(module.Options)}
        for option in self.params:
            if option.name in fields:
                option.help = help_of(fields[option.name], preset)  # type: ignore[attr-defined]
        return super().parse_args(ctx, args)


def add_family(family: str) -> None:
    """A command whose options are the fields of the family's `Options`."""
    module = family_system(family)
    presets = ", ".join(module.PRESETS)

    def command(preset: str, output: Path, dry_run: bool, config: Path | None, **given: Any) -> None:
        train(family, preset, output, dry_run, given)

    positional = parameter("preset", Annotated[str, typer.Argument(help=f"one of {presets}")])
    parameters = [
        positional.replace(kind=positional.POSITIONAL_OR_KEYWORD),
        parameter("output", Annotated[Path, typer.Option("--output", "-o", help="run folder; run again to resume")]),
        parameter("dry_run", Annotated[bool, typer.Option("--dry-run", help="print what would be done")], False),
        parameter("config", Config, None),
        *options_of(module.Options),
    ]
    use_parameters(command, parameters)
    example = f"Example: pix2rt train {family} {next(iter(module.PRESETS))} --data scenes -o runs/{family}"
    verb = type("FamilyVerb", (FamilyVerb,), {"family": family})
    app.command(family, help=f"Train {family}. Presets: {presets}.\n\n{example}", cls=verb)(command)


for _family in FAMILIES:
    add_family(_family)
