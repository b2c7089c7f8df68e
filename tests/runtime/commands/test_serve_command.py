"""`pix2rt serve`: what it prints, what it refuses, how it ends."""

import json
import signal
import socket

import pytest
from typer.testing import CliRunner

from runtime.__main__ import app
from runtime.server.parallel import Parallel, choose, given
from tests.paths import ROOT
from tests.runtime import tiny_translators
from tests.runtime.requests import get, png, post
from tests.runtime.running import running
from tests.runtime.server.test_faults import IMAGE

pytest.importorskip("prometheus_client", reason="the extra serve is not installed; the whole suite has it")


def refusal(*arguments, code=2):
    result = CliRunner().invoke(app, ["serve", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_it_prints_its_address_and_what_it_chose_and_ends_with_ctrl_c(tmp_path):
    engine = tiny_translators.translator(tmp_path / "lines.onnx")
    with running(tmp_path, "serve", engine) as service:
        assert service.address == f"http://127.0.0.1:{service.port}/"
        assert post(service, "/v1/lines/translate", image=png(IMAGE))[0] == 200
        assert "note: 1 call at once on" in service.errors.read_text() or "calls at once" in service.errors.read_text()
        service.interrupt()


def test_engines_have_names(tmp_path):
    with running(tmp_path, "serve", "edges2photo", "--threads", "1") as service:
        assert [one["name"] for one in json.loads(get(service, "/v1/engines")[2])["engines"]] == ["edges2photo"]
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0


def test_another_machine_needs_the_token_that_is_printed(tmp_path):
    engine = tiny_translators.translator(tmp_path / "lines.onnx")
    with running(tmp_path, "serve", engine, "--host", "0.0.0.0", "--calls", "2") as service:
        text = service.errors.read_text()
        token = text.partition("note: token: ")[2].split()[0]
        assert get(service, "/v1/engines")[0] == 401
        assert get(service, "/v1/engines", Authorization=f"Bearer {token}")[0] == 200


def test_a_broken_engine_is_not_served_and_is_named(tmp_path):
    engine = tiny_translators.translator(tmp_path / "lines.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no engine")
    with running(tmp_path, "serve", engine, broken, "--calls", "1") as service:
        assert "note: engine broken is not served: engine" in service.errors.read_text()
    assert f"engine {broken}" in refusal(broken, "--calls", "1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nobody",), "nobody"),
        (("edges2photo", "--host", "203.0.113.7"), "give an address of this machine"),
        (("edges2photo", "--queue", "0"), "queue"),
        (("edges2photo", "--timeout", "0"), "timeout"),
    ],
)
def test_what_it_refuses(arguments, message):
    assert message in refusal(*arguments)


def test_a_taken_port_is_not_exchanged_for_another():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} of 127.0.0.1 is taken" in refusal("edges2photo", "--port", port, code=2)


def test_calls_and_threads_are_measured_or_given(tmp_path):
    engines = [ROOT / "runtime" / "assets" / "edges2photo.onnx", tmp_path / "missing.onnx"]
    chosen = choose(engines, "cpu", "auto")
    assert chosen.calls * chosen.threads == given(None, None).threads
    assert given(3, 1) == Parallel(3, 1)
    assert given(None, 1).calls == given(1, None).threads == given(None, None).threads
    assert str(Parallel(1, 2)) == "1 call at once on 2 threads"
    assert str(Parallel(2, 1, 1.25)) == "2 calls at once on 1 thread, which do 1.25 times what one does"
