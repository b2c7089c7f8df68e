"""Engines in ONNX, run by ONNX Runtime on the CPU or a CUDA GPU. The only module that imports onnxruntime."""

import os
import re
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.backend import Device
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec, TensorSpec
from runtime.errors import ClosedError, DeviceError, EngineFormatError, Pix2rtError

# From 1.29 on onnxruntime keeps a device id and a data base in the user's cache folder and sends usage to its vendor.
# Read when it is loaded; who wants that sets the variable.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state

LIBRARY_VERSION: str = onnxruntime.__version__
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_FATAL_ONLY = 4  # errors are raised, so nobody needs them on stderr as well
# onnxruntime's exceptions share no base class; some failures surface as builtin errors.
LOAD_ERRORS: tuple[type[Exception], ...] = (
    *(
        error
        for error in vars(onnxruntime_pybind11_state).values()
        if isinstance(error, type) and issubclass(error, Exception)
    ),
    RuntimeError,
    ValueError,
    TypeError,
    MemoryError,
)
_ORT_TYPES = {
    "uint8": "tensor(uint8)",
    "int32": "tensor(int32)",
    "int64": "tensor(int64)",
    "float32": "tensor(float)",
    "float16": "tensor(float16)",
}
_CUDA_FAILURE = re.compile(r"C(?:UDA|UDNN|UBLAS) failure (\d+): ([^;\n]+)")


def available_providers() -> list[str]:
    """What the installed onnxruntime can run on, by its own names, the best first."""
    return list(onnxruntime.get_available_providers())


