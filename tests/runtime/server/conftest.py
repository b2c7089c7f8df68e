"""A server of hand-made engines, one of which is damaged."""

import pytest

from tests.runtime import tiny_completers, tiny_inpainters, tiny_translators
from tests.runtime.conftest import scene_engines
from tests.runtime.running import running

pytest.importorskip("prometheus_client", reason="the extra serve is not installed; the whole suite has it")


@pytest.fixture(scope="module")
def tiny_service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    engines = (
        *scene_engines(folder),
        tiny_inpainters.inpainter(folder / "holes.onnx"),
        tiny_completers.completer(folder / "faces.onnx"),
        tiny_translators.translator(folder / "lines.onnx"),
        tiny_translators.translator(folder / "grey.onnx", output_nc=2),
    )
    broken = folder / "broken.onnx"
    broken.write_bytes(engines[-1].read_bytes()[:300])
    limits = ("--max-upload", "1", "--timeout", "5", "--calls", "1", "--threads", "1")
    with running(folder, "serve", *engines, broken, *limits) as service:
        service.folder = folder
        yield service
