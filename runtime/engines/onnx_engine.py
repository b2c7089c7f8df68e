"""Engines in ONNX, run by ONNX Runtime on the CPU or a CUDA GPU. The only module that imports onnxruntime."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state

from runtime.engines.spec import EngineSpec, TensorSpec
from runtime.errors import DeviceError, EngineFormatError, Pix2rtError

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_FATAL_ONLY = 4  # errors are raised, so nobody needs them on stderr as well
# onnxruntime's exceptions share no base class; some failures surface as builtin errors.
_LOAD_ERRORS: tuple[type[Exception], ...] = (
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


class OnnxEngine:
    """An ONNX Runtime session that does what `spec` says. See `runtime.engines.engine.Engine`."""

    def __init__(self, path: Path, spec: EngineSpec, device: str, threads: int | None) -> None:
        """Load the weights; the errors are those of `runtime.engines.engine.open_engine`."""
        self.spec = spec
        self.device = _resolve_device(device)
        self._path = path
        self._outputs = [tensor.name for tensor in spec.outputs]
        self._session = _open_session(path, spec, self.device, threads)
        _require_same(path, "input", spec.inputs, _declared(path, self._session.get_inputs()))
        _require_same(path, "output", spec.outputs, _declared(path, self._session.get_outputs()))

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `runtime.engines.engine.Engine.run`."""
        try:
            values = self._session.run(self._outputs, dict(inputs))
        except _LOAD_ERRORS as error:
            sizes = ", ".join(f"{name} {list(value.shape)}" for name, value in inputs.items())
            raise DeviceError(
                f"engine {self._path} failed on {self.device} for {sizes}: {_first_line(error)}; if memory is short, "
                "`python -m runtime info` shows what it needs"
            ) from error
        return dict(zip(self._outputs, values, strict=True))

    def loop(self, inputs: Mapping[str, NDArray[Any]], carried: Mapping[str, str]) -> "OnnxLoop":
        """See `runtime.engines.engine.Engine.loop`."""
        return OnnxLoop(self._session, self._path, self.device, inputs, carried)


class OnnxLoop:
    """Calls of one session whose state stays on the device. See `runtime.engines.engine.Loop`."""

    def __init__(
        self,
        session: Any,
        path: Path,
        device: str,
        inputs: Mapping[str, NDArray[Any]],
        carried: Mapping[str, str],
    ) -> None:
        self._session, self._path, self._device, self._carried = session, path, device, carried
        self._binding = session.io_binding()
        self._outputs: dict[str, Any] = {}
        for name, value in inputs.items():
            self._binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(value, device))

    def step(self) -> None:
        """See `runtime.engines.engine.Loop.step`."""
        names = [output.name for output in self._session.get_outputs()]
        try:
            for output, name in self._carried.items():
                if output in self._outputs:
                    self._binding.bind_ortvalue_input(name, self._outputs[output])
            for name in names:
                self._binding.bind_output(name, self._device)
            self._session.run_with_iobinding(self._binding)
        except _LOAD_ERRORS as error:
            raise DeviceError(f"engine {self._path} failed on {self._device}: {_first_line(error)}") from error
        self._outputs = dict(zip(names, self._binding.get_outputs(), strict=True))

    def fetch(self, name: str) -> NDArray[Any]:
        """See `runtime.engines.engine.Loop.fetch`."""
        return np.array(self._outputs[name].numpy())


def _resolve_device(device: str) -> str:
    available = onnxruntime.get_available_providers()
    if device == "auto":
        return "cuda" if _CUDA in available else "cpu"
    if device == "cuda" and _CUDA not in available:
        raise DeviceError(
            f"device 'cuda' is not available: this onnxruntime {onnxruntime.__version__} has {', '.join(available)}; "
            "for a GPU: pip uninstall onnxruntime, then pip install onnxruntime-gpu"
        )
    return device


