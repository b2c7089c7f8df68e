"""A TensorRT or TensorRT-RTX plan on a GPU: its weights, what it takes and gives, and the contexts that run it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from runtime.engines.backend import Device
from runtime.engines.device_memory import Cuda, MemoryShortageError
from runtime.engines.kernel_cache import KernelCache
from runtime.engines.plan import Plan
from runtime.engines.plan_cache import entry_name
from runtime.engines.spec import EngineSpec, TensorSpec
from runtime.engines.tensorrt_library import Heard, load_tensorrt, log_of
from runtime.errors import DeviceError, EngineFormatError, InputError

_DTYPES = {"UINT8": "uint8", "INT32": "int32", "INT64": "int64", "FLOAT": "float32", "HALF": "float16"}
_MB = 1e6

Shapes = tuple[tuple[int, ...], ...]  # of the inputs, in the specification's order


class LoadedPlan:
    """The weights on a GPU; threads share them, each with contexts of its own.

    Attributes:
        name: what messages call the plan.
        spec: what it does.
        cuda: the GPU.
        scratch_bytes: what one running context needs beside its tensors.
    """

    def __init__(self, plan: Plan, spec: EngineSpec, device: Device) -> None:
        """Load it.

        Raises:
            EngineFormatError: it is not what its specification says.
            DeviceError: no TensorRT, another version, no driver, no GPU or another one, too little memory.
        """
        self.name, self.spec = plan.name, spec
        origin = plan.origin
        self._tensorrt = _library_of(plan)
        self.cuda = Cuda(device.index)
        _require_gpu(plan, self.cuda)
        self.require_free(len(plan.data), "for its weights")
        self._log = log_of(self._tensorrt)
        with self._log.hearing() as heard:
            runtime = self._tensorrt.Runtime(self._log.logger)
            if heard.errors():  # the object is there nevertheless, and using it would crash the process
                raise DeviceError(f"engine {plan.name}: {origin.flavor} does not start on {device}: {heard.reason()}")
            _require_valid(plan, self._tensorrt, runtime)
            engine = runtime.deserialize_cuda_engine(plan.data)
            if engine is None:
                raise DeviceError(
                    f"engine {plan.name} does not load on {device} with {origin.flavor} {origin.version}: "
                    f"{heard.reason()}; build it again: `pix2rt build`"
                )
        self._runtime, self._engine = runtime, engine
        self._require_same_tensors()
        self.scratch_bytes = int(engine.device_memory_size_v2)
        self._profiles = {tensor.name: self._profile(tensor) for tensor in spec.inputs}
        self.is_dynamic = any(low != high for low, high in self._profiles.values())
        self._config: Any = None
        self._kernels: KernelCache | None = None
        if origin.flavor == "tensorrt-rtx":
            self._config = self._rtx_config(engine.create_runtime_config())
            self._kernels = KernelCache(
                self._config, entry_name(origin.plan_sha256[:32], self.cuda.name(), suffix=".kernels")
            )

    def context(self) -> Any:
        """An execution context without memory of its own: `set_device_memory` is to give it `scratch_bytes`."""
        with self._log.hearing() as heard:
            strategy = self._tensorrt.ExecutionContextAllocationStrategy.USER_MANAGED
            context = self._engine.create_execution_context(strategy if self._config is None else self._config)
            if context is None:
                raise DeviceError(f"no execution context: {heard.reason()}; if memory is short, end other programs")
        return context

    def hearing(self) -> AbstractContextManager[Heard]:
        """What TensorRT says meanwhile: its calls only tell that they failed."""
        return self._log.hearing()

    def save_kernels(self) -> None:
        """Keep the kernels that TensorRT-RTX compiled for this GPU, if it is that and there are new ones."""
        if self._kernels is not None:
            self._kernels.save()

    def require_free(self, nbytes: int, what: str) -> None:
        """Raise MemoryShortageError unless the GPU has that much left."""
        free, total = self.cuda.memory()
        if nbytes > free:
            raise MemoryShortageError(
                f"engine {self.name} needs {nbytes / _MB:,.0f} MB {what} on GPU {self.cuda.index}, of whose "
                f"{total / _MB:,.0f} MB {free / _MB:,.0f} MB are free; end other programs that use it, use an engine "
                "of a smaller size or of fp16, or build the plan with a smaller --max"
            )

    def shapes(self, inputs: Mapping[str, NDArray[Any]]) -> Shapes:
        """The shapes of one call's arrays, in the specification's order.

        Raises:
            DeviceError: names or dtypes are not those of the specification.
            InputError: a shape is outside of what the plan was built for.
        """
        if inputs.keys() != self._profiles.keys():
            raise DeviceError(f"engine {self.name} was given {', '.join(inputs)}, expected {', '.join(self._profiles)}")
        return tuple(self._fitting(tensor, inputs[tensor.name]) for tensor in self.spec.inputs)

    def _fitting(self, tensor: TensorSpec, value: NDArray[Any]) -> tuple[int, ...]:
        if value.dtype != tensor.dtype:
            raise DeviceError(f"engine {self.name}: {tensor.name} is {value.dtype}, expected {tensor.dtype}")
        low, high = self._profiles[tensor.name]
        if value.ndim != len(low) or not all(a <= n <= b for a, n, b in zip(low, value.shape, high, strict=True)):
            expected = f"{list(low)}" if low == high else f"{list(low)} to {list(high)}"
            raise InputError(
                f"engine {self.name}: {tensor.name} is {list(value.shape)}, the plan takes {expected}; give that, or "
                "build the plan with other --min and --max"
            )
        return value.shape

    def _profile(self, tensor: TensorSpec) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The smallest and the largest shape of an input."""
        shape = tuple(self._engine.get_tensor_shape(tensor.name))
        if -1 not in shape:
            return shape, shape
        low, _, high = self._engine.get_tensor_profile_shape(tensor.name, 0)
        return tuple(low), tuple(high)

    def _require_same_tensors(self) -> None:
        """Names, directions, dtypes and fixed sizes must be those of the specification."""
        engine, modes = self._engine, self._tensorrt.TensorIOMode
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        wanted = [(tensor, modes.INPUT) for tensor in self.spec.inputs]
        wanted += [(tensor, modes.OUTPUT) for tensor in self.spec.outputs]
        if sorted(names) != sorted(tensor.name for tensor, _ in wanted):
            raise self._mismatch(", ".join(names), ", ".join(tensor.name for tensor, _ in wanted))
        for tensor, mode in wanted:
            dtype = engine.get_tensor_dtype(tensor.name).name
            shape = tuple(engine.get_tensor_shape(tensor.name))
            fits = len(shape) == len(tensor.shape) and all(
                has in (-1, wants) or isinstance(wants, str) for has, wants in zip(shape, tensor.shape, strict=True)
            )
            is_there = engine.get_tensor_location(tensor.name) == self._tensorrt.TensorLocation.DEVICE
            if engine.get_tensor_mode(tensor.name) != mode or _DTYPES.get(dtype) != tensor.dtype or not fits:
                raise self._mismatch(f"{tensor.name} as {dtype} {list(shape)}", f"{tensor.dtype} {list(tensor.shape)}")
            if not is_there:
                raise self._mismatch(f"{tensor.name} in host memory", "device memory")

    def _mismatch(self, has: str, expected: str) -> EngineFormatError:
        return EngineFormatError(
            f"engine {self.name} does not match its specification: the plan has {has}, the specification says "
            f"{expected}; build it again: `pix2rt build`"
        )

    def _rtx_config(self, config: Any) -> Any:
        """Memory is ours, graphs are captured by us, kernels for new shapes are compiled before the first call."""
        tensorrt = self._tensorrt
        if config is None:
            raise DeviceError(f"engine {self.name}: TensorRT-RTX gives no runtime configuration; load it again")
        config.set_execution_context_allocation_strategy(tensorrt.ExecutionContextAllocationStrategy.USER_MANAGED)
        config.cuda_graph_strategy = tensorrt.CudaGraphStrategy.DISABLED
        strategies = tensorrt.DynamicShapesKernelSpecializationStrategy
        config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
        return config


