"""What is there only with an extra of the distribution: who needs it says which one, and how it is installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from runtime.errors import MissingExtraError

_OURS = ("training", "export", "cuda_ext")
_FOLDER = Path(__file__).resolve().parents[1]


@contextmanager
def extra_needed(what: str, extra: str) -> Iterator[None]:
    """Import, inside, what an extra brings.

    Args:
        what: needs it, as the user calls it: "pix2rt train".
        extra: of the distribution: "training".

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_extra(error, what, extra) from error


def missing_extra(error: ModuleNotFoundError, what: str, extra: str) -> ImportError:
    """The error to raise in the place of `error`, which is that itself where no extra is to blame."""
    module = (error.name or "").partition(".")[0]
    if module in _OURS:
        return _in_the_way(module, what) or error
    if not extra or module == "runtime":
        return error
    return MissingExtraError(f"{what} needs {module}, which is not installed: {install_line(extra)}")


def install_line(extra: str) -> str:
    """The command that installs an extra into an environment that has pix2rt."""
    return f'pip install "pix2rt[{extra}]"'


def _in_the_way(package: str, what: str) -> MissingExtraError | None:
    """Where Python finds another package of this name than ours: a folder of the user's, with `python -m`."""
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or []) if spec else []
    if not places or Path(places[0]).resolve() == _FOLDER / package:
        return None
    return MissingExtraError(
        f"{what} needs pix2rt's package {package} and found {places[0]}; call it from another folder, or call pix2rt, "
        "which does not look into the folder at hand"
    )
