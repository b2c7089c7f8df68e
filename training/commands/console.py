"""The application that every command adds itself to, and where it prints."""

import typer
from rich.console import Console

from runtime.commands.config import Config
from runtime.commands.lazy import REST, Entry, LazyGroup, Verb, Version
from training.networks import FAMILIES

__all__ = ["COMMANDS", "REST", "Config", "TrainingCommands", "Verb", "app", "console"]


def _entry(module: str, summary: str) -> Entry:
    return Entry(summary, f"training.commands.{module}:app", extra="training")


# Where each is made, and what it is for, word for word as there.
COMMANDS = {
    "evaluate": _entry("evaluate", "Figures of generated images against real photos."),
    "completion-study": _entry("completion", "Tables of a completion's losses and SSIM over steps, N and λ."),
    "sketch-study": _entry(
        "completion",
        "How families trained on the same pairs cope with sketches that are clean, sparse or distorted.",
    ),
    "style-study": _entry("completion", "How networks cope with sketches of every style."),
    "hint-study": _entry(
        "completion",
        "What hints at the photo do to it, and to how closely the sketch is followed, by their weight.",
    ),
    "attribute-study": _entry(
        "completion",
        "Whether photos keep the glasses and beards of their sketches, on procedural faces; a small network judges.",
    ),
    "scenes": _entry("data", "Write procedural street scenes (photo, label ids, instance ids) as a data folder."),
    "faces": _entry("data", "Write procedural faces, photos to train a Contextual GAN with."),
    "textures": _entry(
        "data",
        "Write procedural pictures of materials and of scenes made of them, photos to train inpainting with.",
    ),
    "sketches": _entry("data", "Turn a folder of photos into sketches, grey pictures of their size."),
    "untrained": _entry(
        "data",
        "Write a checkpoint with initial weights, to measure an architecture before it is trained.",
    ),
    "inpainting-study": _entry(
        "inpainting",
        "Compare checkpoints with OpenCV's inpainting, with themselves without patch-swap, and with Image2Feature "
        "alone.",
    ),
    **{family: _entry("train", f"Train {family}.") for family in FAMILIES},
    "ablation": _entry("ablation", "Train, evaluate and tabulate the rows of a paper's ablation."),
}


class TrainingCommands(LazyGroup):
    """All of them."""

    entries = COMMANDS
    interrupted = "interrupted; run the same command again to resume"


app = typer.Typer(no_args_is_help=True, add_completion=False, cls=TrainingCommands, pretty_exceptions_enable=False)
console = Console()


@app.callback()
def _about(version: Version = False) -> None:
    """Train pix2pix-family networks into checkpoints."""
