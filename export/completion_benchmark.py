"""One step of a sketch's completion as an engine, in ONNX Runtime and by torch eager, in turns."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.in_turns import in_turns, require_turns, shown_ms, speedup, table
from export.inference_modules.contextual_gan import reference_step
from export.onnx_from_checkpoint import Report, export_onnx
from runtime.bench.inputs import generated_input
from runtime.bench.measure import measure
from runtime.engines.backend import Engine
from runtime.engines.engine import open_engine
from runtime.engines.onnx_engine import OnnxEngine
from runtime.engines.spec import EngineSpec
from runtime.errors import InputError
from runtime.runners.search import Search
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.networks.contextual_gan import Architecture, build

_STEPS = 5  # of one turn
_CARRIED = {"next_z": "z", "next_velocity": "velocity"}
_SCALARS = ("learning_rate", "momentum", "perceptual_weight", "z_limit")


@dataclass(frozen=True)
class StepTimes:
    """Milliseconds of a step, one value a turn; and a whole search of 500 steps by the runtime.

    Attributes:
        spec: of the engine.
        backend: that "auto" takes.
        engine_ms: of the engine there.
        onnxruntime_ms: of the engine in ONNX Runtime.
        torch_ms: of torch eager.
        search_s: 500 steps, 10 candidates, host work included.
        peak_memory_mb: of the process that searches.
    """

    spec: EngineSpec
    backend: str
    engine_ms: list[float]
    onnxruntime_ms: list[float]
    torch_ms: list[float]
    search_s: float
    peak_memory_mb: float

    @property
    def speedup(self) -> float:
        """See `export.in_turns.speedup`."""
        return speedup(self.torch_ms, self.engine_ms)


def step_times(
    checkpoint_path: Path | None, turns: int, threads: int | None, report: Report = lambda step: None
) -> StepTimes:
    """Export a checkpoint, or the paper's network with initial weights, and measure it on the CPU.

    Args:
        checkpoint_path: of a Contextual GAN; None for the paper's network.
        turns: of each; in a turn it does five steps.
        threads: CPU threads of both; None for their own choice.
        report: called with the name of each step as it starts.

    Raises:
        InputError: `turns` is not a possible number, or the checkpoint is of another family.
    """
    require_turns(turns)
    checkpoint = load_checkpoint(checkpoint_path) if checkpoint_path else _papers()
    if not isinstance(checkpoint.architecture, Architecture):
        raise InputError(f"{checkpoint_path} holds a {checkpoint.family} network, expected contextual_gan")
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "step.onnx"
        save_checkpoint(checkpoint, path.with_suffix(".safetensors"))
        exported = export_onnx(path.with_suffix(".safetensors"), path, report=report)[0]
        report("measure steps")
        engine = open_engine(path, "cpu", threads=threads)
        engine_ms, onnxruntime_ms, torch_ms = _in_turns(checkpoint, engine, path, turns, threads)
        engine.close()
        report("measure a search")
        scene = generated_input(exported.spec, noise=False)
        search = measure([path], scene, 1, 1, device="cpu", threads=threads)["engines"][0]
    times = (engine_ms, onnxruntime_ms, torch_ms)
    return StepTimes(exported.spec, engine.backend, *times, search["p50_ms"] / 1000, search["peak_memory_mb"])


def markdown(times: StepTimes) -> str:
    """The figures, and what they were measured on."""
    cost = times.spec.cost
    flops = 2 * cost.macs / 1e9
    rows = [
        ("parameters", f"{cost.parameters / 1e6:.1f} M"),
        ("work of a step", f"{flops:.2f} GFLOP"),
        ("backend", times.backend),
        ("engine, step", shown_ms(times.engine_ms)),
        ("in ONNX Runtime, step", shown_ms(times.onnxruntime_ms)),
        ("torch eager, step", shown_ms(times.torch_ms)),
        ("engine is faster by", f"{times.speedup:.2f}×"),
        ("engine, arithmetic", f"{flops / np.median(times.engine_ms) * 1000:.0f} GFLOP/s"),
        ("search of 500 steps", f"{times.search_s:.1f} s"),
        ("peak memory of it", f"{times.peak_memory_mb:.0f} MB"),
    ]
    return table(rows)


def _in_turns(
    checkpoint: Checkpoint, engine: Engine, path: Path, turns: int, threads: int | None
) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of the engine, of ONNX Runtime and of torch eager."""
    a: Architecture = checkpoint.architecture
    rng = np.random.default_rng(0)
    known = np.zeros((1, *a.size), np.uint8)
    known[:, :, : a.size[0]] = 255
    arrays: dict[str, NDArray[Any]] = {
        "observed": rng.integers(0, 256, (1, *a.size, 3), np.uint8),
        "known_mask": known,
        "z": rng.uniform(-1, 1, (1, a.z_nc)).astype(np.float32),
        "velocity": np.zeros((1, a.z_nc), np.float32),
        **{name: np.array([getattr(Search, name)], np.float32) for name in _SCALARS},
    }
    loop = engine.loop(arrays, _CARRIED)
    other = OnnxEngine(path, engine.spec, "cpu", threads).loop(arrays, _CARRIED)
    networks, state = checkpoint.build(), dict(arrays)

    def torch_step() -> None:
        made = reference_step(networks, state)
        state.update({name: made[output] for output, name in _CARRIED.items()})

    engine_ms, onnxruntime_ms, torch_ms = in_turns((loop.step, other.step, torch_step), turns, threads, _STEPS)
    return engine_ms, onnxruntime_ms, torch_ms


def _papers() -> Checkpoint:
    torch.manual_seed(0)
    states = {name: network.state_dict() for name, network in build(Architecture()).items()}
    return Checkpoint("contextual_gan", Architecture(), states, normalization="running-stats")
