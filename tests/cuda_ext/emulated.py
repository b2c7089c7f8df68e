"""The CUDA kernels on the host: `emulator.cpp` around the sources that go to NVRTC, called through ctypes."""

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cuda_ext import build, geometry, sweep
from cuda_ext.geometry import Launch

FLAGS = (
    "-std=c++17",
    "-O2",
    "-fno-strict-aliasing",
    "-shared",
    "-fPIC",
    "-Wall",
    "-Werror",
    "-Wno-unknown-pragmas",
    "-Wno-unused-but-set-variable",
)


class EmulatedKernels:
    """Every kernel with the launch parameters that torch and TensorRT would use."""

    def __init__(self, folder: Path) -> None:
        library = folder / "emulator.so"
        source = Path(__file__).with_name("emulator.cpp")
        command = ["g++", *FLAGS, f"-I{build.SOURCES}", "-o", str(library), str(source)]
        subprocess.run(command, check=True, timeout=300)
        self._library = ctypes.CDLL(str(library))

    def match(self, features: NDArray[np.floating], hole: NDArray[np.floating], splits: int = 1) -> NDArray[np.int32]:
        """By the kernel that TensorRT takes, or split among blocks."""
        count, channels, height, width = features.shape
        match = np.full((count, height, width), -7, np.int32)
        suffix, *inputs = _typed(features, hole)
        if splits == 1:
            self.run(geometry.match_launch(suffix, count, channels, height, width), inputs, [match])
            return match
        best = np.zeros(match.shape, np.uint64)
        launch = geometry.match_split_launch(suffix, count, channels, height, width, splits)
        self.run(launch, inputs, [best])
        self.run(geometry.match_finish_launch(match.size), [best], [match])
        return match

    def sweep(
        self, features: NDArray[np.floating], hole: NDArray[np.floating], columns: int, processors: int
    ) -> NDArray[np.int32]:
        """By the sweep of a GPU with so many multiprocessors; in a workspace of garbage."""
        count, channels, height, width = features.shape
        match = np.full((count, height, width), -7, np.int32)
        _, given, missing = _typed(features, hole)
        plan = sweep.plan(count, channels, height, width, columns, processors)
        workspace = np.full(plan.size + 256, 0xA5, np.uint8)
        start = workspace.ctypes.data + -workspace.ctypes.data % 256
        at = {name: start + offset for name, offset in plan.offsets.items()}
        at |= {"features": given.ctypes.data, "hole": missing.ctypes.data, "match": match.ctypes.data}
        for step in plan.steps:
            self.launch(
                step.launch, [*(at[n] for n in step.inputs), *step.launch.sizes, *(at[n] for n in step.outputs)]
            )
        return match

    def paste(
        self, features: NDArray[np.floating], hole: NDArray[np.floating], match: NDArray[np.int32]
    ) -> NDArray[np.floating]:
        output = np.full_like(features, 7)
        suffix, *inputs = _typed(features, hole)
        self.run(geometry.paste_launch(suffix, *features.shape), [*inputs, match], [output])
        return output

    def run(self, launch: Launch, inputs: Sequence[NDArray], outputs: Sequence[NDArray]) -> None:
        addresses = [[array.ctypes.data for array in arrays] for arrays in (inputs, outputs)]
        self.launch(launch, [*addresses[0], *launch.sizes, *addresses[1]])

    def launch(self, launch: Launch, arguments: Sequence[int]) -> None:
        """Any entry point with addresses and sizes in its own order."""
        values = (ctypes.c_uint64 * len(arguments))(*arguments)
        grid = (ctypes.c_int * 3)(*launch.grid)
        assert self._library.run(launch.kernel.encode(), grid, launch.threads, launch.shared, values) == 0, (
            launch.kernel
        )


def _typed(
    features: NDArray[np.floating], hole: NDArray[np.floating]
) -> tuple[str, NDArray[np.floating], NDArray[np.floating]]:
    suffix = {np.dtype(np.float32): "fp32", np.dtype(np.float16): "fp16"}[features.dtype]
    return suffix, np.ascontiguousarray(features), np.ascontiguousarray(hole.astype(features.dtype))
