"""The stand-in for onnxruntime's CUDA provider: sessions whose tensors lie in the pretended GPU's memory.

It holds what the real one was read to demand: a graph replays the addresses that it was captured with; the first run of
a graph in a thread executes it three times; a run waits for the stream unless it is told not to; who shares a session
between threads at once gets garbage, which is a violation here. The real session on the CPU does the arithmetic.
"""

import math
import threading
import weakref
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnxruntime

from tests.runtime.engines.stand_in import world as worlds
from tests.runtime.engines.stand_in.world import Stream

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_RealSession = onnxruntime.InferenceSession
_TYPES = {
    "uint8": "tensor(uint8)",
    "int32": "tensor(int32)",
    "int64": "tensor(int64)",
    "float32": "tensor(float)",
    "float16": "tensor(float16)",
}
_LOST = "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=h"


class OrtValue:
    """A tensor in device memory."""

    def __init__(self, shape, dtype):
        self._shape, self._dtype = tuple(shape), np.dtype(dtype)
        self._bytes = max(1, int(np.prod(shape, dtype=np.int64)) * self._dtype.itemsize)
        world = worlds.current()
        if world.fault("OrtValue") is not None:
            raise RuntimeError("CUDA failure 2: out of memory ; GPU=0")
        self._address = world.allocate("device", self._bytes)
        weakref.finalize(self, world.free, self._address, "device").atexit = False

    @classmethod
    def ortvalue_from_shape_and_type(cls, shape, element_type, device_type="cpu", device_id=0):
        assert device_type == "cuda"
        return cls(shape, element_type)

    def shape(self):
        return list(self._shape)

    def data_type(self):
        return _TYPES[str(self._dtype)]

    def data_ptr(self):
        return self._address

    def update_inplace(self, np_arr, /):
        source = np_arr._view() if isinstance(np_arr, OrtValue) else np_arr
        assert source.shape == self._shape
        assert source.dtype == self._dtype
        self._view()[...] = source

    def numpy(self):
        return self._view().copy()

    def _view(self):
        memory = worlds.current().bytes_at(self._address, math.prod(self._shape) * self._dtype.itemsize, "device")
        return memory.view(self._dtype).reshape(self._shape)


class IOBinding:
    """What a call reads and writes."""

    def __init__(self, session):
        self._inputs, self._outputs = {}, {}

    def bind_ortvalue_input(self, name, ortvalue):
        self._inputs[name] = ortvalue

    def bind_ortvalue_output(self, name, ortvalue):
        self._outputs[name] = ortvalue


@dataclass
class Execution:
    """A queued run of the network. What is queued before it may still read its outputs."""

    session: "InferenceSession"
    inputs: dict
    outputs: dict

    @property
    def ranges(self):
        values = (*self.inputs.values(), *self.outputs.values())
        return tuple((value._address, value._bytes) for value in values)

    def queued(self, world, stream):
        pass

    def run(self, world):
        self.session.executed += 1
        names = list(self.outputs)
        values = self.session._real.run(names, {name: value.numpy() for name, value in self.inputs.items()})
        for name, value in zip(names, values, strict=True):
            self.outputs[name].update_inplace(value)

    def again(self):
        return Execution(self.session, self.inputs, self.outputs)


class InferenceSession:
    """A session of the CUDA provider."""

    can_capture = True  # whether opening with graphs succeeds
    on_cpu = ()  # operators that have no CUDA kernel
    opened = 0

    def __init__(self, path_or_bytes, sess_options=None, providers=None, enable_fallback=1):
        (name, options), cpu = providers
        assert (name, cpu, enable_fallback) == (CUDA, CPU, 0)
        InferenceSession.opened += 1
        self._has_graphs = options["enable_cuda_graph"] == "1"
        if self._has_graphs and not self.can_capture:
            raise RuntimeError("This session cannot use the graph capture feature as requested by the user")
        self._real = _RealSession(path_or_bytes, sess_options=sess_options, providers=[CPU])
        world = worlds.current()
        self._stream = int(options.get("user_compute_stream", 0)) or world.handle(Stream())
        if "user_compute_stream" not in options:
            weakref.finalize(self, world.handles.pop, self._stream).atexit = False
        self._captured, self._running, self.executed, self.captures, self.launches = {}, False, 0, 0, 0
        InferenceSession.last = weakref.proxy(self)

    def get_providers(self):
        return [CUDA, CPU]

    def get_inputs(self):
        return self._real.get_inputs()

    def get_outputs(self):
        return self._real.get_outputs()

    def get_provider_graph_assignment_info(self):
        return [_Subgraph(self.on_cpu)] if self.on_cpu else []

    def io_binding(self):
        return IOBinding(self)

    def run(self, output_names, input_feed, run_options=None):
        assert not self._has_graphs or run_options.get_run_config_entry("gpu_graph_id") == "-1"
        return self._real.run(output_names, input_feed)

    def run_with_iobinding(self, iobinding, run_options=None):
        world = worlds.current()
        if self._running:
            world.violate("a session was run by two threads at once")
        self._running = True
        try:
            if world.fault("run_with_iobinding") is not None:
                raise RuntimeError(_LOST)
            self._run(world, iobinding, run_options)
        finally:
            self._running = False

    def _run(self, world, binding, options):
        stream = world.stream(self._stream)
        work = Execution(self, binding._inputs, binding._outputs)
        graph = int(options.get_run_config_entry("gpu_graph_id"))
        if not self._has_graphs or graph == -1:
            world.queue(stream, work)
        else:
            self._replay(world, stream, (threading.get_ident(), graph), work)
        if not options.has_run_config_entry_no_wait():
            world.drain(stream)

    def _replay(self, world, stream, key, work):
        if key not in self._captured:
            if world.fault("capture") is not None:
                raise RuntimeError("CUDA failure 901: operation failed due to a previous error during capture ; GPU=0")
            world.queue(stream, work)
            world.queue(stream, work.again())
            self._captured[key] = work.again()
            self.captures += 1
        captured = self._captured[key]
        if captured.ranges != work.ranges:
            world.violate("a graph is replayed whose tensors lie elsewhere than those bound now")
        self.launches += 1
        world.queue(stream, captured.again())


class _Subgraph:
    ep_name = CPU

    def __init__(self, operators):
        self._operators = operators

    def get_nodes(self):
        return [_Node(operator) for operator in self._operators]


@dataclass
class _Node:
    op_type: str


class RunOptions:
    """Options of a run; the real ones do as well, but cannot say whether an entry is there."""

    def __init__(self):
        self._entries = {}
        self.log_severity_level = 2

    def add_run_config_entry(self, key, value):
        self._entries[key] = value

    def get_run_config_entry(self, key):
        return self._entries[key]

    def has_run_config_entry_no_wait(self):
        return self._entries.get("disable_synchronize_execution_providers") == "1"


@contextmanager
def cuda_sessions(monkeypatch):
    """onnxruntime with the CUDA provider, for the modules that have imported it already."""
    with monkeypatch.context() as patch:
        patch.setattr(onnxruntime, "InferenceSession", InferenceSession)
        patch.setattr(onnxruntime, "OrtValue", OrtValue)
        patch.setattr(onnxruntime, "RunOptions", RunOptions)
        patch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
        patch.setattr(InferenceSession, "opened", 0)
        yield InferenceSession
