"""What the commands of export print of a checkpoint and of an engine."""

import re
from pathlib import Path

import pytest
from rich.console import Console

from export.onnx_from_checkpoint import export_onnx
from export.tables import checkpoint_table, engine_table
from runtime.commands.tables import count_words
from tests.tiny_models import save_tiny_checkpoint
from training.checkpoint import load_checkpoint


def printed(table: object) -> str:
    console = Console(width=120, record=True, quiet=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


@pytest.mark.parametrize(
    ("variant", "has", "lacks"),
    [
        ("unet", "use_skips", ("n_blocks", "upsampling")),
        ("resnet", "n_blocks", ("use_skips",)),
        ("local", "n_blocks", ()),
    ],
)
def test_a_checkpoint_shows_what_its_generator_has(
    variant: str, has: str, lacks: tuple[str, ...], tmp_path: Path
) -> None:
    path = save_tiny_checkpoint(variant, tmp_path / "c.safetensors")
    text = printed(checkpoint_table(load_checkpoint(path), path))
    assert has in text
    assert not any(name in text for name in lacks)


def test_a_small_network_costs_something(tmp_path: Path) -> None:
    path = save_tiny_checkpoint("unet", tmp_path / "c.safetensors")
    text = printed(engine_table(export_onnx(path, tmp_path / "e.onnx", size=(32, 32))[0]))
    assert re.search(r"[1-9]\d*\.\d\d M multiply-adds|0\.[0-9]*[1-9] M multiply-adds", text), text


def test_counts_in_words() -> None:
    words = [count_words(count) for count in (750_900_000_000, 10**9, 37_500_000, 12_345)]
    assert words == ["750.90 G", "1.00 G", "37.50 M", "0.01 M"]
