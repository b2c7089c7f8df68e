"""Command line of the runtime: python -m runtime, or pix2rt. Bad input exits with 2, other failures with 1."""

from typing import Annotated

from runtime.process import silent_interrupts
from runtime.version import __version__

with silent_interrupts():
    import typer

    from runtime.commands.bench import bench
    from runtime.commands.build import build
    from runtime.commands.complete import complete
    from runtime.commands.console import INTERRUPTED, Commands
    from runtime.commands.demo import demo
    from runtime.commands.info import info
    from runtime.commands.inpaint import inpaint
    from runtime.commands.models import models_command
    from runtime.commands.studio import studio
    from runtime.commands.synthesize import synthesize
    from runtime.commands.translate import translate
    from runtime.media.decoding import DEFAULT_MEGAPIXELS, limit_megapixels

app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"pix2rt {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
    max_megapixels: Annotated[
        float,
        typer.Option(
            min=0.001,
            envvar="PIX2RT_MAX_MEGAPIXELS",
            help="Larger pictures are refused: a small file may hold a huge one.",
        ),
    ] = DEFAULT_MEGAPIXELS,
) -> None:
    """Run pix2rt engines: label maps, images or a video in, photos out.

    Example: `pix2rt synthesize city.onnx labels/ --instances instances/ -o photos`

    Example: `pix2rt translate edges2photo.onnx sketches/ -o photos`

    Example: `pix2rt inpaint scenes.onnx photos/ masks/ -o filled`

    Example: `pix2rt complete faces.onnx sketch.png -o photo.png`
    """
    limit_megapixels(max_megapixels)


for _command in (synthesize, translate, inpaint, complete, build, info, bench, demo, studio):
    app.command()(_command)
app.command("models")(models_command)


def main() -> None:
    """Entry point of the console script."""
    try:
        app(prog_name="pix2rt")
    except KeyboardInterrupt:  # before a command began
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()
