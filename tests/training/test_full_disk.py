"""A disk that is full while tensors are written: an error of ours, exit code 1, and never half a file."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from runtime.errors import OutputError
from tests.paths import ROOT
from tests.tiny_models import save_tiny_checkpoint, tiny_checkpoint
from training.checkpoint import save_checkpoint
from training.state import STATE_FILE, save_state
from training.writing import tensor_file

resource = pytest.importorskip("resource", reason="limits of a process are POSIX's")
LIMIT = 20_000  # bytes a file may have, as if the disk were full there


@pytest.fixture
def full_disk():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def save_some_state(path: Path) -> None:
    save_state(path.parent, 3, {"generator": torch.nn.Linear(100, 200)}, {"optimizers": {}})


@pytest.mark.parametrize(
    ("save", "name"),
    [(lambda path: save_checkpoint(tiny_checkpoint("local"), path), "c.safetensors"), (save_some_state, STATE_FILE)],
    ids=["checkpoint", "state"],
)
def test_the_previous_file_stays_whole(save: Callable[[Path], None], name: str, tmp_path: Path, full_disk) -> None:
    (tmp_path / name).write_bytes(b"previous")
    with pytest.raises(OutputError, match=rf"cannot write .*{name}: File too large"):
        save(tmp_path / name)
    assert (tmp_path / name).read_bytes() == b"previous"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_other_failures_of_the_writers_are_not_the_disks(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a fault of the program"), tensor_file(tmp_path / "x"):
        raise RuntimeError("a fault of the program")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["untrained", "import", pytest.param("onnx", marks=pytest.mark.nightly)])
def test_commands_end_with_1(command: str, tmp_path: Path) -> None:
    source = save_tiny_checkpoint("local", tmp_path / "source.safetensors")
    torch.save({"model.model.0.weight": torch.zeros(1)}, tmp_path / "net_G.pth")
    lines = {
        "untrained": ("training", "untrained", "pix2pixhd", "smoke", "-o", tmp_path / "out.safetensors"),
        "import": ("export", "import", foreign_file(tmp_path), "-o", tmp_path / "out.safetensors"),
        "onnx": ("export", "onnx", source, "--size", "32x32", "-o", tmp_path / "out.onnx"),
    }
    result = subprocess.run(
        [sys.executable, "-B", "-m", *map(str, lines[command])],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=300,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT)),
    )
    assert result.returncode == 1, result.stderr
    assert "File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.glob("out*")) + list(tmp_path.glob(".*"))


def foreign_file(folder: Path) -> Path:
    from tests.training.junyanz_networks import UNet

    torch.save(UNet(3, 3, 5, 4, "batch").state_dict(), folder / "net_G.pth")
    return folder / "net_G.pth"
