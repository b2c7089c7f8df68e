"""The commands' terminal: results on standard output, everything else on standard error."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from typer.core import TyperGroup

from runtime.errors import Pix2rtError
from runtime.extras import missing_extra
from runtime.process import prepare_process

INTERRUPTED = 130
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.EIO)

out = Console()
err = Console(stderr=True)


class Commands(TyperGroup):
    """Turns errors that the user can mend into one red line and an exit code.

    Attributes:
        interrupted: what is said after Ctrl-C.
    """

    interrupted = "interrupted"

    def extra_of(self, name: str) -> str:
        """The extra of the distribution that the command `name` needs; empty where it needs none."""
        return ""

    def main(self, *arguments: Any, **options: Any) -> Any:
        prepare_process()
        return super().main(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        try:
            return self._invoke(ctx)
        except Pix2rtError as error:
            _fail(str(error), exit_code(error))
        except KeyboardInterrupt:
            _fail(self.interrupted, INTERRUPTED)
        except (OSError, MemoryError) as error:
            _fail(f"failed: {error or type(error).__name__}", 1)

    def _invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            name = str(ctx.invoked_subcommand)
            raise missing_extra(error, f"{ctx.command_path} {name}", self.extra_of(name)) from error


def exit_code(error: Pix2rtError) -> int:
    """The error's own, but 1 where a full disk or memory is behind it, which no other input would mend."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno in _NO_ROOM):
            return 1
        cause = cause.__cause__
    return error.exit_code


def _fail(message: str, code: int) -> NoReturn:
    err.print(Text(message, style="red"), soft_wrap=True)
    raise typer.Exit(code)


def note(sentence: str) -> None:
    err.print(Text(f"note: {sentence}", style="yellow"), soft_wrap=True)


class NoteOnce:
    """Notes that concern many files: the first file of each kind is named, the others are counted."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}

    def add(self, path: Path, sentence: str) -> None:
        self._files[sentence] = self._files.get(sentence, 0) + 1
        if self._files[sentence] == 1:
            note(f"{path}: {sentence}")

    def finish(self) -> None:
        for sentence, count in self._files.items():
            if count > 1:
                note(f"{count - 1} more like the first: {sentence}")


class _Rate(ProgressColumn):
    """Images, or whatever is counted, per second so far."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.2f} {self._unit}/s" if task.speed else "", style="cyan")


def progress_bar(unit: str = "images") -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(unit), TimeRemainingColumn())
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


@contextmanager
def share_bar(description: str) -> Iterator[Callable[[str, float], None]]:
    """A bar from 0 to 100 %; call what it yields with what is being done and the share of that which is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(description, total=1.0)
        yield lambda what, share: progress.update(task, description=f"{description}: {what}", completed=share)