def _open_session(path: Path, spec: EngineSpec, device: str, threads: int | None) -> Any:
    providers: list[Any] = [(_CUDA, _cuda_options(spec)), _CPU] if device == "cuda" else [_CPU]
    if device == "cuda" and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # finds CUDA and cuDNN where pip installed them
    try:
        session = onnxruntime.InferenceSession(
            str(path), sess_options=_session_options(threads), providers=providers, enable_fallback=0
        )
    except _LOAD_ERRORS as error:
        raise _load_error(path, device, error) from error
    if device == "cuda" and _CUDA not in session.get_providers():
        raise DeviceError(
            "device 'cuda': onnxruntime lists CUDA but cannot start it (no GPU, no driver, or another CUDA or cuDNN "
            f"version than onnxruntime-gpu {onnxruntime.__version__} wants); mend that, or ask for device='cpu'"
        )
    return session


def _load_error(path: Path, device: str, error: Exception) -> Pix2rtError:
    text = _first_line(error)
    if device == "cuda" and any(word in text for word in ("CUDA", "CUBLAS", "CUDNN", "libcu")):
        return DeviceError(
            f"engine {path} cannot start on cuda: {text}; mend the CUDA installation, or use device='cpu'"
        )
    if isinstance(error, MemoryError) or "bad_alloc" in text or "allocate memory" in text:
        return DeviceError(f"engine {path} does not fit in the memory of {device}: {text}")
    return EngineFormatError(
        f"engine {path} is damaged or uses operators this onnxruntime lacks: {text}; export it again"
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


def _cuda_options(spec: EngineSpec) -> dict[str, str]:
    return {
        # An exhaustive search pays off only where the sizes never change.
        "cudnn_conv_algo_search": "EXHAUSTIVE" if spec.size and spec.max_batch else "HEURISTIC",
        "cudnn_conv_use_max_workspace": "1",
        # TF32 keeps 10 bits of the mantissa: not what "fp32" promises.
        "use_tf32": "0" if spec.precision == "fp32" else "1",
        "arena_extend_strategy": "kSameAsRequested",
    }


_Declared = dict[str, tuple[str, list[int | str | None]]]  # name → (type, shape), as the graph has them


def _declared(path: Path, nodes: list[Any]) -> _Declared:
    try:
        return {node.name: (node.type, node.shape) for node in nodes}
    except UnicodeDecodeError as error:  # onnxruntime decodes names on access, and does not check them on loading
        raise EngineFormatError(
            f"engine {path} is damaged: its graph has the name {error.object!r}, expected UTF-8; export it again"
        ) from error


def _require_same(path: Path, what: str, tensors: tuple[TensorSpec, ...], actual: _Declared) -> None:
    """Names, dtypes, ranks and static sizes of the graph must be those of the specification."""
    if set(actual) != {tensor.name for tensor in tensors}:
        raise _mismatch(path, f"{what}s {', '.join(sorted(actual))}", ", ".join(sorted(t.name for t in tensors)))
    for tensor in tensors:
        dtype, shape = actual[tensor.name]
        if dtype != _ORT_TYPES[tensor.dtype] or not _same_shape(tensor.shape, shape):
            raise _mismatch(path, f"{what} {tensor.name} as {dtype} {shape}", f"{tensor.dtype} {list(tensor.shape)}")


def _same_shape(expected: tuple[int | str, ...], actual: list[int | str | None]) -> bool:
    """Axes that the graph leaves open fit any size; axes that it fixes must be the specification's."""
    if len(expected) != len(actual):
        return False
    return all(not isinstance(axis, int) or axis == wanted for wanted, axis in zip(expected, actual, strict=True))


def _mismatch(path: Path, has: str, expected: str) -> EngineFormatError:
    return EngineFormatError(
        f"engine {path} was tampered with: its graph does not match its specification: the graph has {has}, "
        f"the specification says {expected}; export it again"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:400]
