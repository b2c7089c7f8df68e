"""What the commands print when they are done."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Column, Table

from export.onnx_from_checkpoint import Exported
from export.validate import ParityRow
from runtime.commands.tables import count_words
from runtime.engines.spec import TensorSpec
from training.checkpoint import Checkpoint

_OF_THE_OTHER = {"unet": ("n_blocks", "upsampling"), "resnet": ("use_skips",)}  # fields that say nothing of a generator


def checkpoint_table(checkpoint: Checkpoint, path: Path) -> Table:
    """Everything that was inferred about a checkpoint."""
    table = _facts(str(path))
    table.add_row("family", checkpoint.family)
    architecture = asdict(checkpoint.architecture)
    for name, value in architecture.items():
        if name not in _OF_THE_OTHER.get(architecture.get("generator", ""), ()):
            table.add_row(name, str(value))
    for name, state in checkpoint.networks.items():
        count = sum(tensor.numel() for tensor in state.values())
        table.add_row(name, f"{len(state)} tensors, {count / 1e6:,.2f} M parameters")
    if checkpoint.styles:
        table.add_row("styles", f"{len(checkpoint.styles)} classes, {sum(map(len, checkpoint.styles.values()))} styles")
    return table


def engine_table(engine: Exported) -> Table:
    """Tensors, cost and parity of an engine that was written."""
    spec = engine.spec
    table = _facts(str(engine.path))
    table.add_row("kind", f"{spec.kind}, {spec.precision}")
    table.add_row("normalisation", spec.normalization)
    for tensor in spec.inputs:
        table.add_row("input", _tensor(tensor))
    for tensor in spec.outputs:
        table.add_row("output", _tensor(tensor))
    cost = spec.cost
    table.add_row(f"cost at {cost.size[0]}x{cost.size[1]}", f"{count_words(cost.macs)} multiply-adds")
    table.add_row(
        "memory", f"{cost.weight_bytes / 1e6:,.1f} MB weights, {cost.activation_bytes / 1e6:,.1f} MB activations"
    )
    table.add_row("parity", ", ".join(f"{name} {value:.4g}" for name, value in spec.parity.items()))
    table.add_row("compared in", ", ".join(engine.backends))
    table.add_row("program", f"none: {engine.obstacle}" if engine.obstacle else "yes, for native kernels")
    return table


def parity_table(rows: Sequence[ParityRow]) -> Table:
    """One line an engine."""
    columns = ("precision", "names", "shapes", "grey levels", "PSNR dB", "bytes differ", "floats differ", "verdict")
    table = Table(Column("engine", overflow="fold"), *columns)
    for row in rows:
        figures = ["–"] * 4
        if row.parity:
            figures = [
                f"{row.parity.max_grey_levels:.4g}",
                f"{row.parity.psnr_db:.1f}",
                f"{row.parity.differing_bytes:.3%}",
                "–" if row.parity.float_difference is None else f"{row.parity.float_difference:.2g}",
            ]
        verdict = "[red]differs[/red]" if row.failure else "[green]equal[/green]"
        table.add_row(row.engine, row.precision, _mark(row.names_fit), _mark(row.shapes_fit), *figures, verdict)
    return table


def _facts(title: str) -> Table:
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    return table


def _tensor(tensor: TensorSpec) -> str:
    return f"{tensor.name} {tensor.dtype} \\[{', '.join(map(str, tensor.shape))}]"


def _mark(fits: bool | None) -> str:
    return "–" if fits is None else ("fit" if fits else "[red]differ[/red]")
