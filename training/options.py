"""Options of a training run, declared once as dataclass fields: the command line and the run folder follow."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from runtime.files import atomic_path
from training.errors import TrainingError

PRECISIONS = ("no", "bf16", "fp16", "auto")
OPTIONS_FILE = "options.json"
# What may change between the start of a run and its resumption without changing its result.
SCHEDULE = ("epochs", "decay_epochs")  # may grow
RESUMABLE = ("workers", "save_every", "log_every", "sample_every")


def option(default: Any, help: str) -> Any:
    """A dataclass field that is also a command-line option."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """What the training loop needs to know, for every family."""

    data: str = option("", "folder of training data")
    split: str = option("train", "which part of the data folder to train on")
    init: str = option("", "start from this checkpoint or run folder")
    batch_size: int = option(1, "images per step and process")
    epochs: int = option(100, "passes over the data at the full learning rate")
    decay_epochs: int = option(100, "further passes while the learning rate falls linearly to zero")
    lr: float = option(2e-4, "learning rate of Adam")
    beta1: float = option(0.5, "first momentum of Adam")
    beta2: float = option(0.999, "second momentum of Adam")
    ema: float = option(0.0, "decay of the moving average of the generator's weights that is saved; 0: none, try 0.999")
    precision: str = option("no", "mixed precision: no, bf16, fp16, or auto: bf16 where the device computes in it")
    seed: int = option(0, "seed of weights, order and augmentation")
    workers: int = option(2, "processes that load data; 0 loads in the training process")
    save_every: int = option(500, "steps between checkpoints")
    log_every: int = option(10, "steps between logged losses")
    sample_every: int = option(500, "steps between sample pictures; the first comes with the first epoch's end")

    def __post_init__(self) -> None:
        for name in ("batch_size", "save_every", "log_every", "sample_every"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}, expected at least 1")
        require(self.epochs >= 0 and self.decay_epochs >= 0, "epochs and decay_epochs must not be negative")
        require(self.epochs + self.decay_epochs > 0, "epochs and decay_epochs are both 0: nothing to train")
        require(0 <= self.ema < 1, f"ema is {self.ema}, expected a number from 0 and below 1, such as 0.999")
        require(self.lr > 0, f"lr is {self.lr}, expected a positive number")
        require(
            self.precision in PRECISIONS, f"precision is {self.precision!r}, expected one of {', '.join(PRECISIONS)}"
        )

    def lr_at(self, step: int, steps_per_epoch: int) -> float:
        """Constant for `epochs`, then one linear step down per epoch, reaching zero after `decay_epochs`."""
        late = step // steps_per_epoch - self.epochs + 1
        return self.lr * min(1.0, 1.0 - max(0, late) / (self.decay_epochs + 1))

    def lr_scale(self, parameter: str) -> float:
        """Factor on the learning rate of the parameter "<role>.<name>"; for families whose networks learn unequally."""
        return 1.0


def require(condition: bool, message: str) -> None:
    if not condition:
        raise TrainingError(f"option {message}")


@dataclass(frozen=True, kw_only=True)
class WindowOptions(LoopOptions):
    """The loop's, and how items are scaled, cut and mirrored (`training.data.augmentation.Augmentation`)."""

    resize: str = option("", "HEIGHTxWIDTH every item is brought to; empty keeps the stored size")
    min_scale: float = option(1.0, "random shrinking down to this factor before the crop; 1 = off")
    crop: str = option("", "HEIGHTxWIDTH of a random window; empty takes the whole image")
    flip: bool = option(True, "mirror half of the items")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.min_scale <= 1, f"min_scale is {self.min_scale}, expected a factor above 0, up to 1")


def require_architecture(describe: Callable[[], object]) -> None:
    """Raise TrainingError where `describe`, which makes a family's `Architecture`, finds that there is none."""
    try:
        describe()
    except ValueError as error:
        raise TrainingError(f"option {str(error).removeprefix('architecture: ')}") from error


OptionsT = TypeVar("OptionsT", bound=LoopOptions)


def resolve(
    kind: type[OptionsT], presets: Mapping[str, Mapping[str, Any]], preset: str, given: Mapping[str, Any]
) -> OptionsT:
    """Defaults, overridden by the preset, overridden by what the user gave (None = not given)."""
    if preset not in presets:
        raise TrainingError(f"unknown preset {preset!r}; choose one of {', '.join(presets)}")
    return kind(**{**presets[preset], **{name: value for name, value in given.items() if value is not None}})


def save_options(options: LoopOptions, preset: str, folder: Path) -> str:
    """Write the resolved options into the run folder; refuse to resume a run under other ones.

    A run may be lengthened: further epochs at the full learning rate, or while it falls. The learning rate then follows
    the new schedule from the next step on; the file keeps what it was before.

    Returns:
        A sentence for the user where the run was lengthened, else "".

    Raises:
        TrainingError: the folder holds a run with other options; they are listed.
    """
    path = folder / OPTIONS_FILE
    document: dict[str, Any] = {"preset": preset, **dataclasses.asdict(options)}
    lengthened = ""
    if path.is_file():
        try:
            # A run of an earlier version did what the defaults of newer options say.
            defaults = {field.name: field.default for field in dataclasses.fields(options)}
            before = defaults | json.loads(path.read_text())
        except (ValueError, TypeError) as error:
            raise TrainingError(f"{path} is damaged ({error}); train into a new folder") from error
        changed = [name for name in document if name not in RESUMABLE and before.get(name) != document[name]]
        if "lengthened" in before:
            document["lengthened"] = before["lengthened"]
        if changed and set(changed) <= set(SCHEDULE) and _epochs(document) > _epochs(before):
            lengthened = _lengthened(before, document)
            document["lengthened"] = [*before.get("lengthened", ()), {name: before[name] for name in SCHEDULE}]
        elif changed:
            listed = ", ".join(f"{name} {before.get(name)!r} → {document[name]!r}" for name in changed)
            raise TrainingError(
                f"{folder} holds a run with other options ({listed}); train into a new folder to change them; only "
                "--epochs and --decay-epochs may grow"
            )
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n")
    return lengthened


def _epochs(document: Mapping[str, Any]) -> int:
    return sum(int(document[name]) for name in SCHEDULE)


def _lengthened(before: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    was, is_now = (f"{one['epochs']} + {one['decay_epochs']}" for one in (before, document))
    return (
        f"the run is lengthened from {was} epochs to {is_now}: from here on the learning rate is {document['lr']:g} up "
        f"to epoch {document['epochs']}, then falls to zero until epoch {_epochs(document)}"
    )
