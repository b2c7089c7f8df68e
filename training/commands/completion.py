"""`completion-study`: the Contextual GAN's tables over steps, candidates and λ."""

from pathlib import Path
from typing import Annotated

import typer

from runtime.errors import InputError
from runtime.files import atomic_path
from training.checkpoint import load_checkpoint
from training.commands.console import app, console


@app.command("completion-study")
def completion_study(
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint.safetensors of a Contextual GAN")],
    data: Annotated[Path, typer.Option(help="folder of photos")],
    split: Annotated[str, typer.Option(help="held-out part of the folder")] = "val",
    direction: Annotated[str, typer.Option(help="AtoB: sketch to photo; BtoA: photo to sketch")] = "AtoB",
    items: Annotated[int, typer.Option(min=1, help="most items")] = 20,
    iterations: Annotated[int, typer.Option(min=1, help="steps of a search")] = 500,
    learning_rate: Annotated[float, typer.Option(min=1e-6, help="of z")] = 3.0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Markdown file to write; else printed")] = None,
) -> None:
    """Tables of a completion's losses and SSIM over steps, N and λ.

    Example: python -m training completion-study runs/faces/checkpoint.safetensors --data faces -o study.md
    """
    from training.evaluation.completion_study import markdown, study
    from training.systems.contextual_gan.completion import Search

    loaded = load_checkpoint(checkpoint)
    if loaded.family != "contextual_gan":
        raise InputError(f"{checkpoint} holds a {loaded.family} network, expected contextual_gan")
    search = Search(iterations=iterations, learning_rate=learning_rate)
    with console.status("search") as status:
        tables = study(loaded, data, split, direction, search, items, lambda title: status.update(title))
    from training.data.joint import find_photos

    text = markdown(tables, search, min(items, len(find_photos(data, split))))
    if output is None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
        return
    with atomic_path(output) as temporary:
        temporary.write_text(text, "utf-8")
    console.print(f"{output} written")
