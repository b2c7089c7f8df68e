"""The application that every command adds itself to, and where it prints."""

import importlib
from typing import Any, NamedTuple

import typer
from rich.console import Console
from typer.core import TyperGroup

from runtime.commands.console import Commands
from training.networks import FAMILIES


class Command(NamedTuple):
    """Where a command is made, and what it is for, word for word as there."""

    module: str
    summary: str


COMMANDS = {
    "evaluate": Command("evaluate", "Figures of generated images against real photos."),
    "completion-study": Command("completion", "Tables of a completion's losses and SSIM over steps, N and λ."),
    "sketch-study": Command(
        "completion",
        "How families trained on the same pairs cope with sketches that are clean, sparse or distorted.",
    ),
    "style-study": Command("completion", "How networks cope with sketches of every style."),
    "hint-study": Command(
        "completion",
        "What hints at the photo do to it, and to how closely the sketch is followed, by their weight.",
    ),
    "scenes": Command("data", "Write procedural street scenes (photo, label ids, instance ids) as a data folder."),
    "faces": Command("data", "Write procedural faces, photos to train a Contextual GAN with."),
    "textures": Command(
        "data",
        "Write procedural pictures of materials and of scenes made of them, photos to train inpainting with.",
    ),
    "sketches": Command("data", "Turn a folder of photos into sketches, grey pictures of their size."),
    "untrained": Command(
        "data",
        "Write a checkpoint with initial weights, to measure an architecture before it is trained.",
    ),
    "inpainting-study": Command(
        "inpainting",
        "Compare checkpoints with OpenCV's inpainting, with themselves without patch-swap, and with Image2Feature "
        "alone.",
    ),
    **{family: Command("train", f"Train {family}.") for family in FAMILIES},
    "ablation": Command("ablation", "Train, evaluate and tabulate the rows of a paper's ablation."),
}


class LazyCommands(Commands):
    """Imports a command's module, and torch with it, only when that command is called."""

    interrupted = "interrupted; run the same command again to resume"
    _is_listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, name: str) -> Any:
        if name not in COMMANDS:
            return None
        if self._is_listing:
            return typer.core.TyperCommand(name, help=COMMANDS[name].summary)
        importlib.import_module(f"training.commands.{COMMANDS[name].module}")
        group = typer.main.get_group(app)
        return TyperGroup.get_command(group, ctx, name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._is_listing = True
        super().format_help(ctx, formatter)


app = typer.Typer(no_args_is_help=True, add_completion=False, cls=LazyCommands, pretty_exceptions_enable=False)
console = Console()


@app.callback()
def _about() -> None:
    """Train pix2pix-family networks into checkpoints."""
