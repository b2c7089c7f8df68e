"""Runs pix2rt engines: label map or image in, image out.

`Synthesizer` runs a generator of label maps, `Translator` one of images, `Inpainter` fills holes, `SketchCompleter`
searches the photo of a sketch, `StyleEncoder` reads styles out of a photo: each is a `Runner`. `EngineSpec` and
`LabelSpec` say what an engine is, `Step` and `Completion` how a search goes and ends; every error derives from
`Pix2rtError`.
"""

from runtime.engines.labels import LabelSpec
from runtime.engines.spec import EngineSpec
from runtime.errors import Pix2rtError
from runtime.runners.inpainter import Inpainter
from runtime.runners.runner import Runner
from runtime.runners.search import Completion, Step
from runtime.runners.sketch_completer import SketchCompleter
from runtime.runners.style_encoder import StyleEncoder
from runtime.runners.synthesizer import Synthesizer
from runtime.runners.translator import Translator
from runtime.version import __version__

__all__ = [
    "Completion",
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
