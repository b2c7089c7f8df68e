"""Nothing is sent, nothing is left in the user's folders: every command, and the library, in a fresh home."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.paths import ROOT
from tests.runtime import tiny_completers, tiny_engines, tiny_inpainters, tiny_translators

LIBRARY = "import numpy, runtime; runtime.Synthesizer('s.onnx').run(numpy.zeros((16, 32), numpy.uint8))"
COMMANDS = {
    "library": ["-c", LIBRARY],
    "info": ["-m", "runtime", "info", "s.onnx"],
    "synthesize": ["-m", "runtime", "synthesize", "s.onnx", "labels.png", "-o", "photo.png"],
    "translate": ["-m", "runtime", "translate", "t.onnx", "photo.jpg", "-o", "translated.png"],
    "inpaint": ["-m", "runtime", "inpaint", "i.onnx", "photo.jpg", "mask.png", "-o", "filled.png"],
    "complete": ["-m", "runtime", "complete", "c.onnx", "photo.jpg", "--iterations", "5", "-o", "face.png"],
    "bench": ["-m", "runtime", "bench", "s.onnx", "--runs", "1"],
}
# What may be opened beside files: sockets of the machine itself only.
INTERNET = ("AF_INET", "AF_INET6", "AF_PACKET")


@pytest.fixture
def workplace(tmp_path):
    tiny_engines.synthesizer(tmp_path / "s.onnx")
    tiny_translators.translator(tmp_path / "t.onnx")
    tiny_inpainters.inpainter(tmp_path / "i.onnx")
    tiny_completers.completer(tmp_path / "c.onnx")
    photo = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.jpg")
    Image.fromarray(np.zeros((16, 32), np.uint8)).save(tmp_path / "labels.png")
    Image.fromarray(np.pad(np.full((4, 4), 255, np.uint8), ((10, 16), (10, 26)))).save(tmp_path / "mask.png")
    (tmp_path / "home").mkdir()
    return tmp_path


def environment(home):
    """A user's, without what this test's own process has set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    return kept | {"HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_fresh_home_stays_empty_and_no_socket_is_opened(workplace, name):
    traced = ["strace", "-f", "-e", "trace=socket", "-o", "calls.txt"] if shutil.which("strace") else []
    command = [*traced, sys.executable, *COMMANDS[name]]
    result = subprocess.run(command, cwd=workplace, env=environment(workplace / "home"), capture_output=True)
    assert result.returncode == 0, result.stderr
    assert list((workplace / "home").rglob("*")) == []
    if not traced:
        pytest.skip("strace is not at hand: the home was looked at, sockets were not (CI installs it)")
    calls = (workplace / "calls.txt").read_text(errors="replace").splitlines()
    assert [call for call in calls if any(family in call for family in INTERNET)] == []


def test_a_home_that_cannot_be_written_is_no_concern(workplace):
    blocked = workplace / "blocked"
    blocked.write_text("a file, so that no folder can be made in it")
    result = subprocess.run(
        [sys.executable, *COMMANDS["library"]], cwd=workplace, env=environment(blocked), capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_who_wants_telemetry_has_it():
    """A variable that the user set stays as it is."""
    code = "import os, runtime.engines.onnx_engine; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    for given, expected in ((None, "1"), ("0", "0")):
        variables = environment("/") | ({} if given is None else {"ORT_DISABLE_TELEMETRY": given})
        result = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
        assert result.stdout.strip() == expected
