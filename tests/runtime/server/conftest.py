"""A server of hand-made engines, one of which is damaged."""

import pytest

from tests.runtime import tiny_translators
from tests.runtime.conftest import engines_of_all_kinds
from tests.runtime.running import running

pytest.importorskip("prometheus_client", reason="the extra serve is not installed; the whole suite has it")


@pytest.fixture(scope="module")
def tiny_service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    engines = (*engines_of_all_kinds(folder), tiny_translators.translator(folder / "grey.onnx", output_nc=2))
    broken = folder / "broken.onnx"
    broken.write_bytes(engines[-1].read_bytes()[:300])
    limits = ("--max-upload", "1", "--timeout", "5", "--calls", "1", "--threads", "1")
    with running(folder, "serve", *engines, broken, *limits) as service:
        service.folder = folder
        yield service
