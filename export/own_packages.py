"""Whether `python -m export` finds our packages: a folder of the user's of one's name goes before it.

The command `pix2rt` does not look into the folder that it is called in. Imported, before anything of ours, for its
check.
"""

from importlib.util import find_spec
from pathlib import Path

_OURS = Path(__file__).resolve().parents[1]
_PACKAGES = ("runtime", "training", "cuda_ext")


def require_own_packages() -> None:
    """End the process where another package has the name of one of ours."""
    for name in _PACKAGES:
        spec = find_spec(name)
        places = list(spec.submodule_search_locations or []) if spec else []
        if [Path(place).resolve() for place in places[:1]] != [_OURS / name]:
            found = places[0] if places else "nothing"
            raise SystemExit(
                f"python -m export needs pix2rt's package {name} and found {found}; call it from another folder, or "
                "call pix2rt, which does not look into the folder at hand"
            )


require_own_packages()
