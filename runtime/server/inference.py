"""One runner per engine for all pages and clients, called in threads that may be its own or shared by all engines."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from runtime.engines.engine import engine_spec
from runtime.errors import EngineFormatError, InputError, Pix2rtError
from runtime.runners.inpainter import Inpainter
from runtime.runners.runner import Runner
from runtime.runners.sketch_completer import SketchCompleter
from runtime.runners.style_encoder import StyleEncoder
from runtime.runners.synthesizer import Synthesizer
from runtime.runners.translator import Translator
from runtime.server.line import Line

RUNNERS: Mapping[str, type[Runner]] = {
    one.kind: one for one in (Synthesizer, Translator, Inpainter, SketchCompleter, StyleEncoder)
}
Result = TypeVar("Result")


class Worker:
    """A runner and the threads that call it, in the order in which calls were made.

    Attributes:
        name: of the engine, as pages and clients see it.
        path: of its file.
        runner: what runs it.
        encoder: the encoder that lies beside a synthesizer, NAME.encoder.onnx; None where there is none.
        line: where its calls wait; one thread of its own where none is given.
        last_ms: what the call took that ended last; of a call just awaited, as long as nothing else is awaited.
    """

    def __init__(
        self, name: str, path: Path, runner: Runner, encoder: StyleEncoder | None, line: Line | None = None
    ) -> None:
        self.name, self.path, self.runner, self.encoder = name, path, runner, encoder
        self.line = line or Line(name)
        self.last_ms = 0.0

    @property
    def waiting(self) -> int:
        """Calls that have not ended."""
        return self.line.waiting

    async def call(self, work: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
        """See `Line.run`; what it took is in `last_ms`."""
        done = await self.line.run(work, *arguments, **options)
        self.last_ms = 1000 * done.took
        return done.result

    def close(self) -> None:
        """Wait for the calls that run, drop those that wait, and give the engine's memory back."""
        self.line.close()
        self.runner.close()
        if self.encoder:
            self.encoder.close()


class Workers:
    """The engines of a server, by name.

    Attributes:
        failed: why engines were not loaded, by their names.
    """

    def __init__(self, workers: Sequence[Worker], failed: Mapping[str, Pix2rtError] | None = None) -> None:
        self._workers = {worker.name: worker for worker in workers}
        self.failed = dict(failed or {})

    @classmethod
    def open(
        cls,
        paths: Sequence[Path],
        device: str,
        backend: str,
        threads: int | None,
        *,
        kinds: Collection[str] = tuple(RUNNERS),
        line: Line | None = None,
        keeps_going: bool = False,
    ) -> Self:
        """Load all engines.

        Args:
            paths: of their files.
            device: as in `runtime.engines.engine.open_engine`.
            backend: likewise.
            threads: likewise.
            kinds: of engines that the server has something for.
            line: that all share; None for one each.
            keeps_going: load the others where one is broken; `failed` then says why.

        Raises:
            Pix2rtError: an engine is broken, or all are; names it.
        """
        opened: dict[str, Worker] = {}
        failed: dict[str, Pix2rtError] = {}
        for path in paths:
            taken = {*opened, *failed}
            name = next(one for one in (path.stem, *(f"{path.stem}-{n}" for n in range(2, 1000))) if one not in taken)
            try:
                runner, encoder = _runners(path, device, backend, threads, kinds)
            except Pix2rtError as error:
                failed[name] = error
                if not keeps_going or len(failed) == len(paths):
                    cls(list(opened.values())).close()
                    raise
            else:
                opened[name] = Worker(name, path, runner, encoder, line)
        return cls(list(opened.values()), failed)

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    def get(self, name: str) -> Worker | None:
        """The engine `name`, None where there is none, or it was not loaded."""
        return self._workers.get(name)

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


def _runners(
    path: Path, device: str, backend: str, threads: int | None, kinds: Collection[str]
) -> tuple[Runner, StyleEncoder | None]:
    """The engine's runner, and that of the encoder beside it."""
    spec = engine_spec(path)
    if spec.kind not in kinds:
        raise EngineFormatError(f"engine {path} is a {spec.kind!r} engine; what is served here is {', '.join(kinds)}")
    runner = RUNNERS[spec.kind](path, device, backend=backend, threads=threads)
    beside = path.with_suffix(".encoder.onnx")
    has_encoder = spec.kind == Synthesizer.kind and spec.input("styles") and beside.is_file()
    return runner, StyleEncoder(beside, device, backend=backend, threads=threads) if has_encoder else None
