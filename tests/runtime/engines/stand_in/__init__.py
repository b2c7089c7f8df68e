"""Stand-ins for TensorRT and the CUDA runtime, for machines without a GPU.

`modules` holds Python modules in the place of `tensorrt`, `tensorrt_rtx` and `cuda.bindings.runtime`: put it first on
the module search path, here with `installed`, in another process with PYTHONPATH. Plans are a header and the ONNX that
ONNX Runtime runs on the CPU, on memory that host code cannot touch. `test_stand_in_names` compares every name and
parameter with the real libraries.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.runtime.engines.stand_in.world import World, renew

MODULES = Path(__file__).parent / "modules"
_REPLACED = ("cuda", "tensorrt", "tensorrt_rtx")


@contextmanager
def installed() -> Iterator[World]:
    """In this process, on a machine that has just started; what is imported afterwards are the stand-ins."""
    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] in _REPLACED}
    for name in kept:
        del sys.modules[name]
    sys.path.insert(0, str(MODULES))
    importlib.invalidate_caches()
    try:
        yield renew()
    finally:
        sys.path.remove(str(MODULES))
        for name in [name for name in sys.modules if name.split(".")[0] in _REPLACED]:
            del sys.modules[name]
        sys.modules.update(kept)
