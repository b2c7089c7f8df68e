"""Runs pix2rt engines: label map or image in, image out.

`Synthesizer` runs a generator of label maps, `Translator` one of images, `Inpainter` fills holes, `SketchCompleter`
searches the photo of a sketch, `StyleEncoder` reads styles out of a photo; every error derives from `Pix2rtError`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from runtime.errors import Pix2rtError
from runtime.version import __version__

if TYPE_CHECKING:
    from runtime.runners.inpainter import Inpainter
    from runtime.runners.sketch_completer import SketchCompleter
    from runtime.runners.style_encoder import StyleEncoder
    from runtime.runners.synthesizer import Synthesizer
    from runtime.runners.translator import Translator

__all__ = [
    "Inpainter",
    "Pix2rtError",
    "SketchCompleter",
    "StyleEncoder",
    "Synthesizer",
    "Translator",
    "__version__",
]

_MODULES = {
    "Inpainter": "inpainter",
    "SketchCompleter": "sketch_completer",
    "StyleEncoder": "style_encoder",
    "Synthesizer": "synthesizer",
    "Translator": "translator",
}


def __getattr__(name: str) -> Any:
    """Load a runner when it is asked for: the command line is at work before numpy is loaded."""
    if name not in _MODULES:
        raise AttributeError(f"module 'runtime' has no attribute {name!r}")
    return getattr(import_module(f"runtime.runners.{_MODULES[name]}"), name)
