"""`pix2rt` offers training and export, too: what its list says is what they say, and what it runs is what they run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from export.__main__ import app as export_app
from runtime.__main__ import app
from runtime.commands.lazy import Entry
from runtime.commands.verbs import VERBS
from runtime.engines.onnx_metadata import read_spec
from tests.paths import ROOT
from tests.tiny_models import save_tiny_checkpoint
from training.commands.console import COMMANDS
from training.networks import FAMILIES

SCREEN = 45  # lines, at 100 columns
ONLY_OF_EXPORT = {"engine", "gpu-suite", "gpu-report"}  # `pix2rt build` is the first; the others measure this project


def leaves(entries: dict[str, Entry], *path: str) -> list[tuple[tuple[str, ...], Entry]]:
    found = []
    for name, entry in entries.items():
        found += leaves(dict(entry.entries), *path, name) if entry.entries else [((*path, name), entry)]
    return found


OTHERS = [(path, entry) for path, entry in leaves(VERBS) if not entry.source.startswith("runtime.")]


def run(*arguments: object) -> str:
    result = CliRunner(env={"COLUMNS": "100"}).invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_every_command_of_training_and_export_is_a_verb() -> None:
    names = {"training": set(COMMANDS), "export": {command.name for command in export_app.registered_commands}}
    offered = {
        package: {entry.command or path[-1] for path, entry in OTHERS if entry.extra == package} for package in names
    }
    assert offered["training"] == names["training"]
    assert names["export"] - offered["export"] - ONLY_OF_EXPORT == set()
    assert offered["export"] <= names["export"]
    assert list(VERBS["train"].entries) == sorted(FAMILIES, key=list(VERBS["train"].entries).index)


@pytest.mark.parametrize("path", [path for path, _ in OTHERS], ids="-".join)
def test_a_verbs_help_is_its_own_and_fits_a_screen(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    text = run(*path, "--help")
    assert f"Usage: pix2rt {' '.join(path)}" in " ".join(text.replace("root", "pix2rt").split())
    assert len(text.rstrip().splitlines()) <= SCREEN
    for example in re.findall(r"pix2rt ((?:[a-z][\w-]* ?)+)", text.split("Example", 1)[-1].split("╭")[0]):
        words, entries = example.split(), VERBS
        while entries and words:
            assert words[0] in entries, example
            entries = entries[words.pop(0)].entries


def test_a_preset_that_is_named_shows_its_own_values() -> None:
    general, named = run("train", "pix2pix", "--help"), run("train", "pix2pix", "grey2colour", "--help")
    assert "preset's, else" in " ".join(general.split())
    assert "preset's" not in named
    assert "(default: 4)" in named  # batch size
    assert "(default: 'grey')" in " ".join(named.split())
    assert "--lambda-l1" in run("train", "pix2pix", "--help-all")
    assert "--lambda-l1" not in general


def test_a_checkpoint_becomes_an_engine(tmp_path: Path) -> None:
    checkpoint = save_tiny_checkpoint("unet", tmp_path / "c.safetensors")
    run("export", checkpoint, "--dynamic", "-o", tmp_path / "e.onnx")
    assert read_spec(tmp_path / "e.onnx").kind == "translator"
    assert "equal" in run("validate", checkpoint, tmp_path / "e.onnx")


def test_data_are_drawn(tmp_path: Path) -> None:
    run("data", "scenes", tmp_path / "scenes", "--count", 1, "--size", "64x128")
    assert sorted(path.name for path in (tmp_path / "scenes").iterdir()) == ["train_img", "train_inst", "train_label"]


def test_the_list_needs_no_torch() -> None:
    code = (
        "import sys, runtime.__main__ as m\ntry:\n m.app(['train', '--help'])\nfinally:\n print('torch' in sys.modules)"
    )
    line = [sys.executable, "-c", code]
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout.splitlines()[-1] == "False"


# An editable installation finds modules of ours even in another package of the name; a wheel does not.
AS_MODULE = """
import runpy, sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "Editable" not in getattr(finder, "__name__", "")]
sys.argv[0] = package = sys.argv.pop(1)
runpy.run_module(package, run_name="__main__", alter_sys=True)
"""


def beside(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m …` where a package `name` lies in the folder at hand."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}
    line = [sys.executable, "-P", "-c", AS_MODULE, *arguments]
    return subprocess.run(
        line, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=60, check=False
    )


@pytest.mark.parametrize("package", ["training", "export"])
def test_a_folder_in_the_way_is_named(package: str, tmp_path: Path) -> None:
    """`python -m` looks into the folder at hand first; a package there that has the name of one of ours is told."""
    result = beside(tmp_path, "runtime", package, "--help")
    assert result.returncode == 1
    assert f"python -m {package} needs pix2rt's package runtime and found {tmp_path / 'runtime'}" in result.stderr
    assert "Traceback" not in result.stderr


def test_another_training_in_the_way_of_a_verb_is_named(tmp_path: Path) -> None:
    result = beside(tmp_path, "training", "runtime", "data", "scenes", "x")
    assert result.returncode == 2
    assert f"needs pix2rt's package training and found {tmp_path / 'training'}" in result.stderr.replace("\n", "")
    assert beside(tmp_path, "elsewhere", "runtime", "models").returncode == 0
