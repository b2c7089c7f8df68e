"""Reports of `runtime.bench.measure` as a table of values and as a picture."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.extras import extra_needed

COLUMNS = (
    *("engine", "kind", "precision", "device", "backend", "height", "width", "input"),
    *("p50_ms", "p90_ms", "p99_ms", "images_per_s", "load_ms", "first_call_ms", "peak_memory_mb"),
    *("speedup", "speedup_min", "speedup_max", "max_difference"),
)
Reports = Sequence[Mapping[str, Any]]


def write_csv(reports: Reports, path: Path) -> None:
    """A line an engine and size; `speedup` is how many times as fast as this one the first engine is."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore")
        writer.writeheader()
        for report in reports:
            height, width = report["size"]
            for engine in report["engines"]:
                ratio = engine.get("speedup", {})
                names = {"median": "speedup", "min": "speedup_min", "max": "speedup_max"}
                row = {"engine": engine["path"], "height": height, "width": width, "input": report["input"]}
                writer.writerow(engine | row | {name: ratio.get(key, "") for key, name in names.items()})


def require_plots() -> None:
    """Raise MissingExtraError where matplotlib is not installed: before anything is measured."""
    with extra_needed("bench --plot", "bench"):
        import matplotlib  # noqa: F401


def write_plot(reports: Reports, path: Path) -> None:
    """PNG: latency against size, a line an engine, from p50 up to p90. Needs matplotlib."""
    from matplotlib.figure import Figure

    reports = sorted(reports, key=lambda report: report["size"][0] * report["size"][1])
    places = range(len(reports))
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for index, first in enumerate(reports[0]["engines"]):
        engines = [report["engines"][index] for report in reports]
        p50, p90 = ([engine[name] for engine in engines] for name in ("p50_ms", "p90_ms"))
        label = f"{Path(first['path']).name} in {first['backend']}, {first['precision']}"
        (line,) = axes.plot(places, p50, marker="o", label=label)
        axes.fill_between(places, p50, p90, color=line.get_color(), alpha=0.2)
    axes.set_xticks(places, [f"{report['size'][1]}×{report['size'][0]}" for report in reports])
    axes.set_ylim(bottom=0)
    axes.set_ylabel("latency, ms (p50 to p90)")
    axes.set_title(f"{reports[0]['machine']['cpu']}, {reports[0]['machine']['cores']} cores", fontsize=10)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, format="png", dpi=150)
