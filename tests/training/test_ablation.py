"""The ablation tables: every row trained once, compared on the same items, written as a table and pictures."""

import json
from contextlib import contextmanager

import numpy as np
import pytest
from accelerate.state import AcceleratorState
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio
from typer.testing import CliRunner

from runtime.errors import InputError, Pix2rtError
from tests.training.runs import command, scene_data
from tests.training.tiny_onnx import red_is_the_class
from training.__main__ import app
from training.commands.measures import MeasureOptions
from training.errors import DataError, TrainingError
from training.evaluation.ablation import FIGURES_FILE, PICTURES, Ablation, Comparison, run_ablation
from training.evaluation.grid import write_grid
from training.evaluation.studies import STUDIES
from training.loop import LOG_FILE
from training.state import CHECKPOINT_FILE, STATE_FILE
from training.system import family_system

TINY = {"workers": 0, "ngf": 2, "ndf": 2, "epochs": 1, "decay_epochs": 0}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = scene_data(tmp_path_factory.mktemp("data"), 2)
    return str(scene_data(folder, 3, "val"))


def run(folder, data, study="losses", rows="l1,cgan", measured=None, **given):
    """→ reports, and what was said."""
    AcceleratorState._reset_state(True)
    chosen, said = MeasureOptions(**(measured or {})), []
    size = given.pop("size", "64x128")
    options = {"data": data, "derive": "labels", **TINY, **given}
    ablation = Ablation(STUDIES[study], STUDIES[study].choose(rows), "smoke", options, folder)
    comparison = Comparison("val", {"size": size}, chosen.measures, chosen.document())
    return run_ablation(ablation, comparison, 2, said.append), said


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("ablation")
    return folder, run(folder, data)[0]


def trained_at(folder, rows=("l1", "cgan")):
    return [(folder / row / STATE_FILE).stat().st_mtime_ns for row in rows]


def test_rows_are_what_the_papers_vary():
    assert list(STUDIES["losses"].rows) == ["l1", "gan", "cgan", "l1+gan", "l1+cgan"]
    for name, study in STUDIES.items():
        module = family_system(study.family)
        made = {row: module.Options(**options) for row, options in study.rows.items()}
        assert len(set(made.values())) == len(made), f"{name}: rows differ"
    pix2pix = family_system("pix2pix").Options
    skips = {row: pix2pix(**options).use_skips for row, options in STUDIES["generators"].rows.items()}
    assert skips == {row: row.startswith("unet") for row in skips}
    assert [pix2pix(**options).patch_size for options in STUDIES["patches"].rows.values()] == [1, 16, 70, 286]


def test_an_unknown_row():
    with pytest.raises(InputError, match="'l2'; choose from l1, gan"):
        STUDIES["losses"].choose("l1,l2")


def test_the_table_says_what_the_pictures_show(finished):
    folder, reports = finished
    assert list(reports) == ["l1", "cgan"]
    lines = (folder / "table.md").read_text().splitlines()
    assert lines[0].startswith("# pix2pix section 4.2")
    for row in reports:
        figures = []
        for path in sorted((folder / row / PICTURES).glob("*.png")):
            _, fake, real = np.split(np.array(Image.open(path)), 3, axis=1)
            figures.append(peak_signal_noise_ratio(real, fake))
        assert len(figures) == 3
        assert any(line.startswith(f"| {row} | {np.mean(figures):.2f} |") for line in lines)
    logged = [json.loads((folder / row / LOG_FILE).read_text().splitlines()[0]).keys() for row in reports]
    assert ["G_GAN" in keys for keys in logged] == [False, True]
    assert ["G_L1" in keys for keys in logged] == [True, False]


def test_the_grid_holds_input_rows_and_photo(finished):
    folder, _ = finished
    with Image.open(folder / "grid.png") as picture:
        grid = np.array(picture.convert("RGB"))
    assert grid.shape[1] == 4 * 384 + 5 * 4
    assert grid.shape[0] == 28 + 2 * (192 + 4)
    first = np.array(Image.open(sorted((folder / "cgan" / PICTURES).glob("*.png"))[0]))
    enlarged = [np.array(Image.fromarray(p).resize((384, 192), 1)) for p in np.split(first, 3, axis=1)]
    columns = [grid[28 : 28 + 192, 4 + n * 388 : 4 + n * 388 + 384] for n in range(4)]
    assert [np.array_equal(columns[n], enlarged[i]) for n, i in ((0, 0), (2, 1), (3, 2))] == [True] * 3
    assert not np.array_equal(columns[1], columns[2])
    assert all((grid[:28, 4 + n * 388 : 4 + n * 388 + 384] < 128).any() for n in range(4)), "titles"


def test_finished_rows_are_kept(finished, data):
    folder, reports = finished
    before = trained_at(folder)
    again, said = run(folder, data)
    assert said == ["row 1 of 2, l1: finished before", "row 2 of 2, cgan: finished before"]
    assert (again, trained_at(folder)) == (reports, before)


