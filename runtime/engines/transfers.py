"""Copies between arrays of the host and tensors of a device, for sessions whose tensors have fixed addresses."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.engines.device_memory import Cuda, HostBuffer, aligned

Values = Mapping[str, Any]  # onnxruntime's OrtValues by name


class Transfer(Protocol):
    """For one caller at a time.

    Attributes:
        stream: the CUDA stream that copies are queued on and that the session must use, 0 where it has its own.
    """

    stream: int

    def activate(self) -> None:
        """Let this thread work with the device."""

    def upload(self, targets: Values, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put arrays into the tensors of their names. The arrays may change afterwards."""

    def download(self, values: Values) -> dict[str, NDArray[Any]]:
        """Wait for the work that was queued, and give fresh arrays of what the tensors hold."""

    def move(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Put into each first tensor what the second one holds, without leaving the device."""

    def wait(self) -> None:
        """Wait for the work that was queued."""

    def close(self) -> None:
        """Free what it has; twice does nothing."""


class BlockingTransfer:
    """Copies by onnxruntime itself, one at a time, from memory that the system may page out: on any device."""

    stream = 0

    def activate(self) -> None:
        """See `Transfer.activate`; onnxruntime does so itself."""

    def upload(self, targets: Values, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Transfer.upload`."""
        for name, target in targets.items():
            target.update_inplace(np.ascontiguousarray(arrays[name]))

    def download(self, values: Values) -> dict[str, NDArray[Any]]:
        """See `Transfer.download`."""
        return {name: np.array(value.numpy()) for name, value in values.items()}

    def move(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """See `Transfer.move`; onnxruntime before 1.24 takes the way over the host."""
        for target, source in pairs:
            try:
                target.update_inplace(source)
            except (TypeError, AttributeError):
                target.update_inplace(np.array(source.numpy()))

    def wait(self) -> None:
        """See `Transfer.wait`; nothing is left queued here."""

    def close(self) -> None:
        """See `Transfer.close`."""


class StreamTransfer:
    """Copies through pinned memory, queued on a stream of its own that the session shares: one wait a call."""

    def __init__(self, cuda: Cuda) -> None:
        """Raises DeviceError where the driver gives no stream."""
        self._cuda = cuda
        self._staging: dict[str, HostBuffer] = {}  # one for each direction
        self.stream = cuda.stream()

    def activate(self) -> None:
        """See `Transfer.activate`."""
        self._cuda.activate()

    def upload(self, targets: Values, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Transfer.upload`. What an earlier one queued must be done: see `wait`, `download`."""
        staging, offset = self._staged("up", targets), 0
        for name, target in targets.items():
            array, nbytes = arrays[name], _nbytes(target)
            np.copyto(staging.view(offset, array.shape, array.dtype), array)
            self._cuda.copy(target.data_ptr(), staging.address + offset, nbytes, "HostToDevice", self.stream)
            offset += aligned(nbytes)

    def download(self, values: Values) -> dict[str, NDArray[Any]]:
        """See `Transfer.download`."""
        staging, offset, views = self._staged("down", values), 0, {}
        for name, value in values.items():
            nbytes = _nbytes(value)
            self._cuda.copy(staging.address + offset, value.data_ptr(), nbytes, "DeviceToHost", self.stream)
            views[name] = staging.view(offset, tuple(value.shape()), dtype_of(value))
            offset += aligned(nbytes)
        self._cuda.synchronize(self.stream)
        return {name: view.copy() for name, view in views.items()}

    def move(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """See `Transfer.move`."""
        for target, source in pairs:
            nbytes = _nbytes(source)
            self._cuda.copy(target.data_ptr(), source.data_ptr(), nbytes, "DeviceToDevice", self.stream)

    def wait(self) -> None:
        """See `Transfer.wait`."""
        self._cuda.synchronize(self.stream)

    def close(self) -> None:
        """See `Transfer.close`."""
        stream, self.stream = self.stream, 0
        if stream:
            self._cuda.free("cudaStreamSynchronize", stream)
            self._cuda.free("cudaStreamDestroy", stream)
        while self._staging:
            self._staging.popitem()[1].close()

    def _staged(self, direction: str, values: Values) -> HostBuffer:
        """Pinned memory with room for all of them. One that is too small is given up once nothing uses it."""
        nbytes = sum(aligned(_nbytes(value)) for value in values.values())
        staging = self._staging.get(direction)
        if staging is None or staging.nbytes < nbytes:
            if staging:
                self._cuda.synchronize(self.stream)
                self._staging.pop(direction).close()
            staging = self._staging[direction] = HostBuffer(self._cuda, nbytes)
        return staging


_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
}


def dtype_of(value: Any) -> np.dtype[Any]:
    """Of an OrtValue."""
    return _DTYPES[value.data_type()]


def _nbytes(value: Any) -> int:
    """Of an OrtValue; its own method for it came with a later onnxruntime than the oldest that runs here."""
    return int(math.prod(value.shape())) * np.dtype(dtype_of(value)).itemsize
