"""Engines by name: those that ship, and those in a folder of the user's that `PIX2RT_MODELS` names.

A name is a file's without its `.onnx` or `.engine`: "edges2photo". Whatever takes the path of an engine takes a name,
too; a file of exactly that name goes first.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from runtime.errors import MissingFileError
from runtime.files import is_folder, is_there

ASSETS = Path(__file__).resolve().parents[1] / "assets"
VARIABLE = "PIX2RT_MODELS"
SUFFIXES = (".onnx", ".engine")  # of two files of one name the first: a plan runs on one GPU alone

_LICENCE = "Apache-2.0"
# What those that ship are for. All were trained by this project on pictures that it drew itself.
_SHIPPED = {
    "street": "photos of streets from label maps, with instances and styles",
    "street.encoder": "reads the styles of a street out of a photo",
    "edges2photo": "photos of streets from line drawings",
    "inpaint": "fills holes in photos of materials and scenes",
    "faces": "faces from sketches, and sketches from faces",
}


@dataclass(frozen=True)
class Model:
    """An engine that has a name.

    Attributes:
        name: "edges2photo".
        path: its file.
        purpose: what it is for; empty where only its maker knows.
        licence: likewise.
        ships: whether it came with pix2rt.
    """

    name: str
    path: Path
    purpose: str = ""
    licence: str = ""
    ships: bool = False


def models() -> dict[str, Model]:
    """Every engine that has a name, by name: the user's own in their order, then those that ship and are not hidden by
    one of the user's.

    Raises:
        MissingFileError: `PIX2RT_MODELS` names no folder.
    """
    found = {path.name.removesuffix(path.suffix): path for path in _own_files()}
    own = {name: Model(name, path) for name, path in found.items()}
    shipped = {
        name: Model(name, ASSETS / f"{name}.onnx", purpose, _LICENCE, ships=True) for name, purpose in _SHIPPED.items()
    }
    return own | {name: model for name, model in shipped.items() if name not in own}


def _own_files() -> list[Path]:
    """The engines in the user's folder by name, so that of two of one name the `.onnx` comes last and stays."""
    folder = os.environ.get(VARIABLE, "")
    if not folder:
        return []
    if not is_folder(Path(folder)):
        raise MissingFileError(
            f"{VARIABLE} is {folder!r}, which is no folder; name the folder of your engines, or unset it"
        )
    files = (path for path in Path(folder).iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))
    return sorted((path for path in files if path.is_file()), key=lambda path: (path.suffix, path.name))


def is_name(engine: str | os.PathLike[str]) -> bool:
    """Whether it can only be a name: without a folder or an engine's suffix, and no file is called so here. A folder
    may be: data and runs like to have the engine's name."""
    path = Path(engine)
    is_bare = path.name == os.fspath(engine) and path.suffix.lower() not in SUFFIXES
    is_something = is_there(path) and not is_folder(path)
    return is_bare and path.name not in ("", "..", "-") and not is_something


def engine_path(engine: str | os.PathLike[str]) -> Path:
    """The file of an engine that is called by name; what is no name is a path already, and returned as it is.

    Raises:
        MissingFileError: no engine has this name; those that there are are listed, the nearest first.
    """
    if not is_name(engine):
        return Path(engine)
    name, known = os.fspath(engine), models()
    if name in known:
        return known[name].path
    raise MissingFileError(
        f"engine {name!r} does not exist: it is no file in {Path.cwd()}, and no engine has this name; there are "
        f"{', '.join(nearest_first(name, known))} (pix2rt models describes them)"
    )


def hint_of(path: Path) -> str:
    """For the file `path`, which is not there: the name that may be meant, as part of a sentence; else empty."""
    name = path.name.removesuffix(path.suffix)
    is_meant = path.suffix.lower() in SUFFIXES and name in _SHIPPED
    return f"; the engine that ships is called {name}, without {path.suffix}" if is_meant else ""


def nearest_first(name: str, known: Iterable[str]) -> list[str]:
    """`known`, the likest to `name` first."""
    return sorted(known, key=lambda other: -SequenceMatcher(None, name.lower(), other.lower()).ratio())