class OnnxEngine:
    """An ONNX Runtime session that does what `spec` says. See `runtime.engines.backend.Engine`."""

    backend = "onnxruntime"
    skipped: tuple[str, ...] = ()

    def __init__(
        self, engine: EngineSource | Path, spec: EngineSpec, device: str = "cpu", threads: int | None = None
    ) -> None:
        """Load the weights; the errors are those of `runtime.engines.engine.open_engine`."""
        self.spec = spec
        self.device = device
        self._source = EngineSource.of(engine)
        self._outputs = [tensor.name for tensor in spec.outputs]
        self._session: Any = open_session(self._source, spec, Device.parse(device), threads)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `runtime.engines.backend.Engine.run`."""
        session = self._opened()
        try:
            values = session.run(self._outputs, dict(inputs))
        except LOAD_ERRORS as error:
            raise run_error(self._source, self.device, inputs, error) from error
        return dict(zip(self._outputs, values, strict=True))

    def loop(self, inputs: Mapping[str, NDArray[Any]], carried: Mapping[str, str]) -> "OnnxLoop":
        """See `runtime.engines.backend.Engine.loop`."""
        return OnnxLoop(self._opened(), self._source, Device.parse(self.device), inputs, carried)

    def close(self) -> None:
        """See `runtime.engines.backend.Engine.close`."""
        self._session = None

    def _opened(self) -> Any:
        session = self._session
        if session is None:
            raise ClosedError(f"engine {self._source} was closed; open it again")
        return session


class OnnxLoop:
    """Calls of one session whose state stays on the device. See `runtime.engines.backend.Loop`."""

    def __init__(
        self,
        session: Any,
        source: EngineSource,
        device: Device,
        inputs: Mapping[str, NDArray[Any]],
        carried: Mapping[str, str],
    ) -> None:
        self._session, self._source, self._device, self._carried = session, source, device, carried
        self._names = [output.name for output in session.get_outputs()]
        self._outputs: dict[str, Any] = {}
        # An OrtValue on the CPU only borrows its array, and before 1.30 a binding does not keep what is bound to it.
        self._arrays = dict(inputs)
        self._bound: dict[str, Any] = {}
        try:
            self._binding = session.io_binding()
            for name, value in self._arrays.items():
                self._bind(name, onnxruntime.OrtValue.ortvalue_from_numpy(value, device.type, device.index))
        except LOAD_ERRORS as error:
            raise run_error(source, str(device), inputs, error) from error

    def step(self) -> None:
        """See `runtime.engines.backend.Loop.step`."""
        try:
            for output, name in self._carried.items():
                if output in self._outputs:
                    self._bind(name, self._outputs[output])
            for name in self._names:
                self._binding.bind_output(name, self._device.type, self._device.index)
            self._session.run_with_iobinding(self._binding)
        except LOAD_ERRORS as error:
            raise run_error(self._source, str(self._device), self._arrays, error) from error
        self._outputs = dict(zip(self._names, self._binding.get_outputs(), strict=True))

    def fetch(self, name: str) -> NDArray[Any]:
        """See `runtime.engines.backend.Loop.fetch`."""
        return np.array(self._outputs[name].numpy())

    def _bind(self, name: str, value: Any) -> None:
        self._binding.bind_ortvalue_input(name, value)
        self._bound[name] = value


def open_session(
    source: EngineSource,
    spec: EngineSpec,
    device: Device,
    threads: int | None = None,
    *,
    cuda_options: Mapping[str, str] = MappingProxyType({}),
    session_options: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    """A session whose graph is what the specification says.

    Args:
        source: of the engine.
        spec: its specification.
        device: where it runs; on a GPU, what CUDA has no kernel for runs on the CPU.
        threads: CPU threads of one call; None for one per physical core.
        cuda_options: of onnxruntime's CUDA provider, beside or in place of ours.
        session_options: entries of the session's configuration, likewise.

    Raises:
        EngineFormatError: damaged, or graph and specification do not fit.
        DeviceError: the device is not there, or too small.
    """
    providers: list[Any] = [_CPU]
    if device.type == "cuda":
        _require_cuda(device)
        providers.insert(0, (_CUDA, _cuda_options(spec, device) | dict(cuda_options)))
    options = _session_options(threads)
    for name, value in session_options.items():
        options.add_session_config_entry(name, value)
    try:
        session = onnxruntime.InferenceSession(
            source.data if source.data is not None else str(source.path),
            sess_options=options,
            providers=providers,
            enable_fallback=0,
        )
    except LOAD_ERRORS as error:
        raise _load_error(source, device, error) from error
    if device.type == "cuda" and _CUDA not in session.get_providers():
        raise DeviceError(
            f"device '{device}': onnxruntime lists CUDA but cannot start it (no GPU, no driver, or another CUDA or "
            f"cuDNN version than onnxruntime-gpu {onnxruntime.__version__} wants); mend that, or ask for device='cpu'"
        )
    _require_same(source, "input", spec.inputs, _declared(source, session.get_inputs()))
    _require_same(source, "output", spec.outputs, _declared(source, session.get_outputs()))
    return session


def empty_value(shape: tuple[int, ...], dtype: str, device: Device) -> Any:
    """An OrtValue of its own memory on the device; what is in it is not known."""
    return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.dtype(dtype), device.type, device.index)


def run_options(entries: Mapping[str, str]) -> Any:
    """Options of one call, with these entries of its configuration."""
    options = onnxruntime.RunOptions()
    options.log_severity_level = _FATAL_ONLY
    for name, value in entries.items():
        options.add_run_config_entry(name, value)
    return options


def open_on_cpu(path: Path) -> Any:
    """A session of any ONNX network on the CPU, for networks of others, which have no specification.

    Raises:
        LOAD_ERRORS: it is no network that onnxruntime can load; see `reason`.
    """
    options = _session_options(None)
    return onnxruntime.InferenceSession(str(path), sess_options=options, providers=[_CPU], enable_fallback=0)


def _require_cuda(device: Device) -> None:
    available = onnxruntime.get_available_providers()
    if _CUDA not in available:
        raise DeviceError(
            f"device '{device}' is not available: this onnxruntime {onnxruntime.__version__} has "
            f"{', '.join(available)}; for a GPU: pip uninstall onnxruntime, then pip install onnxruntime-gpu"
        )
    if hasattr(onnxruntime, "preload_dlls"):
        with redirect_stdout(sys.stderr):  # it prints what it does not find
            onnxruntime.preload_dlls()  # finds CUDA and cuDNN where pip installed them


def _load_error(source: EngineSource, device: Device, error: Exception) -> Pix2rtError:
    text = reason(error)
    if device.type == "cuda" and any(word in text for word in ("CUDA", "CUBLAS", "CUDNN", "libcu")):
        return DeviceError(
            f"engine {source} cannot start on {device}: {text}; mend the CUDA installation, or use device='cpu'"
        )
    if isinstance(error, MemoryError) or "bad_alloc" in text or "allocate memory" in text:
        return DeviceError(f"engine {source} does not fit in the memory of {device}: {text}")
    return EngineFormatError(
        f"engine {source} is damaged or uses operators this onnxruntime lacks: {text}; export it again"
    )


def run_error(source: EngineSource, device: str, inputs: Mapping[str, NDArray[Any]], error: Exception) -> DeviceError:
    """What a call's failure is to the caller."""
    sizes = ", ".join(f"{name} {list(value.shape)}" for name, value in inputs.items())
    return DeviceError(
        f"engine {source} failed on {device} for {sizes}: {reason(error)}; if memory is short, "
        "`python -m runtime info` shows what it needs"
    )


