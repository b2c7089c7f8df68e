"""Reports as tables for the terminal."""

from typing import Any

from rich.table import Table

from cuda_ext import resources

_LABELS = {
    "convolution": "unfold + conv2d + conv_transpose2d",
    "operator": "torch operator",
    "onnx": "ONNX functions in ONNX Runtime",
    "product": "the Gram product alone",
}


def of_cpu(report: dict[str, Any]) -> Table:
    """Of `bench.measure`: a form per line."""
    table = Table(title=f"{_title(report)}, {report['threads']} threads", caption=_caption(report))
    for heading in ("form", "seconds", "ratio", "roofline", "extra memory"):
        table.add_column(heading, justify="left" if heading == "form" else "right")
    for form, figures in report["forms"].items():
        memory = (
            ""
            if figures.get("extra_mb") is None
            else f"{figures['extra_mb']:.0f} MB, {figures['of_scores']:.0%} of N×M"
        )
        row = (f"{figures['seconds']:.3f}", f"{figures['ratio']:.1f}×", f"{figures['roofline']:.0%}")
        table.add_row(_LABELS[form], *row, memory)
    return table


def of_resources(report: resources.Report) -> Table:
    """A kernel per line, a GPU per column: registers, shared memory of a block, and what is spilled if anything."""
    table = Table(title="registers of a thread / KB of a block's shared memory", caption=report["compiler"])
    table.add_column("kernel")
    for architecture in report["kernels"]:
        table.add_column(architecture, justify="right")
    for kernel in next(iter(report["kernels"].values())):
        cells = []
        for kernels in report["kernels"].values():
            figures = kernels[kernel]
            shared = (figures["shared_bytes"] + figures["launched_shared_bytes"]) / 1024
            spilled = f", {figures['spill_bytes']} B spilled" if figures["spill_bytes"] else ""
            cells.append(f"{figures['registers']} / {shared:.0f}{spilled}")
        table.add_row(kernel, *cells)
    return table


def _caption(report: dict[str, Any]) -> str:
    return (
        f"N×M scores: {report['scores_mb']:.0f} MB; Gram product: {report['gram_gflop']:.1f} GFLOP; largest difference "
        f"of outputs: {report['largest_difference']:.1g}"
    )


def of_gpu(report: dict[str, Any]) -> Table:
    """Of `bench_gpu.measure`: a form in one precision per line."""
    caption = f"Gram product: {report['gram_gflop']:.1f} GFLOP; torch {report['torch']}; ms of a call"
    table = Table(title=f"{_title(report)}, {report['device']}", caption=caption)
    for heading in ("form", "alone", "ratio", "back to back", "ratio"):
        table.add_column(heading, justify="left" if heading == "form" else "right")
    for precision, forms in report["forms"].items():
        for form, figures in forms.items():
            cells = []
            for kind in ("alone", "back_to_back"):
                cells += [f"{figures[kind + '_ms']:.3f}", f"{figures[kind + '_ratio']:.1f}×"]
            table.add_row(f"{_LABELS[form]}, {precision}", *cells)
    return table


def _title(report: dict[str, Any]) -> str:
    return "patch-swap, {height}×{width}×{channels}, hole {hole}×{hole}".format(**report["problem"])
