"""Exports are slow, so each is made once for all tests, of all processes that share a run."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from export.onnx_from_checkpoint import Exported, export_onnx
from tests.tiny_models import save_tiny_checkpoint

SIZE = (32, 48)

Tiny = Callable[..., list[Exported]]
Once = Callable[[str, Callable[[Path], list[Exported]]], list[Exported]]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """(name, function of a folder → engines) → its engines, made by whoever asks first."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "engines"
    root.mkdir(exist_ok=True)

    def once(name: str, make: Callable[[Path], list[Exported]]) -> list[Exported]:
        folder = root / name
        with FileLock(root / f"{name}.lock"):
            made = folder / "made.pickle"
            if not made.exists():
                folder.mkdir(exist_ok=True)
                made.write_bytes(pickle.dumps(make(folder)))
            engines: list[Exported] = pickle.loads(made.read_bytes())
            return engines

    return once


@pytest.fixture(scope="session")
def tiny_engines(made_once: Once) -> Tiny:
    """(variant, precision, dynamic, …) → engines of a checkpoint, which is model.safetensors beside them."""

    def engines(
        variant: str,
        precision: str = "fp32",
        dynamic: bool = False,
        normalization: str | None = None,
        stochastic: bool = False,
    ) -> list[Exported]:
        def make(folder: Path) -> list[Exported]:
            return export_onnx(
                save_tiny_checkpoint(variant, folder / "model.safetensors"),
                folder / "model.onnx",
                size=None if dynamic else SIZE,
                precision=precision,
                normalization=normalization,
                options=options,
            )

        options: dict[str, Any] = {"stochastic": True} if stochastic else {}
        return made_once(f"{variant}-{precision}-{dynamic}-{normalization}-{stochastic}", make)

    return engines
