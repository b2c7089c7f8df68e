"""Command line: pix2rt, or python -m runtime. Bad input exits with 2, other failures with 1."""

from typing import Annotated, Any

from runtime.process import silent_interrupts

with silent_interrupts():
    import typer

    from runtime.commands.console import INTERRUPTED
    from runtime.commands.lazy import LazyGroup, Version
    from runtime.commands.verbs import VERBS
    from runtime.media import DEFAULT_MEGAPIXELS


class Verbs(LazyGroup):
    """All of them."""

    entries = VERBS

    def format_help(self, ctx: Any, formatter: Any) -> None:
        option: Any
        for option in self.params:
            if option.name in ("install_completion", "show_completion"):
                option.hidden = True  # the list is to fit a screen
        super().format_help(ctx, formatter)


app = typer.Typer(cls=Verbs, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.callback()
def _options(
    version: Version = False,
    max_megapixels: Annotated[
        float,
        typer.Option(
            min=0.001,
            envvar="PIX2RT_MAX_MEGAPIXELS",
            show_envvar=False,
            help="Refuse larger pictures: a small file may hold a huge one.",
        ),
    ] = DEFAULT_MEGAPIXELS,
) -> None:
    """Image-to-image GANs of the pix2pix family: run engines, make them, train.

    Example: pix2rt translate edges2photo drawing.png -o photo.png
    """
    with silent_interrupts():
        from runtime.media.decoding import limit_megapixels  # here: the list of verbs needs no numpy

    limit_megapixels(max_megapixels)


def main() -> None:
    """Entry point of the console script."""
    try:
        app(prog_name="pix2rt")
    except KeyboardInterrupt:  # before a command began
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()
