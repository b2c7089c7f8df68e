"""Commands that are imported when they are called, and torch with those that need it: their list is there at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from runtime.commands.console import Commands
from runtime.extras import extra_needed
from runtime.process import silent_interrupts
from runtime.version import __version__

REST = "More options"  # the panel of those that `--help` leaves to `--help-all`
_HELP_ALL = "--help-all"


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"pix2rt {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")]


@dataclass(frozen=True)
class Entry:
    """A command, or a group of them.

    Attributes:
        summary: what it is for, word for word the beginning of its own help.
        source: "module:attribute" of its function, or of a Typer application that has it; a group has none.
        command: its name in that application, where it is another one.
        panel: of the list that it stands in.
        extra: of the distribution, that it needs.
        entries: those of a group, by name.
    """

    summary: str
    source: str = ""
    command: str = ""
    panel: str = ""
    extra: str = ""
    entries: Mapping[str, "Entry"] = field(default_factory=dict)


class Verb(TyperCommand):
    """A command whose `--help` fits a screen: options of the panel `REST` are left to `--help-all`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if _HELP_ALL in args:
            ctx.meta[_HELP_ALL], args = True, ["--help"]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        rest = [] if _HELP_ALL in ctx.meta else self._rest()
        epilog = self.epilog
        for option in rest:
            option.hidden = True
        if rest:
            self.epilog = f"{_HELP_ALL} shows {len(rest)} more option{'s' if len(rest) > 1 else ''}." + (
                f"\n\n{epilog}" if epilog else ""
            )
        try:
            super().format_help(ctx, formatter)
        finally:
            self.epilog = epilog
            for option in rest:
                option.hidden = False

    def _rest(self) -> list[Any]:
        return [option for option in self.params if getattr(option, "rich_help_panel", None) == REST]


class LazyGroup(Commands):
    """A group of entries: derive from it and set `entries`, by name, in the order of the list."""

    entries: Mapping[str, Entry] = {}
    _is_listing = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for name in self.entries:  # for suggestions where one is misspelt
            self.commands.setdefault(name, TyperCommand(name))

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.entries)

    def get_command(self, ctx: Any, name: str) -> Any:
        entry = self.entries.get(name)
        if entry is None:
            return None
        if self._is_listing:
            return TyperCommand(name, help=entry.summary, rich_help_panel=entry.panel or None)
        what = f"{ctx.command_path if ctx else 'pix2rt'} {name}"
        with silent_interrupts(), extra_needed(what, entry.extra):
            return _loaded(name, entry, self)

    def extra_of(self, name: str) -> str:
        return self.entries[name].extra if name in self.entries else ""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._is_listing = True
        super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        self._is_listing = True
        return super().shell_complete(ctx, incomplete)


def _loaded(name: str, entry: Entry, parent: LazyGroup) -> Any:
    if entry.entries:
        members = {"entries": entry.entries, "interrupted": parent.interrupted}
        return type("Group", (LazyGroup,), members)(name=name, help=entry.summary, no_args_is_help=True)
    module, _, attribute = entry.source.partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        return TyperGroup.get_command(typer.main.get_group(found), None, entry.command or name)  # type: ignore[arg-type]
    app = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)
    app.command(name, cls=Verb)(found)
    return typer.main.get_command(app)
