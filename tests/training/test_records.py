"""What a run and an evaluation write down."""

import csv
import json
import re
import time

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.runs import command, scene_data, train
from training.loop import LOG_FILE, SAMPLES
from training.state import CHECKPOINT_FILE


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return str(scene_data(tmp_path_factory.mktemp("data")))


def test_what_a_run_writes_down(tmp_path, data, capsys):
    """Losses with their step, epoch, learning rate and time; a picture from the first epoch on; lines for a log."""
    begin = time.time()
    trainer = train(tmp_path, data=data, epochs=1, decay_epochs=2, log_every=1, sample_every=1000)
    rows = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 3 * trainer.per_epoch + 1))
    assert [row["epoch"] for row in rows] == [1 + index // trainer.per_epoch for index in range(len(rows))]
    rates = [trainer.options.lr_at(step, trainer.per_epoch) for step in range(len(rows))]
    assert [row["lr"] for row in rows] == rates
    assert rates[-1] < rates[0]
    times = [row["time"] for row in rows]
    assert begin <= times[0]
    assert times == sorted(times)
    (sample,) = (tmp_path / SAMPLES).iterdir()
    assert sample.name == f"{trainer.per_epoch:07d}.png"
    with Image.open(sample) as picture:
        assert picture.size[0] > picture.size[1]
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert told[0].startswith(f"step 1/{len(rows)}, epoch 1, ")
    assert re.fullmatch(
        rf"step {len(rows)}/{len(rows)}, epoch 3, [\d.]+ images/s, 0:00:00 left: .*G_GAN \d.*", told[-1]
    )


def test_evaluate_writes_values(data, tmp_path):
    train(tmp_path / "run", data=data, epochs=1, decay_epochs=0)
    given = ("evaluate", tmp_path / "run" / CHECKPOINT_FILE, "--data", data, "--split", "train")
    files = ("--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv")
    result = command(*given, *files, "--limit", 2, "--threads", torch.get_num_threads())
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert list(report["items"]) == ["scene_000000", "scene_000001"]
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [*report["items"], "generated", "real"]
    for row, values in zip(rows, [*report["items"].values(), report["generated"], report["real"]], strict=True):
        assert {key: float(value) for key, value in row.items() if key != "image" and value} == values
    assert report["generated"]["psnr"] == np.mean([values["psnr"] for values in report["items"].values()])
    assert command(*given, "--limit", 0).returncode == 2
