"""A studio of hand-made engines, for the tests of server and page that need no network."""

import pytest

from tests.runtime import tiny_completers, tiny_engines, tiny_inpainters, tiny_translators
from tests.runtime.running import running_studio


@pytest.fixture(scope="module")
def tiny_studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    engines = (
        tiny_engines.synthesizer(folder / "scene.onnx", styles=True),
        tiny_inpainters.inpainter(folder / "holes.onnx"),
        tiny_completers.completer(folder / "faces.onnx"),
        tiny_translators.translator(folder / "lines.onnx"),
    )
    with running_studio(folder, *engines, "--max-upload", "1") as studio:
        studio.folder = folder
        yield studio
