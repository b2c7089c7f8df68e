"""The application that every command adds itself to, and where it prints."""

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Train pix2pix-family networks into checkpoints.")
console = Console()
