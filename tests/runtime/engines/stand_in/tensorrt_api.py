"""The stand-in for `tensorrt` and `tensorrt_rtx`: loading and running plans, with the real names and parameters."""

import copy
import functools
import threading
import weakref
from enum import Enum, IntEnum
from math import prod

import numpy as np

from tests.runtime.engines.stand_in import plans
from tests.runtime.engines.stand_in import world as worlds
from tests.runtime.engines.stand_in.results import Truth
from tests.runtime.engines.stand_in.world import ALIGNMENT, SCRIBBLE

VERSIONS = {"tensorrt": "11.4.0.106", "tensorrt-rtx": "1.7.1.116"}
ExecutionContextAllocationStrategy = IntEnum(
    "ExecutionContextAllocationStrategy", {"STATIC": 0, "ON_PROFILE_CHANGE": 1, "USER_MANAGED": 2}
)
TensorIOMode = IntEnum("TensorIOMode", {"NONE": 0, "INPUT": 1, "OUTPUT": 2})
TensorLocation = IntEnum("TensorLocation", {"DEVICE": 0, "HOST": 1})
DataType = IntEnum("DataType", {"FLOAT": 0, "HALF": 1, "INT32": 3, "UINT8": 5, "INT64": 8})
CudaGraphStrategy = IntEnum("CudaGraphStrategy", {"DISABLED": 0, "WHOLE_GRAPH_CAPTURE": 1})
DynamicShapesKernelSpecializationStrategy = IntEnum(
    "DynamicShapesKernelSpecializationStrategy", {"LAZY": 0, "EAGER": 1, "NONE": 2}
)
EngineValidity = IntEnum("EngineValidity", {"VALID": 0, "SUBOPTIMAL": 1, "INVALID": 2})
EngineInvalidityDiagnostics = IntEnum(
    "EngineInvalidityDiagnostics", {"VERSION_MISMATCH": 1, "UNSUPPORTED_CC": 2, "MALFORMED_ENGINE": 32}
)


class ILogger:
    Severity = Enum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"])

    def __init__(self):
        pass

    def log(self, severity, msg):
        raise NotImplementedError


def made(thing, kind):
    """Count what the library made, until it is gone: what it holds is memory."""
    objects = worlds.current().objects
    objects[kind] = objects.get(kind, 0) + 1

    def gone():
        objects[kind] -= 1

    weakref.finalize(thing, gone)


def truth(function):
    """A call that says whether it worked: a due fault, or what went wrong, is False and an error in the log."""

    @functools.wraps(function)
    def called(self, *arguments):
        world = worlds.current()
        name = function.__name__
        if not self.lock.acquire(blocking=False):
            world.violate(f"{name} of a context that another thread uses")
            return Truth(False, name)
        try:
            with world.lock:
                if self.streams and self.thread != threading.get_ident():
                    world.violate(f"{name} of a context whose work another thread has queued")
                self.thread = threading.get_ident()
                code = world.fault(name)
                reason = "out of luck" if code is not None else function(self, *arguments)
        finally:
            self.lock.release()
        if reason:
            self.logger.log(ILogger.Severity.ERROR, f"{name}: {reason}")
        return Truth(not reason, name)

    return called


class _Unusable:
    """What a constructor gives where it failed: the real object would crash the process."""

    def __getattribute__(self, name):
        worlds.current().violate(f"{name} of an object that could not be made")
        raise SystemError(name)


class IRuntimeCache:
    """Kernels are the shapes that were compiled."""

    def __init__(self):
        self.kernels = set()

    def serialize(self):
        return "\n".join(sorted(self.kernels)).encode()

    def deserialize(self, blob):
        self.kernels = set(bytes(blob).decode().split("\n")) - {""}
        return Truth(1, "deserialize")


class IRuntimeConfig:
    def __init__(self):
        self.strategy, self.cache = ExecutionContextAllocationStrategy.STATIC, None
        self.cuda_graph_strategy = CudaGraphStrategy.DISABLED
        self.dynamic_shapes_kernel_specialization_strategy = DynamicShapesKernelSpecializationStrategy.LAZY

    def set_execution_context_allocation_strategy(self, strategy):
        self.strategy = strategy

    def create_runtime_cache(self):
        return None if worlds.current().fault("create_runtime_cache") else IRuntimeCache()

    def set_runtime_cache(self, cache):
        failed = worlds.current().fault("set_runtime_cache")
        self.cache = cache
        return Truth(not failed, "set_runtime_cache")


