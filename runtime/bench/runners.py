"""The runner of any engine that can be measured, a baseline's being that of the engine it is compared with."""

from pathlib import Path

from runtime.bench.baseline import as_byte_engine, byte_spec
from runtime.engines.engine import AUTO, engine_spec, open_engine
from runtime.engines.kinds import kinds
from runtime.engines.spec import EngineSpec
from runtime.errors import EngineFormatError
from runtime.runners.runner import Runner


def bench_spec(path: Path) -> EngineSpec:
    """The specification of an engine that can be measured.

    Raises:
        MissingFileError, EngineFormatError: as `open_engine`; or no runner is known for it.
    """
    spec = byte_spec(engine_spec(path))
    runner_of(spec, str(path))
    return spec


def runner_of(spec: EngineSpec, name: str = "of this specification") -> type[Runner]:
    """The class that runs engines of this kind; `name` is the engine's, for the error."""
    runner: type[Runner] | None = kinds()[spec.kind].runner_class()
    if runner is None:
        raise EngineFormatError(
            f"engine {name} is a {spec.kind!r} engine, which `python -m training evaluate` runs; it cannot be measured"
        )
    return runner


def open_runner(path: Path, device: str = AUTO, *, backend: str = AUTO, threads: int | None = None) -> Runner:
    """Load an engine; arguments and errors as in `open_engine`."""
    runner = runner_of(bench_spec(path), str(path))
    return runner(as_byte_engine(open_engine(path, device, backend=backend, threads=threads)))
