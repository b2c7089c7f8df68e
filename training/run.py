"""One training run: from resolved options to a run folder that is trained to its end."""

from collections.abc import Callable
from pathlib import Path

from accelerate.utils import set_seed

from training.errors import DataError
from training.loop import Trainer
from training.options import LoopOptions, save_options
from training.system import System, family_system, has_bf16


def create_system(family: str, options: LoopOptions) -> System:
    """The family's system, with seeded weights.

    Raises:
        DataError: the options name no data.
    """
    if not options.data:
        raise DataError(
            "no training data named; give --data FOLDER, or make one with `python -m training scenes FOLDER`"
        )
    set_seed(options.seed)
    system: System = family_system(family).create(options)
    return system


def open_run(
    family: str, options: LoopOptions, preset: str, folder: Path, notify: Callable[[str], None] = lambda sentence: None
) -> Trainer:
    """The trainer of a run folder, at the step that the folder has reached; `notify` is told what a person should know.

    Raises:
        TrainingError: the folder holds a run with other options.
    """
    if options.precision == "bf16" and not has_bf16():
        notify(
            "this device computes bfloat16 in software, many times slower than float: --precision auto chooses for it"
        )
    system = create_system(family, options)
    lengthened = save_options(options, preset, folder)
    if lengthened:
        notify(lengthened)
    return Trainer(system, options, folder)
