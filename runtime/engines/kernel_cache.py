"""Kernels that TensorRT-RTX compiled for one GPU, kept between processes: else each compiles them at its first call."""

import threading
from typing import Any

from runtime.engines.plan_cache import read_entry, write_entry
from runtime.errors import DeviceError


class KernelCache:
    """The runtime cache of one plan's runtime configuration."""

    def __init__(self, config: Any, name: str) -> None:
        """Read what is kept under `name` into `config`, so that contexts made from it start with those kernels.

        Raises:
            DeviceError: TensorRT-RTX refuses.
        """
        self._name = name
        self._lock = threading.Lock()
        self._cache = config.create_runtime_cache()
        if self._cache is None:
            raise DeviceError("TensorRT-RTX gives no runtime cache; see its log")
        kept = read_entry(self._name)
        self._size = len(kept) if kept and self._cache.deserialize(kept) else 0  # of another driver: compiled anew
        if not config.set_runtime_cache(self._cache):
            raise DeviceError("TensorRT-RTX does not take its own runtime cache; see its log")

    def save(self) -> None:
        """Write them if there are more than before."""
        with self._lock:
            memory = self._cache.serialize()
            data = b"" if memory is None else bytes(memory)
            if len(data) > self._size:
                write_entry(self._name, data)
                self._size = len(data)
