"""The CUDA kernels on the host: `emulator.cpp` around the sources that go to NVRTC, called through ctypes."""

import ctypes
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cuda_ext import build, geometry
from cuda_ext.geometry import Launch

FLAGS = ("-std=c++17", "-O2", "-fno-strict-aliasing", "-shared", "-fPIC", "-Wall", "-Werror", "-Wno-unknown-pragmas")


class EmulatedKernels:
    """Every kernel with the launch parameters that torch and TensorRT would use."""

    def __init__(self, folder: Path) -> None:
        library = folder / "emulator.so"
        source = Path(__file__).with_name("emulator.cpp")
        command = ["g++", *FLAGS, f"-I{build.SOURCES}", "-o", str(library), str(source)]
        subprocess.run(command, check=True, timeout=300)
        self._library = ctypes.CDLL(str(library))

    def match(self, features: NDArray[np.floating], hole: NDArray[np.floating], splits: int = 1) -> NDArray[np.int32]:
        count, channels, height, width = features.shape
        match = np.full((count, height, width), -7, np.int32)
        arguments = self._typed(features, hole)
        if splits == 1:
            launch = geometry.match_launch(arguments[0], count, channels, height, width)
            self._run("match", arguments, launch, match)
            return match
        best = np.zeros(match.shape, np.uint64)
        launch = geometry.match_split_launch(arguments[0], count, channels, height, width, splits)
        self._run("match_split", arguments, launch, best)
        finish = geometry.match_finish_launch(match.size)
        self._library.run_finish(_grid(finish), _pointer(best), *finish.sizes, _pointer(match))
        return match

    def paste(
        self, features: NDArray[np.floating], hole: NDArray[np.floating], match: NDArray[np.int32]
    ) -> NDArray[np.floating]:
        output = np.full_like(features, 7)
        arguments = self._typed(features, hole)
        self._run("paste", (*arguments, match), geometry.paste_launch(arguments[0], *features.shape), output)
        return output

    def launch(self, kernel: str, grid: tuple[int, int, int], arguments: list[int]) -> None:
        """Any entry point with addresses and sizes in its own order."""
        name, _, suffix = kernel.removeprefix("patch_").rpartition("_")
        if kernel == "patch_match_finish":
            best, pixels, match = arguments
            run, values = self._library.run_finish, [ctypes.c_void_p(best), pixels, ctypes.c_void_p(match)]
        else:
            pointers = {"match": (0, 1, 5), "match_split": (0, 1, 6), "paste": (0, 1, 2, 6)}[name]
            values = [ctypes.c_void_p(a) if i in pointers else a for i, a in enumerate(arguments)]
            run = getattr(self._library, f"run_{name}")
            values.insert(0, int(suffix == "fp16"))
        values.insert(int(kernel != "patch_match_finish"), (ctypes.c_int * 3)(*grid))
        run(*values)

    def _typed(
        self, features: NDArray[np.floating], hole: NDArray[np.floating]
    ) -> tuple[str, NDArray[np.floating], NDArray[np.floating]]:
        suffix = {np.dtype(np.float32): "fp32", np.dtype(np.float16): "fp16"}[features.dtype]
        return suffix, np.ascontiguousarray(features), np.ascontiguousarray(hole.astype(features.dtype))

    def _run(self, name: str, arguments: tuple, launch: Launch, output: NDArray) -> None:
        suffix, *inputs = arguments
        assert launch.kernel == f"patch_{name}_{suffix}"
        pointers = map(_pointer, inputs)
        run = getattr(self._library, f"run_{name}")
        run(int(suffix == "fp16"), _grid(launch), *pointers, *launch.sizes, _pointer(output))


def _grid(launch: Launch) -> ctypes.Array:
    return (ctypes.c_int * 3)(*launch.grid)


def _pointer(array: NDArray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
