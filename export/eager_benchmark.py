"""An engine, and the networks of its checkpoint in torch eager, in turns: bytes to bytes on the CPU."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.in_turns import in_turns, require_turns, shown_ms, speedup, table
from export.onnx_from_checkpoint import Report, check_size
from export.validate import graph_of
from runtime.engines.engine import open_engine
from runtime.engines.spec import EngineSpec
from runtime.errors import InputError
from training.checkpoint import load_checkpoint, sha256_of

_SEED = 20261127
_DYNAMIC_SIZE = (512, 512)


@dataclass(frozen=True)
class EagerTimes:
    """Milliseconds of a call, one value a turn.

    Attributes:
        spec: of the engine.
        backend: that ran it.
        size: (H, W) of the image.
        engine_ms: of the engine.
        torch_ms: of the networks as they were trained, float32, without gradients, from bytes to bytes.
    """

    spec: EngineSpec
    backend: str
    size: tuple[int, int]
    engine_ms: list[float]
    torch_ms: list[float]

    @property
    def speedup(self) -> float:
        """See `export.in_turns.speedup`."""
        return speedup(self.torch_ms, self.engine_ms)


def eager_times(
    checkpoint_path: Path,
    engine_path: Path,
    size: tuple[int, int] | None = None,
    turns: int = 9,
    threads: int | None = None,
    report: Report = lambda step: None,
) -> EagerTimes:
    """Measure both on a synthetic example of the family.

    Args:
        checkpoint_path: that the engine was made of.
        engine_path: an `.onnx` engine.
        size: of the image, for an engine of any size; None for the engine's own, else 512×512.
        turns: calls of each, after one that does not count.
        threads: CPU threads of both; None for their own choice.
        report: called with the name of each step as it starts.

    Raises:
        InputError: the two do not belong together, `turns` or `size` is not possible, or torch alone does not make what
            the engine makes (an inpainter's matches come from the engine; a search has `report completion`).
    """
    require_turns(turns)
    report("read checkpoint")
    checkpoint = load_checkpoint(checkpoint_path)
    with closing(open_engine(engine_path, "cpu", threads=threads)) as engine:
        spec = engine.spec
        if spec.checkpoint_sha256 != sha256_of(checkpoint_path):
            raise InputError(f"engine {engine_path} was not made of {checkpoint_path}; give its own checkpoint")
        if size and spec.size and size != spec.size:
            raise InputError(f"engine {engine_path} is of {spec.size[0]}x{spec.size[1]} only; leave out --size")
        graph = graph_of(checkpoint, engine_path, spec)
        if graph.reference is None or spec.kind == "sketch":
            raise InputError(f"a {spec.kind} is not compared with torch eager here; `pix2rt bench` compares backends")
        size = spec.size or size or _DYNAMIC_SIZE
        check_size(graph, size)
        inputs, reference = graph.examples(1, *size, np.random.default_rng(_SEED)), graph.reference
        report("measure")
        calls = (lambda: engine.run(inputs), lambda: reference(inputs))
        engine_ms, torch_ms = in_turns(calls, turns, threads)
    return EagerTimes(spec, engine.backend, size, engine_ms, torch_ms)


def markdown(times: EagerTimes) -> str:
    """The figures, and what they were measured on."""
    ratios = np.divide(times.torch_ms, times.engine_ms)
    rows = [
        ("image", f"{times.size[1]}×{times.size[0]}"),
        (f"engine, {times.backend}", shown_ms(times.engine_ms)),
        ("torch eager", shown_ms(times.torch_ms)),
        ("engine is faster by", f"{times.speedup:.2f}× ({ratios.min():.2f} to {ratios.max():.2f})"),
    ]
    return table(rows)
