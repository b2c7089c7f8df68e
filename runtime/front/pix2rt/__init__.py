"""The one name: `import pix2rt` gives the objects of `import runtime`, and training and export beside them.

    pix2rt.Translator is runtime.Translator        the runtime's public names
    pix2rt.export.onnx(…)                          checkpoints to engines; needs the extra "export"
    pix2rt.training.train(…)                       data to checkpoints; needs the extra "training"

`import pix2rt` loads what `import runtime` loads; torch comes with the first call that needs it.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import runtime

if not hasattr(runtime, "Pix2rtError"):
    raise ImportError(
        f"pix2rt needs its package runtime and found {next(iter(runtime.__path__))}; start Python in another folder, "
        "or rename that one"
    )

import runtime.errors as errors

if TYPE_CHECKING:
    from pix2rt import export, training
    from runtime import *  # noqa: F403

__all__ = ["errors", "export", "training"]
__all__ += runtime.__all__

_PARTS = ("export", "training")
sys.modules[f"{__name__}.errors"] = errors  # so that `from pix2rt.errors import InputError` gives the same class


def __getattr__(name: str) -> Any:
    """Load a part, or a class of the runtime, when it is asked for."""
    if name in _PARTS:
        return import_module(f"{__name__}.{name}")
    if name not in runtime.__all__:
        raise AttributeError(f"module 'pix2rt' has no attribute {name!r}")
    return getattr(runtime, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
