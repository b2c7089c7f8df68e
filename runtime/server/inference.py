"""One runner per engine for all pages, in a thread of its own, so that the event loop never waits for a network."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

from runtime.engines.engine import engine_spec
from runtime.errors import EngineFormatError, InputError
from runtime.runners.inpainter import Inpainter
from runtime.runners.runner import Runner
from runtime.runners.sketch_completer import SketchCompleter
from runtime.runners.style_encoder import StyleEncoder
from runtime.runners.synthesizer import Synthesizer
from runtime.runners.translator import Translator

RUNNERS: Mapping[str, type[Runner]] = {one.kind: one for one in (Synthesizer, Translator, Inpainter, SketchCompleter)}
Result = TypeVar("Result")


class Worker:
    """A runner and the one thread that calls it: calls come one after the other, as they were made.

    Attributes:
        name: of the engine, as pages see it.
        path: of its file.
        runner: what runs it.
        encoder: the encoder that lies beside a synthesizer, NAME.encoder.onnx; None where there is none.
        waiting: calls that have not ended.
        last_ms: what the last call took.
    """

    def __init__(self, name: str, path: Path, runner: Runner, encoder: StyleEncoder | None) -> None:
        self.name, self.path, self.runner, self.encoder = name, path, runner, encoder
        self.waiting = 0
        self.last_ms = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"pix2rt {name}")

    async def call(self, work: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
        """Run `work` in the thread. Where the caller is cancelled before its turn, it is not run at all."""
        loop = asyncio.get_running_loop()
        self.waiting += 1
        try:
            return await loop.run_in_executor(self._thread, lambda: self._timed(work, *arguments, **options))
        finally:
            self.waiting -= 1

    def _timed(self, work: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
        start = time.perf_counter()
        result = work(*arguments, **options)
        self.last_ms = 1000 * (time.perf_counter() - start)
        return result

    def close(self) -> None:
        """Wait for the call that runs, drop those that wait, and give the engine's memory back."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self.runner.close()
        if self.encoder:
            self.encoder.close()


class Workers:
    """The engines of a server, by name."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = {worker.name: worker for worker in workers}

    @classmethod
    def open(cls, paths: Sequence[Path], device: str, backend: str, threads: int | None) -> Self:
        """Load all engines; an error names the one that is broken, or of a kind without a page."""
        specs = [(path, engine_spec(path)) for path in paths]
        opened: list[Worker] = []
        for path, spec in specs:
            if spec.kind not in RUNNERS:
                raise EngineFormatError(f"engine {path} is a {spec.kind!r} engine; the studio has pages for {_kinds()}")
            runner = RUNNERS[spec.kind](path, device, backend=backend, threads=threads)
            beside = path.with_suffix(".encoder.onnx")
            has_encoder = spec.kind == Synthesizer.kind and spec.input("styles") and beside.is_file()
            encoder = StyleEncoder(beside, device, backend=backend, threads=threads) if has_encoder else None
            taken = {worker.name for worker in opened}
            name = next(one for one in (path.stem, *(f"{path.stem}-{n}" for n in range(2, 1000))) if one not in taken)
            opened.append(Worker(name, path, runner, encoder))
        return cls(opened)

    def __iter__(self) -> Any:
        return iter(self._workers.values())

    def of_kind(self, name: str, kind: type[Runner]) -> Worker:
        """The engine `name` if a runner of `kind` runs it; else raise InputError."""
        worker = self._workers.get(name)
        if worker is None or not isinstance(worker.runner, kind):
            having = [one.name for one in self._workers.values() if isinstance(one.runner, kind)]
            raise InputError(f"there is no {kind.kind} engine {name!r} here; those are {', '.join(having) or 'none'}")
        return worker

    def close(self) -> None:
        """Close all; see `Worker.close`."""
        for worker in self._workers.values():
            worker.close()


def _kinds() -> str:
    return ", ".join(RUNNERS)
