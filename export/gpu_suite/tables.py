"""The suite's JSON as tables."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from export.errors import ExportError

_PEAKS = {"fp16": "product fp16", "fp32": "product fp32"}
_HEAD = (
    "| what | form | end to end | call | upload | compute | download | of peak | largest difference | over 1 level |",
    "|---|---|---|---|---|---|---|---|---|---|",
)
Stages = Mapping[str, Mapping[str, Any]]


def markdown(path: Path) -> str:
    """All tables of a file.

    Raises:
        ExportError: it is no file of the suite.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
        stages: Stages = document["stages"]
        lines = [_title(document), "", *_engine_table(stages), "", *_other_table(stages), "", *_ends(stages)]
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(f"{path} is no result of `python -m export gpu-suite` ({error!r})") from error
    return "\n".join(lines) + "\n"


def _title(document: Mapping[str, Any]) -> str:
    found = document["stages"].get("machine", {}).get("results", {})
    gpu, torch, library = (found.get(name, {}) for name in ("gpu", "torch", "onnxruntime"))
    dry = " **A dry run on the CPU: no figure here means anything.**" if document["is_dry_run"] else ""
    return (
        f"{gpu.get('name', 'no GPU')}, compute capability {gpu.get('capability', '?')}; torch "
        f"{torch.get('version', '?')}, cuDNN {torch.get('cudnn', '?')}, onnxruntime {library.get('version', '?')} for "
        f"CUDA {library.get('cuda') or '?'}; {document['host']['cpu']}; pix2rt {document['pix2rt']}, "
        f"{document['date']}.{dry}"
    )


def _results(stages: Stages) -> Iterator[tuple[str, dict[str, Any]]]:
    for stage in stages.values():
        for key, value in stage["results"].items():
            if isinstance(value, dict):
                yield key, value


def _engine_table(stages: Stages) -> list[str]:
    """Engines in ONNX Runtime: everything that tells parity."""
    rows = []
    for key, value in _results(stages):
        if "parity" not in value:
            continue
        what, _, form = key.partition(", ")
        cells = [
            what,
            form,
            *(_ms(value.get(part)) for part in ("end_to_end", "call", "upload", "compute", "download")),
        ]
        rows.append(_row([*cells, _share(stages, value), *_differences(value["parity"])]))
    return [*_HEAD, *rows]


def _differences(parity: Mapping[str, Mapping[str, float]]) -> list[str]:
    images = [one for one in parity.values() if "psnr_db" in one]
    if not images:
        return [f"{max(one['relative'] for one in parity.values()):.1e} relative", ""]
    worst = min(images, key=lambda one: one["psnr_db"])
    return [f"{worst['largest']:.0f} levels, {worst['psnr_db']:.1f} dB", f"{worst['over_1_level']:.2%}"]


def _share(stages: Stages, value: Mapping[str, Any]) -> str:
    """Of the measured peak of this precision."""
    peak = stages.get("machine", {}).get("results", {}).get(_PEAKS.get(value["precision"], ""), {}).get("tflops")
    compute = value.get("compute", value["call"])["p50_ms"]
    return f"{value['gflop'] / compute / peak:.0%}" if peak else ""


def _other_table(stages: Stages) -> list[str]:
    """Everything else, as it was told."""
    rows = []
    for stage, content in stages.items():
        for key, value in content["results"].items():
            if isinstance(value, dict) and "parity" not in value:
                rows.append(_row([stage, key, ", ".join(f"{name} {_short(item)}" for name, item in value.items())]))
    return ["| stage | what | figures |", "|---|---|---|", *rows]


def _ends(stages: Stages) -> list[str]:
    """How the stages ended, and what engines had to say."""
    lines = [f"- {name}: {stage.get('status', '?')}, {stage.get('seconds', 0):.0f} s" for name, stage in stages.items()]
    for key, value in _results(stages):
        lines += [f"- {key}: {note}" for note in value.get("notes", ())]
    return lines


def _ms(figures: Mapping[str, float] | None) -> str:
    return f"{figures['p50_ms']:.2f} ms" if figures else ""


def _short(item: Any) -> str:
    if isinstance(item, dict) and "p50_ms" in item:
        return _ms(item)
    if isinstance(item, float):
        return f"{item:.4g}"
    return str(item).replace("|", "/").replace("\n", " ")[:200]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
