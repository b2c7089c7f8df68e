"""A family's own options: one file each, from which the command line follows."""

import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from export import family_options
from export.errors import ExportError
from export.family_options import FamilyOptions, families_with_options, make_options, options_class
from export.family_parameters import family_parameters, given_options
from export.inference_modules import Request, family_graphs
from tests.paths import ROOT
from training.errors import CheckpointError
from training.networks import FAMILIES

DUMMY = '''
"""A family that is not there."""
from dataclasses import dataclass
from export.family_options import FamilyOptions, option

@dataclass(frozen=True)
class Options(FamilyOptions):
    warmth: int | None = option(None, "how warm.")
    is_loud: bool = option(False, "whether it is heard.")
'''


def test_every_file_here_is_a_familys() -> None:
    assert set(families_with_options()) <= set(FAMILIES)
    assert options_class("pix2pixhd") is FamilyOptions
    for family in FAMILIES:
        assert make_options(family, {}) == options_class(family)()
    with pytest.raises(ExportError, match="--warm-up is no option of inpainting networks; leave it out"):
        make_options("inpainting", {"warm_up": 3})


def test_a_new_file_is_all_that_a_new_option_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dummy.py").write_text(DUMMY)
    monkeypatch.setattr(family_options, "__path__", [*family_options.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    made = {parameter.name: parameter for parameter in family_parameters()}
    assert made["warmth"].default is None
    assert made["is_loud"].annotation.__metadata__[0].help == "dummy: whether it is heard."
    given = given_options({"warmth": 3, "is_loud": False, "scales": None})
    assert make_options("dummy", given) == options_class("dummy")(warmth=3)
    assert dataclasses.asdict(Request(options=make_options("dummy", given)).options) == {"warmth": 3, "is_loud": False}
    sys.modules.pop("export.family_options.dummy", None)


def test_families_without_engines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for family in FAMILIES:
        assert family_graphs(family).engines
    with pytest.raises(CheckpointError, match="unknown family 'bare_generator'"):
        family_graphs("bare_generator")
    monkeypatch.setattr("training.networks.FAMILIES", (*FAMILIES, "vgg"))
    with pytest.raises(ExportError, match="family vgg cannot be exported"):
        family_graphs("vgg")


def test_help_names_the_families_and_needs_no_torch() -> None:
    script = (
        "import runpy, sys; sys.argv = ['export', 'onnx', '--help-all']\n"
        "try:\n    runpy.run_module('export', run_name='__main__')\n"
        "finally:\n    print('torch' in sys.modules)"
    )
    line = [sys.executable, "-c", script]
    result = subprocess.run(
        line, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "False"
    for words in ("--stochastic", "--scales", "--style-transfer", "inpainting: repaint", "pix2pix: dropout"):
        assert words in result.stdout
