"""Opening engines: the checked specification of a file, and the backend that runs it."""

import os
from collections.abc import Iterator

from runtime.engines.backend import Backend, Device, Engine
from runtime.engines.backends import backends
from runtime.engines.external_data import require_one_file
from runtime.engines.kinds import kinds as known_kinds
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.plan import read_plan_spec
from runtime.engines.source import EngineSource
from runtime.engines.spec import EngineSpec
from runtime.errors import DeviceError, EngineFormatError, InputError

AUTO = "auto"
_DEVICE_ORDER = ("cuda", "cpu")  # "auto" tries them in this order
_MAX_THREADS = 4096
_READERS = {".onnx": read_spec, ".engine": read_plan_spec}  # of the specification, by the file's suffix

EngineFile = str | os.PathLike[str] | bytes | EngineSource


def open_engine(
    engine: EngineFile,
    device: str = AUTO,
    *,
    backend: str = AUTO,
    kinds: tuple[str, ...] = (),
    threads: int | None = None,
) -> Engine:
    """Load an engine.

    Args:
        engine: the path of an `.onnx` file that `python -m export onnx` wrote, or its bytes; or the path of a plan that
            `pix2rt build` made of one, `.engine`, with its `.engine.json` beside it.
        device: "cpu", "cuda", "cuda:1", or "auto": what works, a GPU before the CPU.
        backend: "auto", "onnxruntime", "tensorrt", or another of `runtime.engines.backends`; "auto" takes the fastest
            that works. With "tensorrt" an `.onnx` becomes a plan first, which takes minutes, once.
        kinds: the kinds the caller can run; empty for all.
        threads: CPU threads of one call; None for one per physical core.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        EngineFormatError: truncated, foreign, tampered with, of a newer format or of another kind.
        InputError: `device`, `backend` or `threads` is not a possible value.
        DeviceError: what was asked for is not available here.
    """
    choices = _choices(device, backend)
    if threads is not None and (
        isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= _MAX_THREADS
    ):
        raise InputError(f"threads is {threads!r}, expected an integer from 1 to {_MAX_THREADS}, or None for all cores")
    source = EngineSource.of(engine)
    spec = engine_spec(source, kinds)
    if source.suffix == ".onnx":
        require_one_file(source)
    reasons: dict[str, str] = {}
    failures: dict[str, DeviceError] = {}
    for candidate, place in _of_this_suffix(source, choices):
        name = f"{candidate.name} on {place}"
        reason = why_not(candidate, source, spec, place, is_named=backend != AUTO)
        if reason is not None:
            reasons[name] = reason
            continue
        try:
            opened = candidate.open(source, spec, place, threads)
        except DeviceError as error:
            reasons[name], failures[name] = str(error), error
            continue
        opened.skipped = (*(f"{name}: {failure}" for name, failure in failures.items()), *opened.skipped)
        return opened
    if len(failures) == len(reasons) == 1:
        raise next(iter(failures.values()))
    tried = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise DeviceError(f"device {device!r} is not available for engine {source} ({tried})")


def why_not(
    backend: Backend, source: EngineSource, spec: EngineSpec, device: Device, *, is_named: bool = False
) -> str | None:
    """What keeps a backend from running an engine on a device, as far as can be told without trying; None: nothing."""
    if source.suffix not in backend.suffixes:
        return f"it runs {', '.join(backend.suffixes)}, not {source.suffix}"
    reason = None if is_named else backend.shuns(source, spec)
    if reason is not None:
        return f"{reason}, so only where backend={backend.name!r} asks for it"
    return backend.why_not(source, spec, device)


def _choices(device: str, backend: str) -> list[tuple[Backend, Device]]:
    """What to try, the best first."""
    known = backends()
    if backend != AUTO and backend not in known:
        raise InputError(f"backend {backend!r} is unknown; give one of auto, {', '.join(known)}")
    places = [Device(name) for name in _DEVICE_ORDER] if device == AUTO else [Device.parse(device)]
    wanted = list(known.values()) if backend == AUTO else [known[backend]]
    found = [(one, place) for place in places for one in wanted if place.type in one.devices]
    if not found:
        raise DeviceError(f"backend {backend!r} does not run on {device}, but on {', '.join(wanted[0].devices)}")
    return found


def _of_this_suffix(source: EngineSource, choices: list[tuple[Backend, Device]]) -> list[tuple[Backend, Device]]:
    """Those of the choices that are worth trying, so that no error lists the others; all where none is."""
    return [choice for choice in choices if source.suffix in choice[0].suffixes] or choices


def choices(engine: EngineFile, device: str = AUTO, backend: str = AUTO) -> Iterator[tuple[str, str | None]]:
    """("native on cpu", what keeps it from running the engine or None) for everything that `open_engine` would try."""
    source = EngineSource.of(engine)
    spec = engine_spec(source)
    for candidate, place in _choices(device, backend):
        yield f"{candidate.name} on {place}", why_not(candidate, source, spec, place, is_named=backend != AUTO)


def engine_spec(engine: EngineFile, wanted: tuple[str, ...] = ()) -> EngineSpec:
    """The checked specification of an engine, in milliseconds; errors as in `open_engine`."""
    source = EngineSource.of(engine)
    if source.suffix not in _READERS:
        raise EngineFormatError(
            f"engine {source}: unknown kind of file {source.suffix!r}, expected {' or '.join(_READERS)}"
        )
    spec = _READERS[source.suffix](source)
    if wanted and spec.kind not in wanted:
        raise EngineFormatError(f"engine {source} is a {spec.kind!r} engine, expected {' or '.join(map(repr, wanted))}")
    known = known_kinds()
    if spec.kind not in known:
        raise EngineFormatError(
            f"engine {source} is of kind {spec.kind!r}; this pix2rt knows {', '.join(known)}: upgrade it"
        )
    try:
        known[spec.kind].require(spec)
    except ValueError as error:
        raise EngineFormatError(
            f"engine {source}: its specification makes no sense ({error}); export it again"
        ) from error
    return spec
