"""`python -m training` by itself: quick help that tells what the commands tell, and exit codes."""

import subprocess
import sys

import click
import pytest
import torch

from runtime.commands.console import exit_code
from runtime.errors import InputError, OutputError
from tests.paths import ROOT
from training.commands.console import COMMANDS, TrainingCommands
from training.errors import DivergenceError
from training.memory import memory_errors

HELP = """
import runpy, sys
sys.argv = ["training", "--help"]
try:
    runpy.run_module("training", run_name="__main__", alter_sys=True)
finally:
    loaded = {name.split(".")[0] for name in sys.modules}
    print(sorted(loaded & {"torch", "cv2", "sklearn", "accelerate", "onnxruntime"}))
"""


def test_help_needs_no_torch():
    line = [sys.executable, "-c", HELP]
    result = subprocess.run(
        line, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"
    assert all(name in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name):
    group = TrainingCommands(name="training")
    command = group.get_command(click.Context(click.Command("training")), name)
    text = " ".join((command.help or "").split())
    assert text.startswith(COMMANDS[name].summary)
    assert command.name == name


def test_no_command_is_missing_from_the_list():
    from training.commands.console import app

    group = TrainingCommands(name="training")
    for name in COMMANDS:
        group.get_command(None, name)
    made = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert made | {group.name for group in app.registered_groups} == set(COMMANDS)


def test_exit_codes():
    def caused_by(cause: BaseException) -> OutputError:
        error = OutputError("cannot write")
        error.__cause__ = cause
        return error

    assert exit_code(InputError("wrong")) == exit_code(caused_by(PermissionError(13, "denied"))) == 2
    assert exit_code(DivergenceError("NaN")) == exit_code(caused_by(OSError(28, "No space left"))) == 1
    assert exit_code(caused_by(caused_by(MemoryError()))) == 1


def test_memory_that_is_used_up_is_a_memory_error():
    with pytest.raises(MemoryError, match="allocate.* Use a smaller one"), memory_errors("Use a smaller one"):
        torch.empty(2**45)
    with pytest.raises(MemoryError), memory_errors(""):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    with pytest.raises(RuntimeError, match="another"), memory_errors(""):
        raise RuntimeError("another fault")
