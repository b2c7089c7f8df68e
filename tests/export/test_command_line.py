"""`python -m export …` as a user calls it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from export.__main__ import app
from runtime.engines.onnx_metadata import read_spec
from tests.export.conftest import Tiny
from tests.paths import GOLDEN, ROOT, needs_golden
from tests.tiny_models import save_tiny_checkpoint
from training.checkpoint import load_checkpoint


def export(*arguments: object) -> subprocess.CompletedProcess[str]:
    """In this process: starting one with torch takes seconds."""
    line = [str(argument) for argument in arguments]
    result = CliRunner().invoke(app, line, prog_name="python -m export")
    return subprocess.CompletedProcess(line, result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize("command", ["import", "onnx", "engine", "validate", "report"])
def test_help_shows_an_example(command: str) -> None:
    result = export(command, "--help")
    assert result.returncode == 0
    assert f"python -m export {command}" in result.stdout


def test_a_process_of_its_own(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "export", "validate", str(tmp_path / "c"), str(tmp_path / "e.onnx")]
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 2
    assert "does not exist" in result.stderr


def test_export_and_validate(tiny_engines: Tiny, tmp_path: Path) -> None:
    checkpoint = save_tiny_checkpoint("no_edges", tmp_path / "c.safetensors")
    (tmp_path / "options.toml").write_text('size = "16x24"\nprecision = ["fp16"]\n')
    result = export("onnx", checkpoint, "--config", tmp_path / "options.toml", "-o", tmp_path / "e.onnx")
    assert (result.returncode, result.stderr) == (0, "")
    assert "parity" in result.stdout
    assert read_spec(tmp_path / "e.onnx").size == (16, 24)

    report = tmp_path / "report.json"
    assert export("validate", checkpoint, tmp_path / "e.onnx", "--json", report).returncode == 0
    (row,) = json.loads(report.read_text())["engines"]
    assert (row["engine"], row["is_equal"], row["failure"]) == (str(tmp_path / "e.onnx"), True, "")
    assert row["parity"].keys() == {"max_grey_levels", "psnr_db", "differing_bytes"}
    other = save_tiny_checkpoint("no_edges", tmp_path / "other.safetensors", seed=1)
    result = export("validate", other, tmp_path / "e.onnx", tiny_engines("local")[0].path, "--json", report)
    assert result.returncode == 1
    rows = json.loads(report.read_text())["engines"]
    assert [(row["is_equal"], row["parity"]) for row in rows] == [(False, None)] * 2
    assert "differs from the checkpoint" in result.stderr
    assert "inst_map" in result.stderr
    before = checkpoint.read_bytes()
    result = export("validate", checkpoint, tmp_path / "e.onnx", "--json", checkpoint)
    assert (result.returncode, checkpoint.read_bytes()) == (2, before)


def test_sizes_and_precisions_in_one_call(tmp_path: Path) -> None:
    checkpoint = save_tiny_checkpoint("no_edges", tmp_path / "c.safetensors")
    sizes, precisions = ("--size", "16x24", "--size", "8x16"), ("--precision", "fp32", "--precision", "fp16")
    result = export("onnx", checkpoint, *sizes, *precisions, "-o", tmp_path / "e.onnx")
    assert (result.returncode, result.stderr) == (0, "")
    specs = {path.name: read_spec(path) for path in tmp_path.glob("*.onnx")}
    assert {name: (spec.size, spec.precision) for name, spec in specs.items()} == {
        f"e.{height}x{width}.{precision}.onnx": ((height, width), precision)
        for height, width in ((16, 24), (8, 16))
        for precision in ("fp32", "fp16")
    }
    result = export("onnx", checkpoint, "--size", "8x16", "--precision", "fp16", "-o", tmp_path / "one.onnx")
    assert (result.returncode, (tmp_path / "one.onnx").exists()) == (0, True)
    for twice in (("--size", "8x16", "--size", "8x16"), ("--size", "8x16", *precisions, "--precision", "fp16")):
        result = export("onnx", checkpoint, *twice, "-o", tmp_path / "two.onnx")
        assert (result.returncode, "is given twice" in result.stderr) == (2, True)


def test_mistakes_are_one_line_and_exit_code_2(tmp_path: Path) -> None:
    checkpoint = save_tiny_checkpoint("no_edges", tmp_path / "c.safetensors")
    output = tmp_path / "e.onnx"
    for arguments, words in (
        (("onnx", checkpoint, "-o", output), "neither --size nor --dynamic"),
        (("onnx", checkpoint, "--size", "16", "-o", output), "--size '16' is not HEIGHTxWIDTH"),
        (("onnx", checkpoint, "--size", "17x16", "-o", output), "multiples of 2"),
        (("onnx", tmp_path / "none.safetensors", "--dynamic", "-o", output), "does not exist"),
        (("validate", checkpoint, checkpoint), "is no whole ONNX file"),
        (("onnx", checkpoint, "--dynamic", "--normalization", "batch-stats", "-o", output), "no batch normalisation"),
        (("onnx", checkpoint, "--dynamic", "--stochastic", "-o", output), "--stochastic is no option"),
        (("report", "--sizes", "256x256,512"), "--sizes '512' is not"),
        (("import", checkpoint, "--family", "pix", "-o", tmp_path / "i.safetensors"), "'pix' is not one of"),
        (("engine", checkpoint, "-o", tmp_path / "e.engine"), "is no whole ONNX file"),
        (("import", checkpoint, "-o", tmp_path / "i.safetensors"), str(checkpoint)),
    ):
        result = export(*arguments)
        assert result.returncode == 2, result
        assert words in result.stderr
        assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


def test_translator_with_noise_in_a_mode(tmp_path: Path) -> None:
    checkpoint = save_tiny_checkpoint("unet", tmp_path / "c.safetensors")
    options = ("--size", "32x32", "--normalization", "running-stats", "--stochastic")
    result = export("onnx", checkpoint, *options, "-o", tmp_path / "e.onnx")
    assert (result.returncode, result.stderr) == (0, "")
    assert "running-stats" in result.stdout
    spec = read_spec(tmp_path / "e.onnx")
    assert (spec.normalization, [tensor.name for tensor in spec.inputs]) == ("running-stats", ["image", "seed"])
    assert export("validate", checkpoint, tmp_path / "e.onnx").returncode == 0


@needs_golden
def test_import_finds_out_whose_file_it_is(tmp_path: Path) -> None:
    source = GOLDEN / "pix2pix_unet128" / "latest_net_G.pth"
    result = export("import", source, "--no-dropout", "-o", tmp_path / "g.safetensors")
    assert (result.returncode, result.stderr) == (0, "")
    checkpoint = load_checkpoint(tmp_path / "g.safetensors")
    assert (checkpoint.family, checkpoint.architecture.dropout_blocks) == ("pix2pix", ())


@needs_golden
def test_import(tmp_path: Path) -> None:
    source = GOLDEN / "pix2pixhd_local_features"
    result = export(
        "import",
        source / "latest_net_G.pth",
        "--encoder",
        source / "latest_net_E.pth",
        "--discriminator",
        source / "latest_net_D.pth",
        "--styles",
        source / "features_clustered_010.npy",
        "--opt",
        source / "opt.txt",
        "-o",
        tmp_path / "g.safetensors",
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "feat_num" in result.stdout
    checkpoint = load_checkpoint(tmp_path / "g.safetensors")
    assert checkpoint.networks.keys() == {"generator", "encoder", "discriminator"}
    assert checkpoint.styles
