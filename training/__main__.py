"""`python -m training`: one command per family, made from its `Options`, and `scenes` and `evaluate` beside them."""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from accelerate.utils import set_seed
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from runtime.errors import DataError, DivergenceError, InputError, Pix2rtError
from training.checkpoint import load_checkpoint, save_checkpoint
from training.data.augmentation import parse_size
from training.evaluate import evaluate
from training.loop import Trainer
from training.networks import FAMILIES
from training.options import LoopOptions, resolve, save_options
from training.state import CHECKPOINT_FILE
from training.system import System, family_system

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Train pix2pix-family networks into checkpoints.")
console = Console()


def train(family: str, preset: str, folder: Path, dry_run: bool, given: dict[str, Any]) -> None:
    """Resolve options, create the system, train or resume."""
    module = family_system(family)
    options: LoopOptions = resolve(module.Options, module.PRESETS, preset, given)
    if not options.data:
        raise DataError(
            "no training data named; give --data FOLDER, or make one with `python -m training scenes FOLDER`"
        )
    set_seed(options.seed)
    system: System = module.create(options)
    if dry_run:
        describe(system, options, preset)
        return
    save_options(options, preset, folder)
    trainer = Trainer(system, options, folder)
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


def add_family(family: str) -> None:
    """A command whose options are the fields of the family's `Options`."""
    module = family_system(family)
    presets = ", ".join(module.PRESETS)

    def command(preset: str, output: Path, dry_run: bool, **given: Any) -> None:
        train(family, preset, output, dry_run, given)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        _parameter("preset", Annotated[str, typer.Argument(help=f"one of {presets}")], kind=kind),
        _parameter("output", Annotated[Path, typer.Option("--output", "-o", help="run folder; run again to resume")]),
        _parameter("dry_run", Annotated[bool, typer.Option("--dry-run", help="print what would be done")], False),
    ]
    for field in dataclasses.fields(module.Options):
        kind_of_value: Any = field.type
        names = f"--{field.name.replace('_', '-')}"
        if field.type is bool:
            names += f"/--no-{field.name.replace('_', '-')}"
        text = f"{field.metadata['help']} (default: preset's, else {field.default!r})"
        parameters.append(_parameter(field.name, Annotated[kind_of_value | None, typer.Option(names, help=text)], None))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    example = f"Example: python -m training {family} demo --data scenes -o runs/demo"
    app.command(family, help=f"Train {family}. Presets: {presets}.\n\n{example}")(command)


def _parameter(
    name: str, annotation: Any, default: Any = inspect.Parameter.empty, kind: Any = inspect.Parameter.KEYWORD_ONLY
) -> inspect.Parameter:
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


@app.command()
def scenes(
    folder: Annotated[Path, typer.Argument(help="data folder to write")],
    count: Annotated[int, typer.Option(min=1, help="number of scenes")] = 64,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH")] = "1024x2048",
    seed: Annotated[int, typer.Option(help="seed of the first scene")] = 0,
    split: Annotated[str, typer.Option(help="train, val, …")] = "train",
) -> None:
    """Write procedural street scenes (photo, label ids, instance ids) as a data folder.

    Example: python -m training scenes scenes --count 64
    """
    from training.data.scene_folder import write_scene

    shape = parse_size(size)
    if shape is None:
        raise DataError("give --size HEIGHTxWIDTH")
    for index in track(range(seed, seed + count), description="rendering", console=console):
        write_scene(folder, split, index, shape)
    console.print(f"{count} scenes in {folder} ({split}_label, {split}_inst, {split}_img)")


@app.command()
def untrained(
    family: Annotated[str, typer.Argument(help=f"one of {', '.join(FAMILIES)}")],
    preset: Annotated[str, typer.Argument(help="whose architecture")],
    output: Annotated[Path, typer.Option("--output", "-o", help="checkpoint to write")],
) -> None:
    """Write a checkpoint with initial weights, to measure an architecture before it is trained.

    Example: python -m training untrained pix2pixhd joint -o city.safetensors
    """
    if family not in FAMILIES:
        raise InputError(f"unknown family {family!r}; choose one of {', '.join(FAMILIES)}")
    module = family_system(family)
    save_checkpoint(module.untrained(resolve(module.Options, module.PRESETS, preset, {})), output)
    console.print(f"checkpoint: {output}")


@app.command("evaluate")
def evaluate_command(
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint.safetensors")],
    data: Annotated[Path, typer.Option(help="data folder")],
    split: Annotated[str, typer.Option(help="held-out part of the folder")] = "val",
    styles: Annotated[
        str, typer.Option(help="encoded (from the real photo) or sampled (from the style bank)")
    ] = "encoded",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="also write pictures and a Markdown table here")
    ] = None,
) -> None:
    """PSNR and SSIM of synthesised against real photos.

    Example: python -m training evaluate runs/demo/checkpoint.safetensors --data scenes --split val -o report
    """
    rows = evaluate(load_checkpoint(checkpoint), data, split, styles, output)
    table = Table("image", "PSNR dB", "SSIM")
    for row in rows:
        table.add_row(row.name, f"{row.psnr_db:.2f}", f"{row.ssim:.4f}")
    console.print(table)


def run(command: Callable[[], Any]) -> None:
    """Run with the project's exit codes: 2 for a user's mistake (one line, no traceback), 130 when interrupted."""
    try:
        command()
    except Pix2rtError as error:
        message = str(error)
        if "Traceback" in message:  # of a loader process; what it said is the last paragraph
            message = message.rpartition("Error: ")[2]
        Console(stderr=True).print(Text(f"error: {message.strip()}", style="red"), soft_wrap=True)
        raise SystemExit(1 if isinstance(error, DivergenceError) else 2) from None
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; run the same command again to resume")
        raise SystemExit(130) from None


for _family in FAMILIES:
    add_family(_family)


def main() -> None:
    run(lambda: app(standalone_mode=True))


if __name__ == "__main__":
    main()
