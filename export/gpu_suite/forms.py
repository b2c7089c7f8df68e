"""An engine in ONNX Runtime in its forms on a device: as a plain session, with bound buffers, and as a CUDA graph."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.gpu_suite.settings import Settings
from export.gpu_suite.stages import Tell
from export.gpu_suite.timing import clocked, measure
from runtime.bench.runners import runner_of
from runtime.engines.backend import Device, Engine
from runtime.engines.onnx_cuda_engine import OnnxCudaEngine
from runtime.engines.onnx_engine import OnnxEngine
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.spec import EngineSpec

Arrays = dict[str, NDArray[Any]]
PLAIN, BOUND, GRAPH = "plain session", "bound buffers", "CUDA graph"
GRAPH_WITHOUT_PINNED = "CUDA graph, without pinned memory"
FORMS = (GRAPH, BOUND, PLAIN)


def opened(path: Path, settings: Settings, form: str, options: Mapping[str, str] | None = None) -> Engine:
    """The engine in one of the forms above, with `options` of the CUDA provider."""
    spec, device = read_spec(path), Device.parse(settings.device)
    if form == PLAIN:
        return OnnxEngine(path, spec, settings.device)
    has_pinned_memory = form != GRAPH_WITHOUT_PINNED
    return OnnxCudaEngine(
        path, spec, device, use_graphs=form != BOUND, use_pinned_memory=has_pinned_memory, options=options
    )


class Tried:
    """An engine's inputs, and what the CPU makes of them."""

    def __init__(self, path: Path, size: tuple[int, int] | None = None, reference: Path | None = None) -> None:
        """`reference` is the engine that the CPU runs, where it is another."""
        self.path, self.spec = path, read_spec(path)
        self.example = runner_of(self.spec).example(self.spec, size)
        recorder = _Recorder(OnnxEngine(reference or path, read_spec(reference or path)))
        runner_of(self.spec)(recorder).run(**self.example, **_quick(self.spec))
        self.inputs, self.expected = recorder.inputs, recorder.outputs

    def tell_forms(self, settings: Settings, tell: Tell, name: str, forms: tuple[str, ...] = FORMS) -> None:
        """Every form of it, a result each; one that fails says why and leaves the others."""
        for form in forms:
            key = f"{name}, {form}"
            attempt(tell, key, lambda form=form: self.figures(settings, form))  # type: ignore[misc]

    def figures(self, settings: Settings, form: str, options: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Parity and times of one form."""
        engine, load_ms = clocked(lambda: opened(self.path, settings, form, options))
        try:
            outputs, first_ms = clocked(lambda: engine.run(self.inputs))
            found: dict[str, Any] = {
                "device": engine.device,
                "precision": self.spec.precision,
                "gflop": 2 * self.spec.cost.macs / 1e9,
                "load_ms": load_ms,
                "first_call_ms": first_ms,
                "parity": {tensor: _parity(self.expected[tensor], value) for tensor, value in outputs.items()},
                "call": measure(lambda: engine.run(self.inputs), settings.seconds),
            }
            if isinstance(engine, OnnxCudaEngine):
                found |= _bound_figures(engine, self.inputs, settings)
            runner = runner_of(self.spec)(engine)
            if self.spec.kind != "sketch":
                found["end_to_end"] = measure(lambda: runner.run(**self.example), settings.seconds)
            return found | {"notes": list(engine.skipped)}
        finally:
            engine.close()


def attempt(tell: Tell, key: str, figures: Callable[[], Any]) -> None:
    """Tell what comes of it, or why nothing does."""
    try:
        tell(key, figures())
    except Exception as error:  # noqa: BLE001 — whatever one figure dies of, the others are wanted
        tell(key, {"error": f"{type(error).__name__}: {error}"[:2000]})


def _bound_figures(engine: OnnxCudaEngine, inputs: Arrays, settings: Settings) -> dict[str, Any]:
    """Where the time of a call goes, and how it is made."""
    with engine.opened(inputs):
        session, call = engine.take(inputs)
        wait = session.wait
        parts = {
            "upload": measure(lambda: session.upload(call, inputs), settings.seconds / 3),
            "compute": measure(lambda: session.step(call, {}, is_first=True), settings.seconds, wait),
            "download": measure(lambda: session.download(call), settings.seconds / 3),
        }
        session.give(call)
    return {
        **parts,
        "has_graph": engine.has_graphs,
        "has_pinned_memory": engine.has_pinned_memory,
        "on_cpu": dict(engine.on_cpu),
    }


def _parity(expected: NDArray[Any], value: NDArray[Any]) -> dict[str, float]:
    """Grey levels for bytes; else the largest difference, and it as a share of the largest value."""
    difference = np.abs(value.astype(np.float64) - expected.astype(np.float64))
    found = {"largest": float(difference.max())}
    if expected.dtype == np.uint8:
        mean_square = float(np.mean(difference**2))
        found["over_1_level"] = float(np.mean(difference > 1))
        found["psnr_db"] = 10 * float(np.log10(255**2 / mean_square)) if mean_square else 999.0
        found["spread"] = float(expected.std())
    else:
        found["relative"] = found["largest"] / max(float(np.abs(expected).max()), 1e-30)
    return found


def _quick(spec: EngineSpec) -> dict[str, Any]:
    """A search of one step shows its inputs."""
    return {"iterations": 1, "stop_early": False} if spec.kind == "sketch" else {}


class _Recorder:
    """An engine that remembers the last call."""

    def __init__(self, engine: OnnxEngine) -> None:
        self._engine = engine
        self.spec, self.device, self.backend = engine.spec, engine.device, engine.backend
        self.skipped: tuple[str, ...] = ()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `runtime.engines.backend.Engine.run`."""
        self.inputs = {name: np.array(value) for name, value in inputs.items()}
        self.outputs = self._engine.run(inputs)
        return self.outputs

    def loop(self, inputs: Mapping[str, NDArray[Any]], carried: Mapping[str, str]) -> Any:
        """See `runtime.engines.backend.Engine.loop`."""
        return self._engine.loop(inputs, carried)

    def close(self) -> None:
        """See `runtime.engines.backend.Engine.close`."""
        self._engine.close()