def test_another_comparison_trains_nothing(finished, data, tmp_path):
    folder, reports = finished
    before = trained_at(folder)
    segmenter = red_is_the_class(tmp_path / "s.onnx")
    with pytest.raises(InputError, match="made for another class table"):
        run(folder, data, measured={"segmenter": segmenter})
    sized, said = run(folder, data, size="64x64")
    assert [line.rpartition(" ")[2] for line in said] == ["evaluating"] * 2
    assert sized["l1"].generated["psnr"] != reports["l1"].generated["psnr"]
    (folder / "l1" / FIGURES_FILE).write_text("{")
    (folder / "l1" / PICTURES / "of_another_split.png").write_bytes(b"")
    assert run(folder, data)[0] == reports, "evaluated anew, without what lay there"
    assert trained_at(folder) == before


def test_an_interrupted_row_goes_on(finished, data, tmp_path, monkeypatch):
    """Killed after a save: the row ends as if nothing had happened."""
    _, reports = finished
    with monkeypatch.context() as patch:
        patch.setattr("training.loop.Trainer._finish", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, data, rows="l1", save_every=1)
    assert not (tmp_path / "table.md").exists()
    resumed, said = run(tmp_path, data, rows="l1", save_every=1)
    assert "training" in said[0]
    assert resumed["l1"] == reports["l1"]


def _interrupt(*_):
    raise KeyboardInterrupt


def test_other_options_are_refused(finished, data):
    with pytest.raises(TrainingError, match="ngf 2 → 3"):
        run(finished[0], data, ngf=3)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"size": "5x5"}, DataError, "too few"),
        ({"measured": {"segmenter": "missing.onnx"}}, Pix2rtError, "does not exist"),
        ({"gan_mode": "wgan"}, TrainingError, "gan_mode"),
        ({"data": "nowhere"}, DataError, "nowhere does not exist"),
    ],
)
def test_what_cannot_work_is_refused_before_training(data, tmp_path, given, error, message):
    data = given.pop("data", data)
    with pytest.raises(error, match=message):
        run(tmp_path / "out", data, **given)
    assert not (tmp_path / "out").exists()


def test_no_held_out_items(tmp_path):
    scene_data(tmp_path / "data", 1)
    with pytest.raises(DataError, match="val_label"):
        run(tmp_path / "out", str(tmp_path / "data"))
    assert not (tmp_path / "out").exists()


def test_pictures_of_other_items_make_no_grid(finished, tmp_path):
    folder, _ = finished
    (tmp_path / "one").mkdir()
    with pytest.raises(DataError, match="one lack items"):
        write_grid(tmp_path / "grid.png", {"l1": folder / "l1" / PICTURES, "one": tmp_path / "one"}, 2)
    assert not (tmp_path / "grid.png").exists()


def test_feature_matching_of_pix2pixhd(tmp_path, data):
    """Another family's study goes through the same machine."""
    AcceleratorState._reset_state(True)
    given = {"data": data, "workers": 0, "epochs": 1, "decay_epochs": 0, "feat_num": 0}
    study = STUDIES["features"]
    ablation = Ablation(study, study.rows, "smoke", given, tmp_path)
    reports = run_ablation(ablation, Comparison("val", {}, MeasureOptions().measures, {}), 1)
    logged = [json.loads((tmp_path / row / LOG_FILE).read_text().splitlines()[0]) for row in reports]
    assert ["G_feature_matching" in row for row in logged] == [False, True]
    assert (tmp_path / "gan+features" / CHECKPOINT_FILE).is_file()


def test_progress_is_told(finished, data):
    folder, _ = finished
    seen = []

    @contextmanager
    def evaluating():
        seen.append("begin")
        yield seen.append
        seen.append("end")

    AcceleratorState._reset_state(True)
    study = STUDIES["losses"]
    ablation = Ablation(study, study.choose("l1"), "smoke", {"data": data, "derive": "labels", **TINY}, folder)
    comparison = Comparison("val", {"size": "64x192"}, MeasureOptions().measures, {})
    run_ablation(ablation, comparison, 1, evaluating=evaluating)
    assert seen == ["begin", "scene_000000", "scene_000001", "scene_000002", "end"]


def test_the_command(tmp_path, data):
    words = ["ablation", "patches", "--rows", "1", "--preset", "smoke", "--data", data, "--derive", "labels"]
    tiny = ["--ngf", "2", "--ndf", "2", "--workers", "0", "--epochs", "1", "--decay-epochs", "0"]
    result = command(*words, *tiny, "-o", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "row 1 of 1, 1: training" in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"1", "grid.png", "table.md"}
    refused = command(*words, "--patch-size", "70", "-o", tmp_path)
    assert refused.returncode == 2
    assert "patch-size" in refused.stderr


def test_several_processes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = CliRunner().invoke(app, ["ablation", "losses", "--data", "x", "-o", str(tmp_path)])
    assert result.exit_code == 2
    assert "--rows" in result.stderr
