"""Where a native engine's time goes: its steps by themselves, against what the processor can multiply."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from numpy.typing import NDArray

from runtime.bench.inputs import BenchInput, require_arrays
from runtime.bench.runners import bench_spec, runner_of
from runtime.engines.backend import Loop
from runtime.engines.engine import open_engine
from runtime.engines.native_engine import NativeEngine, Timing


@dataclass(frozen=True)
class Layers:
    """Steps that are alike.

    Attributes:
        step: kind, kernel, channels and size of what it writes.
        count: how many there are.
        seconds: of all of them together, each in its quickest run.
        products: multiply-adds of all of them in the direct form; 0 where these are not what counts. Winograd's form
            needs down to a quarter, so it may exceed the peak.
    """

    step: str
    count: int
    seconds: float
    products: int

    @property
    def operations_per_s(self) -> float:
        """Floating-point operations a second, a multiply-add being two."""
        return 2 * self.products / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class Profile:
    """Of one engine on one input.

    Attributes:
        layers: those that take longest first.
        instruction_set: of the kernels.
        threads: that share a call.
        peak: floating-point operations a second that the threads together reach in the innermost loop, measured.
    """

    layers: tuple[Layers, ...]
    instruction_set: str
    threads: int
    peak: float

    @property
    def seconds(self) -> float:
        return sum(one.seconds for one in self.layers)


def profile(
    path: Path,
    scene: BenchInput,
    runs: int,
    *,
    threads: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Profile:
    """Run an engine in native kernels and take the time of every step; arguments as in `runtime.bench.measure`.

    Raises:
        DeviceError: there are no native kernels here, or none for this engine.
        Pix2rtError: the engine cannot be opened, or refuses the input.
    """
    spec = bench_spec(path)
    arrays = require_arrays(spec, path, scene)
    engine = cast(NativeEngine, open_engine(path, "cpu", backend="native", threads=threads))
    recorder = _Recorder(engine)
    quickest: list[Timing] = []
    with runner_of(spec, str(path))(recorder) as runner:
        for _ in range(runs):
            recorder.timings.clear()
            runner.run(**arrays, **runner.bench_options)
            pairs = zip(quickest or recorder.timings, recorder.timings, strict=True)
            quickest = [min(pair, key=lambda timing: timing.seconds) for pair in pairs]
            progress()
        return Profile(_grouped(quickest), engine.instruction_set, engine.threads, engine.peak())


def _grouped(timings: list[Timing]) -> tuple[Layers, ...]:
    groups: dict[str, list[Timing]] = {}
    for timing in timings:
        groups.setdefault(timing.step, []).append(timing)
    layers = (
        Layers(step, len(group), sum(one.seconds for one in group), sum(one.products for one in group))
        for step, group in groups.items()
    )
    return tuple(sorted(layers, key=lambda one: -one.seconds))


class _Recorder:
    """An engine that keeps what its steps took. See `runtime.engines.backend.Engine`."""

    def __init__(self, engine: NativeEngine) -> None:
        self._engine = engine
        self.spec, self.device, self.backend, self.skipped = engine.spec, engine.device, engine.backend, engine.skipped
        self.timings: list[Timing] = []

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        outputs, timings = self._engine.profile(inputs)
        self.timings += timings
        return outputs

    def loop(self, inputs: Mapping[str, NDArray[Any]], carried: Mapping[str, str]) -> Loop:
        return self._engine.loop(inputs, carried)

    def close(self) -> None:
        self._engine.close()
