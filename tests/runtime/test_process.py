"""What ends a command: no character, no early Ctrl-C with a traceback, no SIGTERM that leaves files behind."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.paths import ROOT
from tests.runtime import tiny_engines, tiny_translators

ENCODINGS = ("cp1252", "ascii", "cp437", "utf-8:strict", "ascii:strict", "latin-1")


@pytest.fixture
def engine(tmp_path):
    return tiny_translators.translator(tmp_path / "e.onnx")


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "runtime", *arguments],
        cwd=ROOT,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=120,
    )


@pytest.mark.parametrize(
    "encoding", [*ENCODINGS[:2], *(pytest.param(one, marks=pytest.mark.nightly) for one in ENCODINGS[2:])]
)
def test_no_character_ends_a_command(tmp_path, engine, encoding):
    folder = os.fsencode(tmp_path)
    photo = folder + b"/caf\xe9 \xe2\x86\x92 \xf0\x9f\x98\x80.png"  # no UTF-8 in its first letters
    Image.fromarray(np.zeros((9, 14), np.uint8)).save(tmp_path / "grey.png")
    (tmp_path / "grey.png").rename(os.fsdecode(photo))
    city = tiny_engines.synthesizer(tmp_path / "city.onnx", styles=True)
    for arguments, code in (
        (("translate", engine, photo, "-o", folder + b"/\xff\xfe"), 0),
        (("translate", engine, folder + b"/\xff.png", "-o", folder + b"/out"), 2),
        (("info", city), 0),
        (("info", "--json", city), 0),
        (("translate", "--help"), 0),
    ):
        result = run(*arguments, PYTHONIOENCODING=encoding)
        assert result.returncode == code, result.stderr
        assert b"Traceback" not in result.stderr
        assert result.stdout or code == 2
    (written,) = (tmp_path / os.fsdecode(b"\xff\xfe")).iterdir()
    assert os.fsencode(written.name) == photo.rpartition(b"/")[2]


def test_the_c_locale(engine):
    result = run("info", engine, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert result.returncode == 0, result.stderr
    assert b"translator" in result.stdout


EARLY = """
import os, signal, sys
wanted = sys.argv.pop(1)
class Press:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Press())
import runpy
runpy.run_module("runtime", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["numpy", "typer", "rich", "PIL", "runtime.commands.info", "runtime.engines.kinds"])
def test_ctrl_c_while_libraries_load(module):
    result = subprocess.run(
        [sys.executable, "-c", EARLY, module, "info", "nothing.onnx"], cwd=ROOT, capture_output=True, timeout=60
    )
    assert result.returncode == -signal.SIGINT
    assert (result.stdout, result.stderr) == (b"", b"")


WORKS = """
import sys, time
import runtime.__main__ as m
from runtime import Translator
from runtime.files import atomic_path
def slow(*arguments, **options):
    with atomic_path(sys.argv[-1]) as temporary:
        temporary.write_bytes(b"half")
        print("ready", flush=True)
        time.sleep(60)
Translator.run = slow
m.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_clean_up(tmp_path, engine, number):
    Image.fromarray(np.zeros((9, 14, 3), np.uint8)).save(tmp_path / "photo.png")
    (tmp_path / "out").mkdir()
    arguments = ["translate", str(engine), str(tmp_path / "photo.png"), "-o", str(tmp_path / "out" / "x.png")]
    process = subprocess.Popen(
        [sys.executable, "-c", WORKS, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    assert len(list((tmp_path / "out").iterdir())) == 1
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "Traceback" not in stderr
    assert list((tmp_path / "out").iterdir()) == []
