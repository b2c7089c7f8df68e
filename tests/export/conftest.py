"""Exports are slow, so each is made once for all tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from export.onnx_from_checkpoint import Exported, export_onnx
from tests.tiny_models import save_tiny_checkpoint

SIZE = (32, 48)

Tiny = Callable[..., list[Exported]]


@pytest.fixture(scope="session")
def tiny_engines(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """(variant, precision, dynamic, …) → engines of a checkpoint, which is model.safetensors beside them."""
    made: dict[tuple[str | bool | None, ...], list[Exported]] = {}

    def engines(
        variant: str,
        precision: str = "fp32",
        dynamic: bool = False,
        normalization: str | None = None,
        stochastic: bool = False,
    ) -> list[Exported]:
        key = (variant, precision, dynamic, normalization, stochastic)
        if key not in made:
            folder: Path = tmp_path_factory.mktemp(variant)
            checkpoint = save_tiny_checkpoint(variant, folder / "model.safetensors")
            size = None if dynamic else SIZE
            made[key] = export_onnx(
                checkpoint,
                folder / "model.onnx",
                size=size,
                precision=precision,
                normalization=normalization,
                options={"stochastic": True} if stochastic else {},
            )
        return made[key]

    return engines