def _session_options(threads: int | None) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.use_deterministic_compute = True
    options.enable_mem_pattern = False  # one block for all activations costs 1.6 GB more at 2048×1024
    if threads is not None:
        options.intra_op_num_threads = threads
    # Idle threads sleep at once: between two calls the cores belong to the caller.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # Weights in blocks of their own size: the arena would round the sum up to a power of two.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    return options


def _cuda_options(spec: EngineSpec, device: Device) -> dict[str, str]:
    return {
        "device_id": str(device.index),
        # An exhaustive search pays off only where the sizes never change.
        "cudnn_conv_algo_search": "EXHAUSTIVE" if spec.size and spec.max_batch else "HEURISTIC",
        "cudnn_conv_use_max_workspace": "1",
        # TF32 keeps 10 bits of the mantissa: not what "fp32" promises.
        "use_tf32": "0" if spec.precision == "fp32" else "1",
        "arena_extend_strategy": "kSameAsRequested",
    }


_Declared = dict[str, tuple[str, list[int | str | None]]]  # name → (type, shape), as the graph has them


def _declared(source: EngineSource, nodes: list[Any]) -> _Declared:
    try:
        declared = {node.name: (node.type, node.shape) for node in nodes}
    except UnicodeDecodeError as error:  # onnxruntime decodes names on access, and does not check them on loading
        raise EngineFormatError(
            f"engine {source} is damaged: its graph has the name {error.object!r}, expected UTF-8; export it again"
        ) from error
    if len(declared) < len(nodes):  # onnxruntime takes it, but gives the one only
        names = ", ".join(node.name for node in nodes)
        raise EngineFormatError(
            f"engine {source} is damaged: two tensors of its graph share a name ({names}); export it again"
        )
    return declared


def _require_same(source: EngineSource, what: str, tensors: tuple[TensorSpec, ...], actual: _Declared) -> None:
    """Names, dtypes, ranks and static sizes of the graph must be those of the specification."""
    if set(actual) != {tensor.name for tensor in tensors}:
        raise _mismatch(source, f"{what}s {', '.join(sorted(actual))}", ", ".join(sorted(t.name for t in tensors)))
    for tensor in tensors:
        dtype, shape = actual[tensor.name]
        if dtype != _ORT_TYPES[tensor.dtype] or not _same_shape(tensor.shape, shape):
            raise _mismatch(source, f"{what} {tensor.name} as {dtype} {shape}", f"{tensor.dtype} {list(tensor.shape)}")


def _same_shape(expected: tuple[int | str, ...], actual: list[int | str | None]) -> bool:
    """Axes that the graph leaves open fit any size; axes that it fixes must be the specification's."""
    if len(expected) != len(actual):
        return False
    return all(not isinstance(axis, int) or axis == wanted for wanted, axis in zip(expected, actual, strict=True))


def _mismatch(source: EngineSource, has: str, expected: str) -> EngineFormatError:
    return EngineFormatError(
        f"engine {source} was tampered with: its graph does not match its specification: the graph has {has}, "
        f"the specification says {expected}; export it again"
    )


def describe_library() -> dict[str, Any]:
    """Version, providers and build of the onnxruntime that is installed."""
    cuda = getattr(onnxruntime, "cuda_version", None) or None
    return {
        "version": LIBRARY_VERSION,
        "providers": onnxruntime.get_available_providers(),
        "cuda": cuda,
        "build": onnxruntime.get_build_info(),
    }


def reason(error: Exception) -> str:
    """What onnxruntime's message says is wrong; CUDA's own words stand behind 600 characters of C++ signature."""
    text = str(error).strip()
    cuda = _CUDA_FAILURE.search(text)
    if cuda:
        return f"CUDA failure {cuda[1]}: {cuda[2].strip()}"
    return (text.splitlines() or [type(error).__name__])[0][:400]
