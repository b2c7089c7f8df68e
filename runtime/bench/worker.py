"""A process that holds one engine for `runtime.bench.measure`, and the parent's handle of it."""

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.bench.baseline import BaselineInpainter, BaselineSynthesizer, BaselineTranslator
from runtime.engines.engine import engine_spec
from runtime.engines.spec import EngineSpec
from runtime.errors import DeviceError, InputError, Pix2rtError
from runtime.runners.inpainter import Inpainter
from runtime.runners.sketch_completer import SketchCompleter
from runtime.runners.style_encoder import StyleEncoder
from runtime.runners.synthesizer import Synthesizer
from runtime.runners.translator import Translator


@dataclass(frozen=True)
class BenchInput:
    """What every engine of a comparison gets.

    Attributes:
        arrays: by the names that the runners' `run` gives them, all [H, W, …]: "label_map" and "inst_map" for a
            synthesizer, "image" for a translator or a whole search, "image", "hole_mask" and where it uses one "style"
            for an inpainter, "photo" and "regions" for a style encoder.
        source: where they come from, for the report.
    """

    arrays: Mapping[str, NDArray[Any]]
    source: str

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = next(iter(self.arrays.values())).shape[:2]
        return height, width


class EngineProcess:
    """An engine in a process of its own. Requests and replies are pickles on its standard input and output."""

    def __init__(self, path: Path) -> None:
        self.path = path
        package_folder = str(Path(__file__).resolve().parents[2])
        search = os.pathsep.join(filter(None, (package_folder, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from runtime.bench.worker import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": search},
        )
        assert self._process.stdin
        assert self._process.stdout
        self._requests, self._replies = self._process.stdin, self._process.stdout

    def call(self, name: str, *arguments: object) -> Any:
        """The reply to request `name`; raises the Pix2rtError that it met, or DeviceError if the process died."""
        try:
            pickle.dump((name, arguments), self._requests)
            self._requests.flush()
            reply = pickle.load(self._replies)
        except (EOFError, BrokenPipeError) as error:
            code = self._process.wait()
            raise DeviceError(
                f"the process that ran engine {self.path} died (exit status {code}); is the memory enough? "
                "`python -m runtime info` shows what the engine needs"
            ) from error
        if isinstance(reply, Pix2rtError):
            raise reply
        return reply

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):  # what was not yet sent to a process that is gone
            self._requests.close()
        self._replies.close()


def serve() -> None:
    """Answer the requests of a `EngineProcess` until its end closes."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not end up among the replies
    service = _Service()
    while True:
        try:
            name, arguments = pickle.load(sys.stdin.buffer)
        except (EOFError, KeyboardInterrupt):
            return
        try:
            reply = getattr(service, name)(*arguments)
        except Pix2rtError as error:
            reply = error
        pickle.dump(reply, replies)
        replies.flush()


class _Service:
    """The engine inside a worker."""

    def open(self, path: str, device: str, threads: int | None, scene: BenchInput) -> dict[str, Any]:
        import runtime.engines.onnx_engine  # noqa: F401  onnxruntime's own import is no part of the load time

        start = time.perf_counter()
        spec, used_device, self._run = open_runner(Path(path), device, threads, scene)
        return {
            "load_ms": 1000 * (time.perf_counter() - start),
            "kind": spec.kind,
            "precision": spec.precision,
            "device": used_device,
            "onnxruntime": sys.modules["onnxruntime"].__version__,
        }

    def run(self) -> float:
        start = time.perf_counter()
        self._output = self._run()
        return 1000 * (time.perf_counter() - start)

    def finish(self) -> tuple[float, NDArray[Any]]:
        return peak_memory_mb(), self._output


def open_runner(
    path: Path, device: str, threads: int | None, scene: BenchInput
) -> tuple[EngineSpec, str, Callable[[], NDArray[Any]]]:
    """Open an engine of any kind: its specification, its device, and one call on `scene`."""
    spec, arrays = engine_spec(path), scene.arrays
    is_baseline = spec.kind == "baseline"
    if spec.kind == "style_encoder":
        _require_arrays(path, scene, "photo", "regions")
        encoder = StyleEncoder(path, device, threads)
        return spec, encoder.device, lambda: np.stack(list(encoder.run(arrays["photo"], arrays["regions"]).values()))
    if spec.kind == "sketch":
        _require_arrays(path, scene, "image")
        completer = SketchCompleter(path, device, threads)
        return spec, completer.device, lambda: completer.run(scene.arrays["image"], stop_early=False)
    if spec.input("hole_mask") or spec.input("hole"):
        _require_arrays(path, scene, "image", "hole_mask")
        inpainter = (BaselineInpainter if is_baseline else Inpainter)(path, device, threads)
        return (
            spec,
            inpainter.device,
            lambda: inpainter.run(arrays["image"], arrays["hole_mask"], style=arrays.get("style")),
        )
    if spec.labels is None:
        _require_arrays(path, scene, "image")
        translator = (BaselineTranslator if is_baseline else Translator)(path, device, threads)
        return spec, translator.device, lambda: translator.run(arrays["image"])
    _require_arrays(path, scene, "label_map", "inst_map")
    synthesizer = (BaselineSynthesizer if is_baseline else Synthesizer)(path, device, threads)
    inst_map = arrays["inst_map"] if synthesizer.uses_instances else None
    return spec, synthesizer.device, lambda: synthesizer.run(arrays["label_map"], inst_map)


def _require_arrays(path: Path, scene: BenchInput, *names: str) -> None:
    if not set(names) <= scene.arrays.keys():
        raise InputError(
            f"engine {path} takes {' and '.join(names)}, this measurement has {' and '.join(scene.arrays)}; compare "
            "engines of one kind"
        )


def peak_memory_mb() -> float:
    """Largest resident set of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS counts bytes
