"""An onnxruntime session whose inputs and outputs stay at fixed addresses of a device, one call at a time.

So nothing is allocated between calls, and CUDA can capture a call as a graph and replay it: one launch in the place of
hundreds. A graph holds on to the addresses that it was captured with, so its tensors live as long as the session.
"""

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.backend import Device
from runtime.engines.device_memory import Cuda, capturing
from runtime.engines.onnx_engine import LOAD_ERRORS, empty_value, open_session, reason, run_options
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec
from runtime.engines.transfers import BlockingTransfer, StreamTransfer, Transfer
from runtime.errors import DeviceError

Arrays = Mapping[str, NDArray[Any]]
Shapes = tuple[tuple[str, tuple[int, ...]], ...]  # of the inputs
MOST_GRAPHS = (
    8  # captured calls of a session: further shapes, and further loops at once, run as onnxruntime queues them
)
MOST_IDLE = 8  # calls without a graph that wait for their shape to come again
_NO_GRAPH = -1
_GRAPH_ID = "gpu_graph_id"
_NO_WAIT = "disable_synchronize_execution_providers"
_RECORD = "session.record_ep_graph_assignment_info"
_CPU = "CPUExecutionProvider"


class CapturingError(DeviceError):
    """A call cannot be captured as a CUDA graph; the session that tried is of no use any more."""


class Call:
    """The tensors of calls with inputs of one shape, bound to a session.

    Attributes:
        shapes: of the inputs.
        graph: id of the graph that replays the call; −1 where onnxruntime queues it node by node.
        inputs, outputs: OrtValues by name.
        threads: that have captured it: onnxruntime keeps the graphs of each thread apart.
    """

    def __init__(
        self, session: Any, device: Device, inputs: Arrays, outputs: Mapping[str, Any], graph: int, has_stream: bool
    ) -> None:
        """Allocate for arrays like `inputs`; `outputs` are (shape, dtype) by name."""
        self.shapes, self.graph = shapes_of(inputs), graph
        self.threads: set[int] = set()
        self.inputs = {name: empty_value(a.shape, str(a.dtype), device) for name, a in inputs.items()}
        self.outputs = {name: empty_value(shape, dtype, device) for name, (shape, dtype) in outputs.items()}
        self.options = run_options({_GRAPH_ID: str(graph), **({_NO_WAIT: "1"} if has_stream else {})})
        self.binding = session.io_binding()
        for name, value in self.inputs.items():
            self.binding.bind_ortvalue_input(name, value)
        for name, value in self.outputs.items():
            self.binding.bind_ortvalue_output(name, value)


def shapes_of(inputs: Arrays) -> Shapes:
    """By name, in the names' order."""
    return tuple(sorted((name, value.shape) for name, value in inputs.items()))


