"""Tiny data folders and runs for the training tests."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from accelerate.state import AcceleratorState
from typer.testing import CliRunner

from tests.paths import ROOT
from training.commands.console import app
from training.data.photo_folder import write_face
from training.data.scene_folder import write_scene
from training.loop import LOG_FILE, Trainer
from training.options import resolve, save_options
from training.system import family_system

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200", "NO_COLOR": "1"}


def scene_data(folder: Path, count: int = 4, split: str = "train") -> Path:
    """A data folder of procedural scenes, 128×256."""
    for seed in range(count):
        write_scene(folder, split, seed, (128, 256))
    return folder


def face_data(folder: Path, count: int = 3) -> Path:
    """A folder of procedural faces, 32×32, as many to train with as held out."""
    for seed in range(count):
        write_face(folder, "train", seed, 32)
        write_face(folder, "val", 10 + seed, 32)
    return folder


def train(folder: Path, preset: str = "smoke", family: str = "pix2pixhd", **given: Any) -> Trainer:
    """Train in this process, as the command does."""
    AcceleratorState._reset_state(True)
    module = family_system(family)
    options = resolve(module.Options, module.PRESETS, preset, {"workers": 0, **given})
    system = module.create(options)
    save_options(options, preset, folder)
    trainer = Trainer(system, options, folder)
    trainer.run()
    return trainer


def losses(folder: Path) -> list[dict[str, float]]:
    """What was logged, but for the time, which no two runs share."""
    rows = [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "time"} for row in rows]


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """`python -m training …`, in this process: starting one with torch takes seconds."""
    AcceleratorState._reset_state(True)
    line = [str(word) for word in words]
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, line, prog_name="python -m training")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return subprocess.CompletedProcess(line, result.exit_code, result.stdout, result.stderr)
