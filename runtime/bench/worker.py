"""A process that holds one engine for `runtime.bench.measure`, and the parent's handle of it."""

import math
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.bench.inputs import BenchInput, require_arrays
from runtime.bench.runners import bench_spec, open_runner
from runtime.engines.engine import engine_spec
from runtime.errors import DeviceError, Pix2rtError
from runtime.runners.runner import Runner


class EngineProcess:
    """An engine in a process of its own. Requests and replies are pickles on its standard input and output."""

    def __init__(self, path: Path) -> None:
        self.path = path
        package_folder = str(Path(__file__).resolve().parents[2])
        search = os.pathsep.join(filter(None, (package_folder, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            # -P: a folder "runtime" where the user works must not be taken for ours.
            [sys.executable, "-P", "-c", "from runtime.bench.worker import serve; serve()"],
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
            if str(self.path) in str(reply):
                raise reply
            raise type(reply)(f"engine {self.path}: {reply}") from reply
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

    def open(self, path: Path, device: str, backend: str, threads: int | None, scene: BenchInput) -> dict[str, Any]:
        libraries = _imported_libraries()  # a library's own import is no part of the load time
        start = time.perf_counter()
        runner, self._run = open_measured(path, device, backend, threads, scene)
        return {
            "load_ms": 1000 * (time.perf_counter() - start),
            "kind": engine_spec(path).kind,
            "precision": runner.spec.precision,
            "device": runner.device,
            "backend": runner.backend,
            **libraries,
        }

    def run(self) -> float:
        start = time.perf_counter()
        self._output = self._run()
        return 1000 * (time.perf_counter() - start)

    def finish(self) -> tuple[float, NDArray[Any]]:
        return peak_memory_mb(), self._output


def open_measured(
    path: Path, device: str, backend: str, threads: int | None, scene: BenchInput
) -> tuple[Runner, Callable[[], NDArray[Any]]]:
    """Open an engine of any kind: what runs it, and one call on `scene`."""
    arrays = require_arrays(bench_spec(path), path, scene)
    runner = open_runner(path, device, backend=backend, threads=threads)
    return runner, lambda: _as_array(runner.run(**arrays, **runner.bench_options))


def _as_array(result: Any) -> NDArray[Any]:
    """Styles by region become rows."""
    return np.stack(list(result.values())) if isinstance(result, dict) else result


def _imported_libraries() -> dict[str, str]:
    """The versions of what runs engines here, imported."""
    from runtime.engines.onnx_engine import LIBRARY_VERSION

    return {"onnxruntime": LIBRARY_VERSION}


def peak_memory_mb() -> float:
    """Largest resident set of this process so far, in MB; not a number on Windows, where nobody has looked for it."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:
        return math.nan
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS counts bytes
