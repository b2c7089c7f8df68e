"""Training and evaluating the rows of a study: one run folder each, a table and a grid of pictures over all."""

import gc
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from runtime.files import atomic_path
from training.checkpoint import Checkpoint, load_checkpoint, sha256_of
from training.evaluation.evaluate import Progress, Report, evaluate, held_out_items
from training.evaluation.figures import Measure, legend, markdown_table, occurring
from training.evaluation.grid import write_grid
from training.evaluation.studies import Study
from training.options import RESUMABLE, LoopOptions, resolve, save_options
from training.run import create_system, open_run
from training.state import CHECKPOINT_FILE
from training.system import family_system

TRAINED_FILE = "trained.sha256"  # of the checkpoint, written when a row's training is through
FIGURES_FILE = "figures.json"
PICTURES = "held_out"  # folder of a row's pictures


@dataclass(frozen=True)
class Comparison:
    """How every row is evaluated.

    Attributes:
        split: held-out part of the training data's folder.
        settings: of the family's `held_out`.
        measures: makes the measures anew for a row's checkpoint.
        measured_with: what the figures depend on beside the checkpoint; another one means another comparison.
    """

    split: str
    settings: Mapping[str, str]
    measures: Callable[[Checkpoint], Sequence[Measure]]
    measured_with: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        return {"split": self.split, "settings": dict(self.settings), "measured_with": dict(self.measured_with)}


@dataclass(frozen=True)
class Ablation:
    """A study with the options that its rows share.

    Attributes:
        study: the table.
        rows: option values of the rows to run, by name.
        preset, given: of the family's options, as on the command line of a single run.
        folder: holds a run folder per row, `table.md` and `grid.png`.
    """

    study: Study
    rows: Mapping[str, Mapping[str, Any]]
    preset: str
    given: Mapping[str, Any]
    folder: Path

    def options(self, row: str) -> LoopOptions:
        module = family_system(self.study.family)
        options: LoopOptions = resolve(module.Options, module.PRESETS, self.preset, {**self.given, **self.rows[row]})
        return options


def _silence() -> AbstractContextManager[Progress]:
    return nullcontext(lambda name: None)


def run_ablation(
    ablation: Ablation,
    comparison: Comparison,
    grid_items: int,
    say: Progress = lambda line: None,
    evaluating: Callable[[], AbstractContextManager[Progress]] = _silence,
) -> dict[str, Report]:
    """Train what is not trained, evaluate what is not evaluated, write the table and the grid.

    A row that is finished under the same options is kept; an interrupted one goes on where it stopped.

    Args:
        ablation: rows and options.
        comparison: how to evaluate.
        grid_items: rows of `grid.png`.
        say: told what happens to each row.
        evaluating: entered while a row is evaluated; what it gives is told each item's name.

    Raises:
        TrainingError: the options make no sense, or a row's folder holds a run with other ones.
        DataError: the data folder lacks training or held-out items.
    """
    options = {row: ablation.options(row) for row in ablation.rows}
    _rehearse(ablation.study.family, next(iter(options.values())), comparison)
    reports = {}
    for number, row in enumerate(ablation.rows, 1):
        folder, which = ablation.folder / row, f"row {number} of {len(options)}, {row}"
        if not _is_trained(ablation, row, options[row]):
            say(f"{which}: training in {folder}")
            _train(ablation, row, options[row])
        report = _read_report(comparison, folder)
        say(f"{which}: {'finished before' if report else 'evaluating'}")
        if report is None:
            with evaluating() as progress:
                report = _evaluate(comparison, Path(options[row].data), folder, progress)
        reports[row] = report
    _write_table(ablation, comparison, reports)
    write_grid(ablation.folder / "grid.png", {row: ablation.folder / row / PICTURES for row in reports}, grid_items)
    return reports


def _rehearse(family: str, options: LoopOptions, comparison: Comparison) -> None:
    """Evaluate one item untrained: what cannot work is refused now, not after the first hours of training."""
    create_system(family, options)
    checkpoint = family_system(family).untrained(options)
    measures = comparison.measures(checkpoint)
    for item in islice(held_out_items(checkpoint, Path(options.data), comparison.split, comparison.settings), 1):
        for measure in measures:
            measure.add(item)


def _train(ablation: Ablation, row: str, options: LoopOptions) -> None:
    trainer = open_run(ablation.study.family, options, ablation.preset, ablation.folder / row)
    trainer.run()
    with atomic_path(ablation.folder / row / TRAINED_FILE) as temporary:
        temporary.write_text(sha256_of(ablation.folder / row / CHECKPOINT_FILE))
    del trainer  # the next row's networks need the memory
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _evaluate(comparison: Comparison, data: Path, folder: Path, progress: Progress) -> Report:
    path = folder / CHECKPOINT_FILE
    checkpoint = load_checkpoint(path)
    for picture in (folder / PICTURES).glob("*.png"):  # of another comparison, perhaps of other items
        picture.unlink()
    items = held_out_items(checkpoint, data, comparison.split, comparison.settings)
    report = evaluate(items, comparison.measures(checkpoint), folder / PICTURES, progress)
    document = {
        "checkpoint": (folder / TRAINED_FILE).read_text(),
        "comparison": comparison.document(),
    } | asdict(report)
    with atomic_path(folder / FIGURES_FILE) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n")
    return report


def _is_trained(ablation: Ablation, row: str, options: LoopOptions) -> bool:
    """Whether the row's run came to its end.

    Raises:
        TrainingError: under other options.
    """
    folder = ablation.folder / row
    if not ((folder / TRAINED_FILE).is_file() and (folder / CHECKPOINT_FILE).is_file()):
        return False
    save_options(options, ablation.preset, folder)
    return (folder / TRAINED_FILE).read_text() == sha256_of(folder / CHECKPOINT_FILE)


def _read_report(comparison: Comparison, folder: Path) -> Report | None:
    """What the row's folder says, if it is about this checkpoint and this comparison."""
    path = folder / FIGURES_FILE
    try:
        document = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError:  # damaged: to be written anew
        return None
    wanted = {"checkpoint": (folder / TRAINED_FILE).read_text(), "comparison": comparison.document()}
    if any(document.get(key) != value for key, value in wanted.items()):
        return None
    return Report(document["items"], document["generated"], document["real"], document["notes"])


def _write_table(ablation: Ablation, comparison: Comparison, reports: Mapping[str, Report]) -> None:
    given = {name: value for name, value in ablation.given.items() if value is not None and name not in RESUMABLE}
    given |= {"preset": ablation.preset, "data": Path(given["data"]).name}
    first = next(iter(reports.values()))
    rows = [(row, report.generated) for row, report in reports.items()]
    rows += [("real", first.real)] if first.real else []
    said = {"held-out split": comparison.split, "items": len(first.items), **comparison.settings}
    lines = [
        f"# {ablation.study.section}",
        "",
        "Trained with " + ", ".join(f"{name} {value}" for name, value in given.items()) + ".",
        "Evaluated with " + ", ".join(f"{name} {value}" for name, value in said.items()) + ".",
        "",
        *markdown_table("row", rows),
        "",
        *legend(occurring(values for _, values in rows)),
        *(["", *first.notes] if first.notes else []),
    ]
    with atomic_path(ablation.folder / "table.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", "utf-8")
