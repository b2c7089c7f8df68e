"""Training as a library: what `pix2rt train`, `evaluate` and `data` do, without a command line.

`pix2rt.training` has these functions. torch is imported by the first call.
"""

import dataclasses
import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.extras import extra_needed
from training.errors import TrainingError
from training.networks import FAMILIES

if TYPE_CHECKING:
    from training.evaluation.evaluate import Report

AnyPath = str | os.PathLike[str]


def train(family: str, preset: str, output: AnyPath, **options: Any) -> Path:
    """Train to the end, or resume where an earlier call was interrupted.

    Args:
        family: "pix2pix", "pix2pixhd", …
        preset: one of `presets(family)`.
        output: run folder.
        **options: that differ from the preset's, by the names of `pix2rt train FAMILY --help-all`: `data`, `epochs`, …

    Returns:
        The path of the checkpoint.

    Raises:
        MissingExtraError: torch, or what else training needs, is not installed.
        TrainingError: no such family, preset or option; or the folder holds a run with other options.
        DataError: the data are not there, or not what they should be.
        DivergenceError: losses are no longer finite.
    """
    _require_family(family)
    with extra_needed("pix2rt.training.train", "training"):
        from training.options import resolve
        from training.run import open_run
        from training.state import CHECKPOINT_FILE
        from training.system import family_system

        module = family_system(family)
    _require_options(family, module.Options, options)
    values = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in options.items()}
    folder = Path(output)
    open_run(family, resolve(module.Options, module.PRESETS, preset, values), preset, folder).run()
    return folder / CHECKPOINT_FILE


def presets(family: str) -> dict[str, dict[str, Any]]:
    """The family's presets: name → options that differ from the defaults.

    Raises:
        MissingExtraError: torch is not installed.
        TrainingError: no such family.
    """
    _require_family(family)
    with extra_needed("pix2rt.training.presets", "training"):
        from training.system import family_system

        return dict(family_system(family).PRESETS)


def evaluate(
    checkpoint: AnyPath, data: AnyPath, split: str = "val", *, output: AnyPath | None = None, **settings: str
) -> "Report":
    """Measure a checkpoint's images against real photos.

    Args:
        checkpoint: `.safetensors`.
        data: data folder.
        split: held-out part of it.
        output: folder for a picture an item, input | generated | real; None writes nothing.
        **settings: of the family, by the names of `pix2rt evaluate --help-all`.

    Returns:
        Figures of each item (`items`), of all (`generated`), of the real photos (`real`).

    Raises:
        MissingExtraError: torch, or what else is needed, is not installed.
        MissingFileError, CheckpointError, DataError, InputError: a file or setting is not what it should be.
    """
    with extra_needed("pix2rt.training.evaluate", "training"):
        from training.checkpoint import load_checkpoint
        from training.evaluation.appearance import Appearance, Fidelity
        from training.evaluation.evaluate import evaluate as measure
        from training.evaluation.evaluate import held_out_items
    items = held_out_items(load_checkpoint(Path(checkpoint)), Path(data), split, settings)
    return measure(items, [Fidelity(), Appearance()], Path(output) if output else None)


def scenes(
    folder: AnyPath,
    count: int = 64,
    *,
    size: tuple[int, int] = (1024, 2048),
    seed: int = 0,
    split: str = "train",
    parts: bool = False,
) -> Path:
    """Draw street scenes, photo, label ids and instance ids, as a data folder; what is there is kept.

    Args:
        folder: to write.
        count: of scenes.
        size: (H, W).
        seed: of the first scene.
        split: part of the folder.
        parts: whether windows, wheels, lane markings … are classes of their own, beside Cityscapes' 35.

    Returns:
        The folder.

    Raises:
        MissingExtraError: OpenCV is not installed.
        OutputError: the folder cannot be written.
    """
    with extra_needed("pix2rt.training.scenes", "training"):
        from training.data.scene_folder import write_scene
    for number in range(seed, seed + count):
        write_scene(Path(folder), split, number, size, parts)
    return Path(folder)


def _require_family(family: str) -> None:
    if family not in FAMILIES:
        raise TrainingError(f"unknown family {family!r}; choose one of {', '.join(FAMILIES)}")


def _require_options(family: str, kind: type[Any], given: dict[str, Any]) -> None:
    known = [field.name for field in dataclasses.fields(kind)]
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 3)
            meant = f"; near it are {', '.join(near)}" if near else ""
            raise TrainingError(f"{name} is no option of {family}{meant}; pix2rt train {family} --help-all lists them")
