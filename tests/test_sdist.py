"""The source distribution holds what git holds, and its own tests run from it."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.paths import ROOT

pytest.importorskip("setuptools", reason="builds without network take the setuptools that is installed")
MADE = ("PKG-INFO", "setup.cfg", "pix2rt.egg-info/")
BUILD = "from setuptools import build_meta; import sys; print(build_meta.build_sdist(sys.argv[1]))"


def tracked() -> list[str]:
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    line = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(
        line, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=60
    ).stdout
    return sorted(name for name in listed.split("\0") if name and (ROOT / name).is_file())


def run(*line: str, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    result = subprocess.run(
        [sys.executable, *line],
        cwd=cwd,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=400,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution of a copy of the tracked files, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    for name in tracked():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / "source" / name)
    archive = run("-c", BUILD, str(folder), cwd=folder / "source").splitlines()[-1]
    with tarfile.open(folder / archive) as tar:
        tar.extractall(folder / "unpacked", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (found,) = (folder / "unpacked").iterdir()
    return found


def test_it_holds_all_files_and_no_others(unpacked: Path) -> None:
    files = (path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file())
    assert sorted(name for name in files if not name.startswith(MADE)) == tracked()


def test_some_of_its_tests_run(unpacked: Path) -> None:
    some = ("tests/runtime/test_files.py", "tests/export/test_parity.py")
    assert " passed" in run("-m", "pytest", "-n", "0", "-p", "no:cacheprovider", *some, cwd=unpacked)


@pytest.mark.nightly
def test_all_its_tests_are_found(unpacked: Path) -> None:
    """They are imported from it, with all data that they read at once."""
    found = run("-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "--collect-only", "-q", cwd=unpacked)
    assert "error" not in found.splitlines()[-1]
