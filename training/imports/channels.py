"""What the generator's input channels of pix2pixHD are: classes or an image, with or without instance edges."""

from collections.abc import Mapping
from typing import NamedTuple

from runtime.engines.labels import MAX_CLASSES
from training.errors import CheckpointError
from training.imports.options_file import Statement

RGB = 3
_USUAL_IMAGES = (1, RGB)  # channels of an image that nobody has to ask for


class Reading(NamedTuple):
    """How the channels that are not features divide: classes, or an image's channels, and whether one is the edges."""

    label_nc: int
    image_nc: int
    use_edges: bool


# What pix2pixHD's own instructions produce: its default options (Cityscapes with instance maps, as the released
# label2city), and images, which a label map of one class cannot be. They win where nothing else was said, in this
# order; every other file needs a word.
_DEFAULT_READINGS = (Reading(35, 0, True), Reading(0, RGB, False), Reading(0, RGB, True))


def divide_channels(condition_nc: int, known: Mapping[str, Statement], source: str) -> Reading:
    """The reading of the channels that are not features.

    Args:
        condition_nc: their number.
        known: what files and flags say, by field.
        source: where the number is from, for messages.

    Raises:
        CheckpointError: none fits, or several do; they are listed with the flags that choose them.
    """
    said = {field: known[field].value for field in ("label_nc", "image_nc", "use_edges") if field in known}
    possible = _readings(condition_nc, said)
    fitting = [reading for reading in possible if said.items() <= reading._asdict().items()]
    preferred = [reading for reading in _DEFAULT_READINGS if reading in fitting and _goes_without_saying(reading, said)]
    if len(fitting) == 1 or preferred:
        return (preferred or fitting)[0]
    listed = "\n  ".join(map(_describe, fitting or possible)) or "nothing that pix2pixHD makes"
    contrary = "".join(f"; {field} is {value} according to {known[field].source}" for field, value in said.items())
    raise CheckpointError(
        f"{source}: the {condition_nc} channels that are not features can be\n  {listed}\n"
        + (
            f"none of these fits{contrary}"
            if not fitting
            else f"say which, with these flags or the run's opt.txt{contrary}"
        )
    )


def _readings(condition_nc: int, said: Mapping[str, int]) -> list[Reading]:
    """All that is possible: images of other channels than usual, and one class, only where that was said."""
    is_image_said = said.get("label_nc") == 0
    readings = []
    for use_edges in (True, False):
        count = condition_nc - use_edges
        if 1 < count <= MAX_CLASSES or (count == 1 and said.get("label_nc") == 1):
            readings.append(Reading(count, 0, use_edges))
        if count in _USUAL_IMAGES or (count > 0 and is_image_said):
            readings.append(Reading(0, count, use_edges))
    return readings


def _goes_without_saying(reading: Reading, said: Mapping[str, int]) -> bool:
    """An RGB image with edges has to be asked for, for four channels can as well be four classes."""
    return not (reading.image_nc and reading.use_edges) or said.get("label_nc") == 0


def _describe(reading: Reading) -> str:
    names = {1: "a grey image", RGB: "an RGB image"}
    image = names.get(reading.image_nc, f"an image of {reading.image_nc} channels")
    condition = f"{reading.label_nc} classes" if reading.label_nc else image
    edges = "the instance edge map" if reading.use_edges else "no edge map"
    return f"{condition} and {edges}: --label-nc {reading.label_nc} --{'' if reading.use_edges else 'no-'}edges"
