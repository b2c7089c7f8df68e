"""Where reference outputs and real data lie: outside the project, in the folder `shared` beside the checkout."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("PIX2RT_SHARED", ROOT.parent / "shared"))
GOLDEN = SHARED / "golden"
DATA = SHARED / "data"
CASES = SHARED / "cases"  # files of users that once failed

needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="no golden outputs beside this checkout; CI has them")
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="no files of users beside this checkout; CI has them")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="real data is not beside this checkout; CI has it")


def copy_folder(source: Path, target: Path, *ignored: str) -> Path:
    """A copy that can be changed, also where the checkout cannot."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", *ignored))
    for path in (target, *target.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)
    return target
