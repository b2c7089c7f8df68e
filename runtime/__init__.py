"""Runs pix2rt engines: label map or image in, image out.

`Synthesizer` runs a generator of label maps, `Translator` one of images, `Inpainter` fills holes, `SketchCompleter`
searches the photo of a sketch, `StyleEncoder` reads styles out of a photo: each is a `Runner`. `Editor` edits the scene
of a synthesizer. `EngineSpec` and `LabelSpec` say what an engine is, `Step` and `Completion` how a search goes and
ends; every error derives from `Pix2rtError`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from runtime.errors import Pix2rtError
from runtime.version import __version__

if TYPE_CHECKING:
    from runtime.engines.labels import LabelSpec
    from runtime.engines.spec import EngineSpec
    from runtime.runners.editor import Editor
    from runtime.runners.inpainter import Inpainter
    from runtime.runners.runner import Runner
    from runtime.runners.search import Completion, Step
    from runtime.runners.sketch_completer import SketchCompleter
    from runtime.runners.style_encoder import StyleEncoder
    from runtime.runners.synthesizer import Synthesizer
    from runtime.runners.translator import Translator

__all__ = [
    "Completion",
    "Editor",
    "EngineSpec",
    "Inpainter",
    "LabelSpec",
    "Pix2rtError",
    "Runner",
    "SketchCompleter",
    "Step",
    "StyleEncoder",
    "Synthesizer",
    "Translator",
    "__version__",
]

_MODULES = {
    "Completion": "runtime.runners.search",
    "Editor": "runtime.runners.editor",
    "EngineSpec": "runtime.engines.spec",
    "Inpainter": "runtime.runners.inpainter",
    "LabelSpec": "runtime.engines.labels",
    "Runner": "runtime.runners.runner",
    "SketchCompleter": "runtime.runners.sketch_completer",
    "Step": "runtime.runners.search",
    "StyleEncoder": "runtime.runners.style_encoder",
    "Synthesizer": "runtime.runners.synthesizer",
    "Translator": "runtime.runners.translator",
}


def __getattr__(name: str) -> Any:
    """Load a class when it is asked for: the command line is at work before numpy is loaded."""
    if name not in _MODULES:
        raise AttributeError(f"module 'runtime' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