class Runtime:
    flavor = "tensorrt"

    def __new__(cls, logger):
        world = worlds.current()
        if not world.driver or world.fault("Runtime"):
            logger.log(ILogger.Severity.ERROR, "CUDA initialization failure with error: 35")
            return _Unusable()
        return super().__new__(cls)

    def __init__(self, logger):
        self.logger = logger
        made(self, "Runtime")

    def deserialize_cuda_engine(self, serialized_engine):
        reason = self._refusal(serialized_engine)
        if worlds.current().fault("deserialize_cuda_engine"):
            reason = "out of luck"
        if reason:
            self.logger.log(ILogger.Severity.ERROR, f"deserializeCudaEngine: {reason}")
            return None
        return self.engine_type()(self, *plans.unpack(serialized_engine))

    def engine_type(self):
        return ICudaEngine

    def _refusal(self, plan):
        try:
            header, _ = plans.unpack(plan)
        except ValueError as error:
            return str(error)
        if (header.flavor, header.version) != (self.flavor, VERSIONS[self.flavor]):
            return f"version {header.flavor} {header.version}"
        if self.flavor == "tensorrt" and header.gpu != worlds.current().gpus[0]:
            return f"built on {header.gpu}"
        return None


class RtxRuntime(Runtime):
    flavor = "tensorrt-rtx"

    def engine_type(self):
        return RtxCudaEngine

    def get_engine_validity(self, buffer):
        reason = self._refusal(buffer)
        if reason is None and "H100" in worlds.current().gpus[0]:
            return EngineValidity.INVALID, EngineInvalidityDiagnostics.UNSUPPORTED_CC
        flags = EngineInvalidityDiagnostics
        flag = flags.VERSION_MISMATCH if reason and "version" in reason else flags.MALFORMED_ENGINE
        return (EngineValidity.INVALID, int(flag)) if reason else (EngineValidity.VALID, 0)


class ICudaEngine:
    def __init__(self, runtime, header, onnx):
        self.runtime, self.header, self.onnx = runtime, header, onnx  # the real one dies with its runtime
        self.tensors = plans.tensors(onnx)
        self.device_memory_size_v2 = plans.SCRATCH_BYTES
        self.num_io_tensors, self.num_optimization_profiles = len(self.tensors), 1
        self.is_dynamic = header.profile is not None
        made(self, "ICudaEngine")

    def get_tensor_name(self, index):
        return list(self.tensors)[index]

    def get_tensor_mode(self, name):
        return TensorIOMode.INPUT if self.tensors[name].is_input else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name):
        return DataType[self.tensors[name].dtype]

    def get_tensor_shape(self, name):
        return tuple(axis if isinstance(axis, int) else -1 for axis in self.tensors[name].axes)

    def get_tensor_location(self, name):
        return TensorLocation.DEVICE

    def get_tensor_profile_shape(self, name, profile_index):
        assert profile_index == 0
        return self.header.profile[name]

    def create_runtime_config(self):
        return None if worlds.current().fault("create_runtime_config") else IRuntimeConfig()

    def create_execution_context(self, strategy=ExecutionContextAllocationStrategy.STATIC):
        return self._context(strategy, None)

    def _context(self, strategy, cache):
        if worlds.current().fault("create_execution_context"):
            self.runtime.logger.log(ILogger.Severity.ERROR, "createExecutionContext: out of memory")
            return None
        if strategy != ExecutionContextAllocationStrategy.USER_MANAGED:
            worlds.current().violate("the stand-in's contexts have no memory of their own")
        return (IExecutionContext if cache is None else RtxExecutionContext)(self, cache)


class RtxCudaEngine(ICudaEngine):
    def create_execution_context(self, runtime_config=None):
        return self._context(runtime_config.strategy, runtime_config.cache)