def _library_of(plan: Plan) -> ModuleType:
    wanted = f"{plan.origin.flavor} {plan.origin.version}"
    try:
        _, tensorrt = load_tensorrt(plan.origin.flavor)
    except InputError as error:
        raise EngineFormatError(f"engine {plan.name}: its JSON is damaged: {error}; build it again") from error
    except DeviceError as error:
        raise DeviceError(f"engine {plan.name} is a plan of {wanted}: {error}") from error
    if tensorrt.__version__ != plan.origin.version:
        raise DeviceError(
            f"engine {plan.name} is a plan of {wanted}, here is {tensorrt.__version__}; build it again with "
            "`pix2rt build`, or install that version"
        )
    return tensorrt


def _require_gpu(plan: Plan, cuda: Cuda) -> None:
    """A plan of full TensorRT is for the GPU that it was built on; one of TensorRT-RTX says itself what it is for."""
    if plan.origin.flavor == "tensorrt" and plan.origin.gpu != cuda.name():
        raise DeviceError(
            f"engine {plan.name} was built on {plan.origin.gpu}, GPU {cuda.index} is {cuda.name()}; build it there: "
            "`pix2rt build`"
        )


def _require_valid(plan: Plan, tensorrt: ModuleType, runtime: Any) -> None:
    """TensorRT-RTX tells why it would not load a plan."""
    if not hasattr(runtime, "get_engine_validity"):
        return
    validity, found = runtime.get_engine_validity(plan.data)
    if validity == tensorrt.EngineValidity.INVALID:
        known = tensorrt.EngineInvalidityDiagnostics.__members__.items()
        reasons = [name.lower().replace("_", " ") for name, flag in known if int(flag) & int(found)]
        raise DeviceError(
            f"engine {plan.name} does not run on this GPU with TensorRT-RTX {tensorrt.__version__}: "
            f"{', '.join(reasons) or 'no reason given'}; build it again: `pix2rt build`"
        )