class BoundSession:
    """A session and its calls; for one thread at a time.

    Attributes:
        has_graphs: whether calls are captured.
        on_cpu: operators of the engine's nodes that run on the CPU, though the device is a GPU, with their numbers;
            empty where onnxruntime does not tell.
    """

    def __init__(
        self,
        source: EngineSource,
        spec: EngineSpec,
        device: Device,
        threads: int | None = None,
        *,
        use_graphs: bool,
        cuda: Cuda | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Load the weights.

        Args:
            source: of the engine.
            spec: its specification.
            device: where it runs.
            threads: CPU threads of one call.
            use_graphs: whether CUDA graphs are captured; onnxruntime opens no such session for what cannot be.
            cuda: the GPU, for pinned memory and a stream; None to let onnxruntime copy.
            options: further options of onnxruntime's CUDA provider.

        Raises:
            EngineFormatError, DeviceError: as `open_session`.
        """
        self._spec, self._device = spec, device
        self._transfer: Transfer = StreamTransfer(cuda) if cuda else BlockingTransfer()
        self._idle: list[Call] = []
        self._returned: deque[Call] = deque()
        self._output_shapes: dict[Shapes, dict[str, tuple[int, ...]]] = {}
        self._graphs = 0
        self.has_graphs = use_graphs
        wanted = {**(options or {}), "enable_cuda_graph": str(int(use_graphs))}
        if self._transfer.stream:
            wanted["user_compute_stream"] = str(self._transfer.stream)
        try:
            self._session = open_session(
                source, spec, device, threads, cuda_options=wanted, session_options={_RECORD: "1"}
            )
        except BaseException:
            self._transfer.close()
            raise
        self.on_cpu = _nodes_on_cpu(self._session) if device.type != "cpu" else {}

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Arrays in, fresh arrays out.

        Raises:
            CapturingError: see `take`.
        """
        call = self.take(inputs)
        self._transfer.upload(call.inputs, inputs)
        self._execute(call)
        outputs = self._transfer.download(call.outputs)
        self.give(call)
        return outputs

    def take(self, inputs: Arrays) -> Call:
        """A call for arrays of these shapes, for this caller alone until `give`.

        Raises:
            CapturingError: it cannot be captured; the session must be opened anew without graphs.
        """
        self._transfer.activate()
        while self._returned:
            self.give(self._returned.popleft())
        shapes = shapes_of(inputs)
        found = next((call for call in self._idle if call.shapes == shapes), None)
        if found:
            self._idle.remove(found)
            return found
        has_graph = self.has_graphs and self._graphs < MOST_GRAPHS
        self._graphs += has_graph
        graph = self._graphs if has_graph else _NO_GRAPH
        call = Call(
            self._session, self._device, inputs, self._outputs(shapes, inputs), graph, bool(self._transfer.stream)
        )
        if has_graph:
            self._transfer.upload(call.inputs, inputs)
            self._execute(call)
            self._transfer.wait()
        return call

    def give(self, call: Call) -> None:
        """The call is free again. What was captured is kept; of the others, those that were used last."""
        self._idle.append(call)
        plain = [one for one in self._idle if one.graph == _NO_GRAPH]
        if len(plain) > MOST_IDLE:
            self._idle.remove(plain[0])

    def give_soon(self, call: Call) -> None:
        """The same from any thread, at any point, as when Python collects garbage."""
        self._returned.append(call)

    def upload(self, call: Call, inputs: Arrays) -> None:
        """Put arrays into a call's inputs."""
        self._transfer.activate()
        self._transfer.upload(call.inputs, inputs)
        self._transfer.wait()

    def step(self, call: Call, carried: Mapping[str, str], *, is_first: bool) -> None:
        """Run a call on what is in its inputs, after what was carried over from the step before."""
        self._transfer.activate()
        if not is_first:
            self._transfer.move([(call.inputs[name], call.outputs[output]) for output, name in carried.items()])
        self._execute(call)

    def fetch(self, call: Call, name: str) -> NDArray[Any]:
        """One of a call's outputs."""
        self._transfer.activate()
        return self._transfer.download({name: call.outputs[name]})[name]

    def download(self, call: Call) -> dict[str, NDArray[Any]]:
        """All of a call's outputs."""
        self._transfer.activate()
        return self._transfer.download(call.outputs)

    def wait(self) -> None:
        """Wait for the work that was queued."""
        self._transfer.wait()

    def close(self) -> None:
        """Give the weights and the memory back; twice does nothing."""
        self._idle = []
        self._returned.clear()
        self._session = None
        self._transfer.close()

    def _execute(self, call: Call) -> None:
        """The first run of a graph in a thread executes it three times: as it is, captured, and replayed. Its inputs
        are its own, so that changes nothing.
        """
        thread = threading.get_ident()
        if call.graph == _NO_GRAPH or thread in call.threads:
            self._session.run_with_iobinding(call.binding, call.options)
            return
        try:
            with capturing():
                self._session.run_with_iobinding(call.binding, call.options)
                self._transfer.wait()
        except LOAD_ERRORS as error:
            raise CapturingError(reason(error)) from error
        call.threads.add(thread)

    def _outputs(self, shapes: Shapes, inputs: Arrays) -> dict[str, tuple[tuple[int, ...], str]]:
        """(shape, dtype) by name. Where the specification leaves an axis open, the engine itself tells: one run."""
        if shapes not in self._output_shapes:
            fixed = {tensor.name: tensor.shape for tensor in self._spec.outputs}
            if any(not isinstance(axis, int) for shape in fixed.values() for axis in shape):
                values = self._session.run(list(fixed), dict(inputs), run_options({_GRAPH_ID: str(_NO_GRAPH)}))
                fixed = {name: np.shape(value) for name, value in zip(fixed, values, strict=True)}
            self._output_shapes[shapes] = fixed  # type: ignore[assignment]
        known = self._output_shapes[shapes]
        return {tensor.name: (known[tensor.name], tensor.dtype) for tensor in self._spec.outputs}


def _nodes_on_cpu(session: Any) -> dict[str, int]:
    """Operators and their numbers, the most frequent first."""
    found: dict[str, int] = {}
    tell = getattr(session, "get_provider_graph_assignment_info", None)  # of onnxruntime 1.24
    for subgraph in tell() if tell else ():
        if subgraph.ep_name == _CPU:
            for node in subgraph.get_nodes():
                found[node.op_type] = found.get(node.op_type, 0) + 1
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
