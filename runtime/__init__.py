"""Runs pix2rt engines: label map or image in, image out.

`Synthesizer` runs a generator of label maps, `Translator` one of images, `Inpainter` fills holes, `SketchCompleter`
searches the photo of a sketch, `StyleEncoder` reads styles out of a photo; every error derives from `Pix2rtError`.
"""

from runtime.errors import Pix2rtError
from runtime.runners.inpainter import Inpainter
from runtime.runners.sketch_completer import SketchCompleter
from runtime.runners.style_encoder import StyleEncoder
from runtime.runners.synthesizer import Synthesizer
from runtime.runners.translator import Translator
from runtime.version import __version__

__all__ = [
    "Inpainter",
    "Pix2rtError",
    "SketchCompleter",
    "StyleEncoder",
    "Synthesizer",
    "Translator",
    "__version__",
]
