"""What the commands print: Rich tables of specifications and measurements."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from runtime.bench.layers import Profile
from runtime.engines.kinds import kinds
from runtime.engines.spec import EngineSpec, TensorSpec

MB = 1e6


def least_memory_bytes(spec: EngineSpec) -> int:
    """The least that loading and one call need on the CPU; libraries and the buffers of operators come on top.

    While onnxruntime lays the weights out for the processor it holds them 2.5 times (measured with 274 MB of
    convolutions); the tensors of a call come on top.
    """
    return 5 * spec.cost.weight_bytes // 2 + spec.cost.activation_bytes


def count_words(count: int) -> str:
    """A large count in a unit that leaves digits before the point: "1.21 G", "37.50 M"."""
    return f"{count / 1e9:,.2f} G" if count >= 10**9 else f"{count / 1e6:,.2f} M"


def size_words(spec: EngineSpec) -> str:
    """Of its images: width×height, or which sizes it takes."""
    return f"{spec.size[1]}×{spec.size[0]}" if spec.size else kinds()[spec.kind].free_size(spec)


def spec_tables(path: str, spec: EngineSpec, runs: Iterable[tuple[str, str | None]]) -> RenderableType:
    """The specification of the engine `path`, what runs it here ("native on cpu", why not), its tensors and classes."""
    parts: list[RenderableType] = [_facts(path, spec), _choices(runs), _tensors(spec)]
    if spec.labels:
        parts.append(_classes(spec))
    return Group(*parts)


def _facts(path: str, spec: EngineSpec) -> Table:
    height, width = spec.cost.size
    facts = {
        "kind": f"{spec.kind} ({spec.family})",
        "size": size_words(spec),
        "precision": spec.precision,
        "normalization": spec.normalization,
        "multiply-adds": f"{count_words(spec.cost.macs)} at {width}×{height}",
        "parameters": f"{spec.cost.parameters / 1e6:.2f} M",
        "weights": f"{spec.cost.weight_bytes / MB:.1f} MB",
        "peak memory": f"at least {least_memory_bytes(spec) / MB:.0f} MB at {width}×{height}; see pix2rt bench",
        "parity": ", ".join(f"{name} {value:g}" for name, value in spec.parity.items()) or "not measured",
        "made with": ", ".join(f"{name} {version}" for name, version in spec.versions.items()),
        "checkpoint": spec.checkpoint_sha256,
    }
    if spec.recipe:
        facts["input"] = f"{spec.recipe.derive}, made of {spec.recipe.raw}; translate --derive makes it"
    facts |= {name: str(value) for name, value in spec.options.items()}
    table = Table(title=path, title_justify="left", show_header=False)
    for name, value in facts.items():
        table.add_row(name, Text(value))
    return table


def _choices(runs: Iterable[tuple[str, str | None]]) -> Table:
    table = Table("runs with", "")
    for name, reason in runs:
        table.add_row(name, Text(f"no: {reason}" if reason else "yes"))
    return table


def _tensors(spec: EngineSpec) -> Table:
    table = Table("tensor", "dtype", "shape")
    rows: list[tuple[str, TensorSpec]] = [("→", tensor) for tensor in spec.inputs] + [("←", t) for t in spec.outputs]
    for arrow, tensor in rows:
        table.add_row(f"{arrow} {tensor.name}", tensor.dtype, Text(" × ".join(map(str, tensor.shape))))
    return table


def _classes(spec: EngineSpec) -> Table:
    assert spec.labels
    table = Table("id", "colour", "class", "styles")
    for class_id, (name, colour) in enumerate(zip(spec.labels.names, spec.labels.palette, strict=True)):
        styles = len(spec.styles.centres.get(class_id, ())) if spec.styles else 0
        chip = Text("    ", style=f"on rgb({colour[0]},{colour[1]},{colour[2]})")
        what = f"{name} (part)" if class_id in spec.labels.parts else name
        table.add_row(str(class_id), chip, Text(what), str(styles) if styles else "")
    return table


def bench_table(report: Mapping[str, Any]) -> RenderableType:
    """The measurements of `runtime.bench.measure.measure`, one column per engine."""
    machine = report["machine"]
    height, width = report["size"]
    title = f"{width}×{height}, {report['input']}, {machine['cpu']}, {machine['cores']} cores"
    table = Table("", *_titles([engine["path"] for engine in report["engines"]]))
    rows = {
        "kind": "{kind}",
        "precision": "{precision}",
        "device": "{device}",
        "backend": "{backend}",
        "latency p50": "{p50_ms:.1f} ms",
        "latency p90": "{p90_ms:.1f} ms",
        "latency p99": "{p99_ms:.1f} ms",
        "images per second": "{images_per_s:.2f}",
        "load": "{load_ms:.0f} ms",
        "first call": "{first_call_ms:.1f} ms",
        "peak memory": "{peak_memory_mb:.0f} MB",
        "onnxruntime": "{onnxruntime}",
    }
    for name, pattern in rows.items():
        table.add_row(name, *(pattern.format(**engine) for engine in report["engines"]))
    return Group(Text(title), table, *(Text(_comparison(report, engine)) for engine in report["engines"][1:]))


def _titles(paths: Sequence[str]) -> list[str]:
    """File names, where these tell the engines apart."""
    names = [Path(path).name for path in paths]
    return names if len(set(names)) == len(set(paths)) else list(paths)


def _comparison(report: Mapping[str, Any], engine: Mapping[str, Any]) -> str:
    first, ratio, difference = report["engines"][0], engine["speedup"], engine["max_difference"]
    other = Path(engine["path"]).name if engine["path"] != first["path"] else f"in {engine['backend']}"
    parity = "outputs of other shapes" if difference is None else f"largest difference {difference:.4g}"
    unit = " grey levels" if difference is not None and report["output"] == "grey levels" else ""
    turns = f"turn by turn {ratio['min']:.2f}× to {ratio['max']:.2f}×"
    return f"{ratio['median']:.2f}× as fast as {other} ({turns}); {parity}{unit}"


def layers_table(profile: Profile) -> RenderableType:
    """What `runtime.bench.layers.profile` found: layers that are alike in a row, the slowest first."""
    title = f"{1000 * profile.seconds:.1f} ms in {profile.instruction_set} kernels, {profile.threads} threads"
    right = {"justify": "right", "no_wrap": True}
    table = Table(title=title, title_justify="left")
    table.add_column("layer", no_wrap=True)
    for name in ("count", "ms", "share", "GFLOP/s", "of peak"):
        table.add_column(name, **right)  # type: ignore[arg-type]
    for one in profile.layers:
        rate = one.operations_per_s
        rates = (f"{rate / 1e9:.0f}", f"{rate / profile.peak:.0%}") if one.products else ("", "")
        share = one.seconds / profile.seconds
        table.add_row(Text(one.step), str(one.count), f"{1000 * one.seconds:.2f}", f"{share:.1%}", *rates)
    total = sum(one.products for one in profile.layers)
    peak = (
        f"peak of the innermost loop: {profile.peak / 1e9:.0f} GFLOP/s; the whole engine reaches "
        f"{2 * total / profile.seconds / 1e9:.0f}. Counted are the multiply-adds of the direct form; Winograd's form "
        "needs down to a quarter of them, so a layer may exceed the peak."
    )
    return Group(table, Text(peak))
