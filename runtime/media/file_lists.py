"""Files named in a list, for those that lie in many folders: a text file of paths, or a Parquet file's column."""

from pathlib import Path

from runtime.errors import InputError
from runtime.extras import extra_needed
from runtime.files import open_input, require_readable

LIST_SUFFIXES = (".txt", ".parquet")
COLUMN = "path"


def is_list(path: Path) -> bool:
    """Whether a path is that of a list, by its name."""
    return path.suffix.lower() in LIST_SUFFIXES


def files_in(path: Path, what: str) -> list[Path]:
    """The files that a list names, in its order; relative ones are relative to the list's folder.

    Whether they are there is found when they are read: a list may have a million.

    Args:
        path: a .txt file with a path on each line, or a .parquet file with a column `path` of texts.
        what: what they are, in messages.

    Raises:
        MissingFileError: the list is not there.
        InputError: it is no such list, or names nothing.
        MissingExtraError: pyarrow is not installed, which Parquet needs.
    """
    require_readable(path, f"list of {what}s")
    names = _column(path) if path.suffix.lower() == ".parquet" else _lines(path, what)
    if not names:
        raise InputError(f"list {path} names no {what}; expected one path on each line")
    return [path.parent / name for name in names]


def _lines(path: Path, what: str) -> list[str]:
    with open_input(path) as stream:
        content = stream.read()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"list {path} is no text in UTF-8 ({error}); expected one path of a {what} on each line"
        ) from None
    if "\0" in text:
        raise InputError(f"list {path} is no text; expected one path of a {what} on each line")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _column(path: Path) -> list[str]:
    with extra_needed(f"reading {path.name}", "ray"):
        import pyarrow
        from pyarrow import parquet
    try:
        table = parquet.read_table(path, columns=[COLUMN])
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        first = str(error).partition("\n")[0]
        raise InputError(f"list {path} cannot be read as Parquet with a column {COLUMN!r} ({first})") from error
    values = table.column(COLUMN).to_pylist() if COLUMN in table.column_names else None
    if values is None or not all(isinstance(value, str) and value for value in values):
        raise InputError(f"list {path}: its column {COLUMN!r} must hold paths as texts, none empty")
    return list(values)
