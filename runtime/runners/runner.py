"""What all runners share: opening and closing an engine, warming up, and going to another process."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ClassVar, Self, TypeGuard

from numpy.typing import NDArray

from runtime.engines.backend import Engine
from runtime.engines.engine import AUTO, EngineFile, open_engine
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec
from runtime.errors import EngineFormatError
from runtime.runners.examples import Size

Notify = Callable[[str], None]


class Runner:
    """Runs engines of one kind. `run` may be called from several threads; a `with` block closes at its end.

    A runner can be pickled: the other process opens the engine's file anew, so it must be there under the same path.

    Attributes:
        spec: what the engine is.
        device: where it runs: "cpu", "cuda" or "cuda:1".
        backend: what runs it, such as "onnxruntime".
        skipped: what "auto" prefers and found here, but could not start, with the reason.
    """

    kind: ClassVar[str]
    bench_options: ClassVar[Mapping[str, Any]] = {}  # of `run`, so that every measured call does the same work
    quick_options: ClassVar[Mapping[str, Any]] = {}  # of `run`, so that one call is short

    def __init__(
        self,
        engine: EngineFile | Engine,
        device: str = AUTO,
        *,
        backend: str = AUTO,
        threads: int | None = None,
    ) -> None:
        """Load the engine; arguments and errors as in `runtime.engines.engine.open_engine`.

        An engine that is open already is taken as it is, whatever the other arguments say.
        """
        self._reopen: tuple[Any, ...] | None = None
        self._name = "given open"
        self._engine: Engine
        if _is_open(engine):
            self._engine = engine
            if engine.spec.kind != self.kind:
                raise EngineFormatError(f"engine is of kind {engine.spec.kind!r}, expected {self.kind!r}")
        else:
            source = EngineSource.of(engine)
            self._name = str(source)
            self._reopen = (source.absolute(), device, backend, threads)
            self._engine = open_engine(source, device, backend=backend, kinds=(self.kind,), threads=threads)
        self.spec: EngineSpec = self._engine.spec
        self.device: str = self._engine.device
        self.backend: str = self._engine.backend
        self.skipped: tuple[str, ...] = self._engine.skipped

    @classmethod
    def example(
        cls, spec: EngineSpec, size: Size | None = None, *, noise: bool = False, seed: int = 0
    ) -> dict[str, NDArray[Any]]:
        """Generated arrays for `run`, by name, at the engine's size: 8 × 8 blocks of one class or colour each.

        Args:
            spec: of the engine.
            size: (H, W); None for the engine's own, or where that is free the one that its cost was counted at.
            noise: every pixel is random instead, the worst case for an engine that profits from equal neighbours.
            seed: of what is random.
        """
        raise NotImplementedError

    def run(self, *arrays: Any, **options: Any) -> Any:
        """Each runner has its own."""
        raise NotImplementedError

    def warm_up(self) -> None:
        """Run once on a generated input, so that the user's first call does not pay for what only the first one does.

        Raises:
            DeviceError: the device fails, for instance for lack of memory.
        """
        self.run(**self.example(self.spec), **self.quick_options)

    def __repr__(self) -> str:
        spec = self.spec
        size = f"{spec.size[0]}×{spec.size[1]}" if spec.size else "any size"
        where = f"{self.backend} on {self.device}"
        return f"<{type(self).__name__} {self._name}: {spec.family}, {size}, {spec.precision}, {where}>"

    def close(self) -> None:
        """Give the engine's memory back. Calls that run end as they would; later ones raise ClosedError."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._reopen is None:
            raise TypeError(f"a {type(self).__name__} of an open engine cannot be pickled; make it from a path")
        return _opened_again, (type(self), *self._reopen)

    def _batch(self, count: int) -> int:
        """Images in one call of the engine, of `count`.

        Where the batch is free a GPU gets all at once; the CPU one by one, which takes no longer and less memory.
        """
        return self.spec.max_batch or (1 if self.device == "cpu" else count)


def _is_open(engine: EngineFile | Engine) -> TypeGuard[Engine]:
    return isinstance(getattr(engine, "spec", None), EngineSpec)


def _opened_again(runner: type[Runner], source: EngineSource, device: str, backend: str, threads: int | None) -> Runner:
    return runner(source, device, backend=backend, threads=threads)


def ignore(sentence: str) -> None:
    """For a caller who does not want to be told."""
