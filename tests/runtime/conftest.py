"""A studio of hand-made engines, for the tests of server and page that need no network."""

import numpy as np
import pytest

from tests.runtime import tiny_completers, tiny_engines, tiny_inpainters, tiny_translators
from tests.runtime.running import running_studio


@pytest.fixture(scope="module")
def tiny_studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    with running_studio(folder, *engines_of_all_kinds(folder), "--max-upload", "1") as studio:
        studio.folder = folder
        yield studio


def engines_of_all_kinds(folder):
    """Two synthesizers, one of a fixed size and one of any with an encoder, and one of each other kind."""
    return (
        tiny_engines.synthesizer(folder / "scene.onnx", styles=True),
        _with_encoder(folder / "free.onnx"),
        tiny_inpainters.inpainter(folder / "holes.onnx"),
        tiny_completers.completer(folder / "faces.onnx"),
        tiny_translators.translator(folder / "lines.onnx"),
    )


def _with_encoder(path):
    """A synthesizer of any size whose styles are colours, as the encoder beside it reads them: B = their sum."""
    tiny_engines.style_encoder(path.with_suffix(".encoder.onnx"))
    bank = tiny_engines.StyleBank(3, {2: ((1.0, 2.0, 3.0),)})
    spec = tiny_engines.synthesizer_spec(styles=True, size=None, bank=bank)
    nodes, constants = tiny_engines.synthesizer_graph(spec)
    constants = [(name, np.ones((3, 1), np.float32) if name == "weights" else value) for name, value in constants]
    return tiny_engines.save(path, spec, nodes, constants)
