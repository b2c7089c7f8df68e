"""Engines in ONNX, run by OpenVINO on the CPU. The only module that imports openvino."""

import sys
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec
from runtime.errors import ClosedError, DeviceError, EngineFormatError

# OpenVINO's converter, which we do not call, reports usage to its vendor; without this module it cannot.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402  after that


class OpenVinoEngine:
    """A compiled model that does what `spec` says. See `runtime.engines.backend.Engine`."""

    backend = "openvino"
    device = "cpu"
    skipped: tuple[str, ...] = ()

    def __init__(self, source: EngineSource, spec: EngineSpec, threads: int | None = None) -> None:
        """Load the weights; the errors are those of `runtime.engines.engine.open_engine`."""
        self.spec = spec
        self._source = source
        # Where the CPU has bfloat16, OpenVINO computes "fp32" in it unless told otherwise.
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            core = openvino.Core()
            model = core.read_model(source.data if source.data is not None else str(source.path))
            self._model: Any = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise EngineFormatError(
                f"engine {source} is refused by OpenVINO {openvino.__version__}: {_last_line(error)}; "
                "run it with backend='auto'"
            ) from error
        for role, tensors, ports in (
            ("input", spec.inputs, self._model.inputs),
            ("output", spec.outputs, self._model.outputs),
        ):
            for tensor in tensors:
                if not any(tensor.name in port.names for port in ports):
                    raise EngineFormatError(f"engine {source}: OpenVINO finds no {role} {tensor.name}; export it again")
        self._idle: SimpleQueue[Any] = SimpleQueue()  # requests, each with memory of its own: one call at a time

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `runtime.engines.backend.Engine.run`."""
        model = self._model
        if model is None:
            raise ClosedError(f"engine {self._source} was closed; open it again")
        try:
            try:
                request = self._idle.get_nowait()
            except Empty:
                request = model.create_infer_request()
            request.infer(dict(inputs), share_inputs=True)
            outputs = {tensor.name: np.array(request.get_tensor(tensor.name).data) for tensor in self.spec.outputs}
        except RuntimeError as error:
            sizes = ", ".join(f"{name} {list(value.shape)}" for name, value in inputs.items())
            raise DeviceError(
                f"engine {self._source} failed in OpenVINO for {sizes}: {_last_line(error)}; if memory is short, "
                "`python -m runtime info` shows what it needs"
            ) from error
        self._idle.put(request)
        return outputs

    def loop(self, inputs: Mapping[str, NDArray[Any]], carried: Mapping[str, str]) -> "OpenVinoLoop":
        """See `runtime.engines.backend.Engine.loop`."""
        return OpenVinoLoop(self, inputs, carried)

    def close(self) -> None:
        """See `runtime.engines.backend.Engine.close`."""
        self._model = None
        self._idle = SimpleQueue()


class OpenVinoLoop:
    """Calls of one engine, whose outputs become inputs as they are. See `runtime.engines.backend.Loop`."""

    def __init__(self, engine: OpenVinoEngine, inputs: Mapping[str, NDArray[Any]], carried: Mapping[str, str]) -> None:
        self._engine, self._inputs, self._carried = engine, dict(inputs), carried
        self._outputs: dict[str, NDArray[Any]] = {}

    def step(self) -> None:
        """See `runtime.engines.backend.Loop.step`."""
        self._inputs |= {name: self._outputs[output] for output, name in self._carried.items() if self._outputs}
        self._outputs = self._engine.run(self._inputs)

    def fetch(self, name: str) -> NDArray[Any]:
        """See `runtime.engines.backend.Loop.fetch`."""
        return self._outputs[name].copy()


def _last_line(error: Exception) -> str:
    """What happened; the lines before it name places in OpenVINO's source."""
    return str(error).strip().splitlines()[-1].strip()