class IExecutionContext:
    """Executes on a stream; nothing of it may change while a graph that was captured from it is in use."""

    def __init__(self, engine, cache):
        self.engine, self.logger, self.cache = engine, engine.runtime.logger, cache
        self.lock = threading.RLock()
        self.shapes = {t.name: tuple(t.axes) for t in engine.tensors.values() if t.is_input}
        if engine.is_dynamic:
            self.shapes = {n: s for n, s in self.shapes.items() if all(isinstance(axis, int) for axis in s)}
        self.addresses, self.scratch, self.profile = {}, (0, 0), None
        self.state, self.warm, self.streams, self.thread = 0, -1, [], 0
        made(self, "IExecutionContext")

    def set_device_memory(self, memory, size):
        self.scratch, self.state = (memory, size), self.state + 1

    @truth
    def set_optimization_profile_async(self, profile_index, stream_handle):
        worlds.current().stream(stream_handle)
        self.profile, self.state = profile_index, self.state + 1
        return None if profile_index == 0 else "no such profile"

    @truth
    def set_input_shape(self, name, shape):
        tensor = self.engine.tensors.get(name)
        if tensor is None or not tensor.is_input:
            return f"no input {name}"
        if self.profile is None:
            return "no profile"
        low, _, high = self.engine.header.profile[name]
        if len(shape) != len(low) or not all(a <= n <= b for a, n, b in zip(low, shape, high, strict=True)):
            return f"{name} of {shape} is outside of {low} to {high}"
        self.shapes[name], self.state = tuple(shape), self.state + 1
        return None

    def infer_shapes(self):
        if worlds.current().fault("infer_shapes"):
            raise RuntimeError("inferShapes: out of luck")
        return self._unset()

    def _unset(self):
        return [t.name for t in self.engine.tensors.values() if t.is_input and t.name not in self.shapes]

    def get_tensor_shape(self, name):
        if name in self.shapes:
            return self.shapes[name]
        return plans.output_shapes(self.engine.onnx, self.engine.tensors, self.shapes)[name]

    @truth
    def set_tensor_address(self, name, memory):
        if name not in self.engine.tensors:
            return f"no tensor {name}"
        self.addresses[name], self.state = int(memory), self.state + 1
        return f"{name} at {memory:#x} is not aligned" if memory % ALIGNMENT else None

    @truth
    def execute_async_v3(self, stream_handle):
        stream = worlds.current().stream(stream_handle)
        reason = self._unready(stream)
        if reason is None:
            worlds.current().queue(stream, Execution(self))
        return reason

    def _unready(self, stream):
        if stream.capture is not None and self.warm != self.state:
            return "the first run of a shape cannot be captured"
        if stream.capture is not None and not self.engine.header.is_capturable:
            stream.capture.is_broken = True
            return "control flow on the host"
        missing = [name for name in self.engine.tensors if name not in self.addresses]
        if missing or self._unset():
            return f"no address of {missing}, or no shape"
        if not worlds.current().bytes_at(self.scratch[0], self.engine.device_memory_size_v2, "device") is not None:
            return "no scratch memory"
        if any(one is not stream for one in self.streams):
            worlds.current().violate("one context on two streams at once")
        return None


class RtxExecutionContext(IExecutionContext):
    def is_stream_capturable(self, stream):
        header = self.engine.header
        return Truth(header.is_capturable and header.is_user_allocated, "is_stream_capturable")


class Execution:
    """A queued run of a context, as the context was then."""

    def __init__(self, context):
        self.context, self.state = context, context.state
        shapes = plans.output_shapes(context.engine.onnx, context.engine.tensors, context.shapes) | context.shapes
        self.views = {
            t.name: (context.addresses[t.name], prod(shapes[t.name]), plans.DTYPES[t.dtype], shapes[t.name])
            for t in context.engine.tensors.values()
        }
        self.scratch = (context.scratch[0], context.engine.device_memory_size_v2)

    @property
    def ranges(self):
        return [(address, 1) for address, *_ in self.views.values()] + [self.scratch]

    def queued(self, world, stream):
        self.context.streams.append(stream)

    def again(self):
        return copy.copy(self)

    def dropped(self):
        self.context.streams.clear()

    def run(self, world):
        context = self.context
        if context.state != self.state:
            world.violate("a context changed after work with it was queued or captured")
        world.bytes_at(*self.scratch, "device")[:] = SCRIBBLE
        arrays = {}
        for name, (address, count, dtype, shape) in self.views.items():
            raw = world.bytes_at(address, count * np.dtype(dtype).itemsize, "device")
            if raw is None:
                world.violate(f"{name} lies in no live device memory large enough")
                return
            arrays[name] = raw.view(dtype).reshape(shape)
        names = [t.name for t in context.engine.tensors.values() if not t.is_input]
        inputs = {n: v.copy() for n, v in arrays.items() if n not in names}
        for name, value in zip(names, plans.session(context.engine.onnx).run(names, inputs), strict=True):
            arrays[name][...] = value
        if context.cache is not None:
            context.cache.kernels.add(str(sorted(context.shapes.items())))
        context.warm, context.streams = self.state, []


def api(flavor):
    """The names of the module."""
    from tests.runtime.engines.stand_in import builder_api

    names = {
        "__version__": VERSIONS[flavor],
        **{
            kind.__name__: kind
            for kind in (ExecutionContextAllocationStrategy, TensorIOMode, TensorLocation, DataType, ILogger)
        },
        "Runtime": Runtime,
        "ICudaEngine": ICudaEngine,
        "IExecutionContext": IExecutionContext,
        **builder_api.api(flavor),
    }
    if flavor == "tensorrt-rtx":
        rtx = (
            CudaGraphStrategy,
            DynamicShapesKernelSpecializationStrategy,
            EngineValidity,
            EngineInvalidityDiagnostics,
            IRuntimeConfig,
            IRuntimeCache,
        )
        names |= {kind.__name__: kind for kind in rtx}
        names |= {"Runtime": RtxRuntime, "ICudaEngine": RtxCudaEngine, "IExecutionContext": RtxExecutionContext}
    return names
