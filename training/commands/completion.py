"""The Contextual GAN's tables: over the search, over poor sketches and their styles, over hints."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from runtime.errors import InputError
from runtime.files import atomic_path
from training.checkpoint import Checkpoint, load_checkpoint
from training.commands.console import app, console
from training.commands.evaluate import progress_of_items, show
from training.commands.measures import FeaturesNorm, FeaturesPath, FeaturesSize, MeasureOptions
from training.data.sketches import STYLES
from training.evaluation.evaluate import Progress
from training.state import CHECKPOINT_FILE
from training.systems.contextual_gan.completion import Search

_OneCheckpoint = Annotated[Path, typer.Argument(help="checkpoint.safetensors of a Contextual GAN")]
_Data = Annotated[Path, typer.Option(help="folder of photos")]
_Split = Annotated[str, typer.Option(help="held-out part of the folder")]
_Items = Annotated[int, typer.Option(min=1, help="most photos")]
_Iterations = Annotated[int, typer.Option(min=1, help="steps of a search")]


@app.command("completion-study")
def completion_study(
    checkpoint: _OneCheckpoint,
    data: _Data,
    split: _Split = "val",
    direction: Annotated[str, typer.Option(help="AtoB: sketch to photo; BtoA: photo to sketch")] = "AtoB",
    items: _Items = 20,
    iterations: _Iterations = Search.iterations,
    learning_rate: Annotated[float, typer.Option(min=1e-6, help="of z")] = Search.learning_rate,
    features: FeaturesPath = None,
    features_norm: FeaturesNorm = "imagenet",
    features_size: FeaturesSize = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Markdown file to write; else printed")] = None,
) -> None:
    """Tables of a completion's losses and SSIM over steps, N and λ.

    Example: pix2rt study completion runs/faces/checkpoint.safetensors --data faces -o study.md
    """
    from training.data.joint import find_photos
    from training.evaluation.completion_study import markdown, study

    loaded = _load(checkpoint)
    search = Search(iterations=iterations, learning_rate=learning_rate)
    network = MeasureOptions(features=features, features_norm=features_norm, features_size=features_size).network()
    with console.status("search") as status:
        tables = study(loaded, data, split, direction, search, items, network, lambda title: status.update(title))
    _tell(markdown(tables, search, min(items, len(find_photos(data, split)))), output)


@app.command("sketch-study")
def sketch_study_command(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="checkpoint.safetensors of a Contextual GAN, of pix2pix, … on the same pairs")
    ],
    data: _Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for the table, the grids and all pictures")],
    split: _Split = "val",
    style: Annotated[str, typer.Option(help=f"of the sketches: {', '.join(STYLES)}")] = "xdog",
    side: Annotated[int, typer.Option(min=16, help="of sketch and photo, pixels")] = 64,
    items: _Items = 50,
    features: FeaturesPath = None,
    features_norm: FeaturesNorm = "imagenet",
    features_size: FeaturesSize = "",
) -> None:
    """How families trained on the same pairs cope with sketches that are clean, sparse or distorted.

    Example: pix2rt study sketch runs/faces/checkpoint.safetensors runs/pix2pix/checkpoint.safetensors
    --data faces -o study
    """
    from training.data.joint import find_photos
    from training.evaluation.sketch_study import sketch_study

    if style not in STYLES:
        raise InputError(f"--style is {style!r}, expected one of {', '.join(STYLES)}")
    loaded = _named(checkpoints, load_checkpoint)
    photos = find_photos(data, split)[:items]
    measures = MeasureOptions(features=features, features_norm=features_norm, features_size=features_size).measures
    with progress_of_items() as progress:
        reports = sketch_study(loaded, photos, style, side, output, measures, progress)
    show("sketch", [(row, report.generated) for row, report in reports.items()], [])
    console.print(f"{output / 'table.md'}")


@app.command("style-study")
def style_study_command(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="checkpoint.safetensors of Contextual GANs, say of one style each")
    ],
    data: _Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for the table, the grids and all pictures")],
    split: _Split = "val",
    items: _Items = 20,
    iterations: _Iterations = Search.iterations,
) -> None:
    """How networks cope with sketches of every style.

    Example: pix2rt study style runs/xdog/checkpoint.safetensors runs/fdog/checkpoint.safetensors
    --data faces -o study
    """
    from training.evaluation.evidence_study import Study, style_study

    study = Study(data, split, items, Search(iterations=iterations), output)
    reports = style_study(_named(checkpoints, _load), study, _evaluating)
    show("sketch", [(row, report.generated) for row, report in reports.items()], [])
    console.print(f"{output / 'table.md'}")


@app.command("hint-study")
def hint_study_command(
    checkpoint: _OneCheckpoint,
    data: _Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for the table, the grid and all pictures")],
    split: _Split = "val",
    items: _Items = 20,
    iterations: _Iterations = Search.iterations,
) -> None:
    """What hints at the photo do to it, and to how closely the sketch is followed, by their weight.

    Example: pix2rt study hint runs/faces/checkpoint.safetensors --data faces -o study
    """
    from training.evaluation.evidence_study import Study, hint_study

    study = Study(data, split, items, Search(iterations=iterations), output)
    reports = hint_study(_load(checkpoint), study, _evaluating)
    show("hint, weight", [(row, report.generated) for row, report in reports.items()], [])
    console.print(f"{output / 'table.md'} and grid.png")


@app.command("attribute-study")
def attribute_study_command(
    checkpoint: _OneCheckpoint,
    items: Annotated[int, typer.Option(min=1, help="faces with each attribute, and as many without it")] = 10,
    iterations: _Iterations = Search.iterations,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Markdown file to write; else printed")] = None,
) -> None:
    """Whether photos keep the glasses and beards of their sketches, on procedural faces; a small network judges.

    Example: pix2rt study attribute runs/faces/checkpoint.safetensors
    """
    from training.evaluation.attribute_study import Judge, markdown, study

    loaded = _load(checkpoint)
    with console.status("a network learns to judge") as status:
        judge = Judge()
        status.update("search")
        rows = study(loaded, judge, items, Search(iterations=iterations), lambda title: status.update(title))
    _tell(markdown(rows, iterations), output)


def _tell(text: str, output: Path | None) -> None:
    """Print a table, or write it as a file."""
    if output is None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
        return
    with atomic_path(output) as temporary:
        temporary.write_text(text, "utf-8")
    console.print(f"{output} written")


@contextmanager
def _evaluating(row: str) -> Iterator[Progress]:
    with progress_of_items() as progress:
        yield lambda name: progress(f"{row}: {name}")


def _load(path: Path) -> Checkpoint:
    """Raises InputError where it is not a Contextual GAN's."""
    checkpoint = load_checkpoint(path)
    if checkpoint.family != "contextual_gan":
        raise InputError(f"{path} holds a {checkpoint.family} network, expected contextual_gan")
    return checkpoint


def _named(paths: Sequence[Path], load: Callable[[Path], Checkpoint]) -> dict[str, Checkpoint]:
    """The checkpoints by the names of their rows; raises InputError where two have one name."""
    loaded = {_row_name(path): load(path) for path in paths}
    if len(loaded) < len(paths):
        raise InputError("two checkpoints lie in folders of the same name; rename one, the table names rows by it")
    return loaded


def _row_name(path: Path) -> str:
    """A run's folder says more than `checkpoint.safetensors`."""
    return path.resolve().parent.name if path.name == CHECKPOINT_FILE else path.stem
