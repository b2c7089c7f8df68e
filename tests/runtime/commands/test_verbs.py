"""The list of verbs: there at once, without numpy; one line a verb; what goes wrong before a verb begins."""

import json
import os
import re
import resource
import subprocess
import sys

import pytest

from runtime import __version__
from runtime.commands.verbs import VERBS
from tests.paths import ROOT
from tests.runtime.commands.test_command_line import run

SCREEN = 45  # lines, at 100 columns
OWN = [name for name, verb in VERBS.items() if verb.source.startswith("runtime.")]
PROBE = """
import runpy, sys, json
sys.argv = ["pix2rt", "--help"]
try:
    runpy.run_module("runtime", run_name="__main__", alter_sys=True)
finally:
    tops = {name.split(".")[0] for name in sys.modules}
    print(json.dumps(sorted(tops & {"numpy", "torch", "PIL", "onnxruntime", "training", "export"})))
"""


def shown(*arguments, columns=100):
    environment = {**os.environ, "COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8"}
    line = [sys.executable, "-m", "runtime", *arguments]
    result = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout


def options(text):
    return set(re.findall(r"^[│|] \*?\s{0,4}(--[\w-]+)", text, re.MULTILINE))


def test_help_loads_nothing_heavy_and_is_fast():
    """Processor time, which other processes do not lengthen as they do the clock's."""
    subprocess.run(
        [sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, timeout=60
    )  # compiles, where nobody has
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run([sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert json.loads(result.stdout.splitlines()[-1]) == []
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.6  # 0.2 s on an idle machine


def test_the_list_fits_a_screen_and_has_all_verbs():
    text = shown("--help")
    assert all(re.search(rf"│ {name} ", text) for name in VERBS)
    assert len(text.rstrip().splitlines()) <= SCREEN
    assert all(panel in text for panel in ("Run engines", "Engines", "Make engines", "Train"))


@pytest.mark.parametrize("name", OWN)
def test_a_verbs_help_fits_a_screen(name):
    text = shown(name, "--help")
    assert len(text.rstrip().splitlines()) <= SCREEN
    assert f"pix2rt {name}" in text
    summary = VERBS[name].summary.split(",")[0].rstrip(".")
    assert summary.split()[0] in text, "list and help say the same"
    rest = re.search(r"--help-all shows (\d+) more option", text)
    if rest:
        everything = shown(name, "--help-all")
        assert "--help-all" not in everything
        assert len(options(everything)) == len(options(text)) + int(rest[1]) > int(rest[1])


def test_help_all_leaves_the_options_to_be_parsed(tmp_path):
    """What `--help` does not show is an option all the same."""
    assert "No such option" not in run("translate", "edges2photo", tmp_path, "-o", "x", "--backend", "no").stderr


def test_a_misspelt_verb_gets_the_nearest():
    result = run("synthesise")
    assert result.exit_code == 2
    assert "Did you mean 'synthesize'" in result.output


def test_version():
    assert run("--version").stdout == f"pix2rt {__version__}\n"


WITHOUT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx", "accelerate", "safetensors"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
from runtime.__main__ import main
sys.argv = ["pix2rt", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("train", "pix2pix", "smoke", "-o", "x"), "training"),
        (("train", "pix2pix", "--help"), "training"),
        (("data", "scenes", "x"), "training"),
        (("evaluate", "x.safetensors", "--data", "x"), "training"),
        (("export", "x.safetensors", "--dynamic", "-o", "x.onnx"), "export"),
        (("import", "x.pth", "-o", "x.safetensors"), "export"),
        (("validate", "x.safetensors", "x.onnx"), "export"),
        (("report", "burden"), "export"),
    ],
)
def test_an_extra_that_is_missing_names_its_line(arguments, extra, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-P", "-c", WITHOUT, *arguments]
    result = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 2, result.stdout + result.stderr
    assert f'which is not installed: pip install "pix2rt[{extra}]"' in result.stderr
    assert f"pix2rt {arguments[0]}" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
