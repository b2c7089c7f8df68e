"""`pix2rt studio`: what it refuses before it listens, and how it ends."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from runtime.__main__ import app
from tests.paths import ROOT
from tests.runtime import tiny_engines, tiny_translators
from tests.runtime.requests import Scene, get
from tests.runtime.running import running_studio

WITHOUT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("starlette", "uvicorn"):
            raise ModuleNotFoundError(f"refused {name}", name=name)
sys.meta_path.insert(0, Refuse())
from runtime.__main__ import main
sys.argv = ["pix2rt", "studio"]
main()
"""


def refusal(*arguments):
    result = CliRunner().invoke(app, ["studio", "--no-browser", *map(str, arguments)])
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split())


def test_a_broken_engine_is_named_at_start(tmp_path):
    whole = tiny_translators.translator(tmp_path / "whole.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(whole.read_bytes()[:-20])
    assert str(broken) in refusal(whole, broken)
    assert "does not exist" in refusal(tmp_path / "none.onnx")
    encoder = tiny_engines.style_encoder(tmp_path / "a.encoder.onnx")
    assert "'style_encoder' engine" in refusal(encoder)


def test_without_its_extra_it_says_how_to_get_it():
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 2
    assert 'pip install "pix2rt[studio]"' in result.stderr
    assert "Traceback" not in result.stderr


def test_a_taken_port_gives_the_next(tmp_path):
    engine = tiny_translators.translator(tmp_path / "lines.onnx")
    with running_studio(tmp_path, engine) as first:
        (tmp_path / "second").mkdir()
        with running_studio(tmp_path / "second", engine, "--port", str(first.port)) as second:
            assert second.port > first.port
            assert f"port {first.port} is taken" in second.errors.read_text()
            assert get(second, "/api/engines")[0] == 200


@pytest.mark.parametrize("is_watched", [False, True])
def test_ctrl_c_ends_it_without_a_traceback(tmp_path, is_watched):
    engine = tiny_engines.synthesizer(tmp_path / "scene.onnx", styles=True)
    with running_studio(tmp_path, engine) as studio:
        page = Scene(studio) if is_watched else None
        assert "Traceback" not in studio.interrupt()
        if page:
            page.socket.socket.close()
