"""Runs pix2rt engines: label map in, photo out.

`Synthesizer` runs a generator, `StyleEncoder` reads styles out of a photo, every error derives from `Pix2rtError`.
"""

from runtime.errors import Pix2rtError
from runtime.style_encoder import StyleEncoder
from runtime.synthesizer import Synthesizer
from runtime.version import __version__

__all__ = ["Pix2rtError", "StyleEncoder", "Synthesizer", "__version__"]
