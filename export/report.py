"""The computational burden of pix2pix and pix2pixHD side by side: the comparison that the papers leave open.

Weights decide nothing here, so the networks get their initial ones. Engines are made, measured and removed one at a
time, and each is measured in a process of its own.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from export.onnx_from_checkpoint import Report, export_onnx
from runtime.bench.inputs import generated_input
from runtime.bench.measure import machine, measure
from runtime.engines.spec import EngineSpec
from runtime.errors import InputError
from training.checkpoint import Checkpoint, save_checkpoint
from training.class_tables import class_table
from training.networks import family_networks, pix2pix, pix2pixhd
from training.networks.layers import initialise

_MAX_RUNS = 10_000


@dataclass(frozen=True)
class Network:
    """One network of the table: its family, what to call it, and its architecture."""

    family: str
    title: str
    architecture: Any


NETWORKS = (
    Network("pix2pix", "pix2pix, U-Net of 8 levels", pix2pix.Architecture()),
    Network("pix2pixhd", "pix2pixHD, one local enhancer", pix2pixhd.Architecture(ngf=32, n_enhancers=1)),
)


@dataclass(frozen=True)
class Row:
    """One network at one size."""

    title: str
    spec: EngineSpec
    engine_bytes: int
    p50_ms: float
    peak_memory_mb: float


def cost_rows(
    sizes: Sequence[tuple[int, int]],
    runs: int,
    report: Report = lambda step: None,
    networks: Sequence[Network] = NETWORKS,
    precision: str = "fp32",
) -> list[Row]:
    """Export and measure every network at every size, on the CPU.

    Args:
        sizes: (H, W) of the images.
        runs: measured calls of each engine.
        report: called with the name of each step as it starts.
        networks: what to compare.
        precision: of the engines.

    Raises:
        InputError: `runs` is not a possible number.
        ExportError: a network does not take a size.
        DeviceError: an engine does not fit into the memory.
    """
    if not 1 <= runs <= _MAX_RUNS:
        raise InputError(f"--runs is {runs}, expected a number from 1 to {_MAX_RUNS}")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for network in networks:
            checkpoint = Path(name) / "initial.safetensors"
            save_checkpoint(initial_checkpoint(network), checkpoint)
            for size in sizes:
                where = f"{network.title} at {size[0]}x{size[1]}"
                engine = Path(name) / "engine.onnx"
                (exported,) = export_onnx(
                    checkpoint,
                    engine,
                    size=size,
                    precision=precision,
                    report=lambda step, w=where: report(f"{w}: {step}"),  # type: ignore[misc]
                )
                report(f"{where}: measure")
                rows.append(_measured(network.title, engine, exported.spec, runs))
                engine.unlink()
    return rows


def markdown(rows: Sequence[Row], system: Mapping[str, Any] | None = None) -> str:
    """The table, and what it was measured on."""
    system = system or machine()
    lines = [
        "| network | size | parameters | multiply-adds | engine | activations | latency p50 | peak memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cost = row.spec.cost
        cells = (
            row.title,
            f"{cost.size[0]}×{cost.size[1]}",
            f"{cost.parameters / 1e6:,.1f} M",
            f"{cost.macs / 1e9:,.1f} G",
            f"{row.engine_bytes / 1e6:,.0f} MB",
            f"{cost.activation_bytes / 1e6:,.0f} MB",
            f"{row.p50_ms:,.0f} ms",
            f"{row.peak_memory_mb:,.0f} MB",
        )
        lines.append(f"| {' | '.join(cells)} |")
    precision = ", ".join(dict.fromkeys(row.spec.precision for row in rows))
    lines += [
        "",
        f"{precision}, ONNX Runtime on {system['cpu']}, {system['cores']} cores, {system['system']}. One image a call; "
        "latency from bytes to bytes; multiply-adds are the engine's, whose U-Net saves some; activations are the "
        "graph's least, peak memory is the process's, weights and libraries included.",
    ]
    return "\n".join(lines) + "\n"


def initial_checkpoint(network: Network) -> Checkpoint:
    """A network as training begins with it, always the same."""
    torch.manual_seed(0)
    generators = family_networks(network.family).build(network.architecture)
    for generator in generators.values():
        initialise(generator)
    labels = class_table(getattr(network.architecture, "label_nc", 0))
    states = {name: generator.state_dict() for name, generator in generators.items()}
    return Checkpoint(network.family, network.architecture, states, labels)


def _measured(title: str, engine: Path, spec: EngineSpec, runs: int) -> Row:
    scene = generated_input(spec, noise=False)
    (figures,) = measure([engine], scene, runs, 1, device="cpu")["engines"]
    return Row(title, spec, engine.stat().st_size, figures["p50_ms"], figures["peak_memory_mb"])
