"""Class tables of public label sets: names and colours are facts of the data sets."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.labels import LabelSpec
from runtime.runners.instances import classes_of_ids

# Cityscapes: 34 classes 0 … 33 and the licence plate, which its maps store as −1 and pix2pixHD's as 34.
_CITYSCAPES = (
    ("unlabeled", (0, 0, 0)),
    ("ego vehicle", (0, 0, 0)),
    ("rectification border", (0, 0, 0)),
    ("out of roi", (0, 0, 0)),
    ("static", (0, 0, 0)),
    ("dynamic", (111, 74, 0)),
    ("ground", (81, 0, 81)),
    ("road", (128, 64, 128)),
    ("sidewalk", (244, 35, 232)),
    ("parking", (250, 170, 160)),
    ("rail track", (230, 150, 140)),
    ("building", (70, 70, 70)),
    ("wall", (102, 102, 156)),
    ("fence", (190, 153, 153)),
    ("guard rail", (180, 165, 180)),
    ("bridge", (150, 100, 100)),
    ("tunnel", (150, 120, 90)),
    ("pole", (153, 153, 153)),
    ("polegroup", (153, 153, 153)),
    ("traffic light", (250, 170, 30)),
    ("traffic sign", (220, 220, 0)),
    ("vegetation", (107, 142, 35)),
    ("terrain", (152, 251, 152)),
    ("sky", (70, 130, 180)),
    ("person", (220, 20, 60)),
    ("rider", (255, 0, 0)),
    ("car", (0, 0, 142)),
    ("truck", (0, 0, 70)),
    ("bus", (0, 60, 100)),
    ("caravan", (0, 0, 90)),
    ("trailer", (0, 0, 110)),
    ("train", (0, 80, 100)),
    ("motorcycle", (0, 0, 230)),
    ("bicycle", (119, 11, 32)),
    ("license plate", (0, 0, 142)),
)
CITYSCAPES = LabelSpec(tuple(name for name, _ in _CITYSCAPES), tuple(colour for _, colour in _CITYSCAPES))

# What the things of a procedural street are made of (`training.data.scenes.labels.Part`): ids from 35 on.
_PARTS = (
    ("window", (60, 160, 200)),
    ("door", (130, 70, 20)),
    ("shop window", (90, 190, 190)),
    ("shop sign", (200, 60, 120)),
    ("balcony", (120, 110, 160)),
    ("roof", (150, 60, 50)),
    ("cornice", (200, 190, 160)),
    ("lane marking", (235, 235, 255)),
    ("crossing", (210, 170, 255)),
    ("kerb", (180, 40, 170)),
    ("wheel", (30, 30, 30)),
    ("glass", (80, 120, 220)),
    ("headlamp", (255, 255, 150)),
    ("tail lamp", (255, 80, 40)),
    ("bumper", (40, 40, 90)),
    ("street lamp", (255, 210, 110)),
    ("trunk", (90, 60, 30)),
    ("signal lamp", (255, 130, 0)),
    ("head", (250, 150, 130)),
    ("legs", (150, 10, 50)),
)
STREET = LabelSpec(
    CITYSCAPES.names + tuple(name for name, _ in _PARTS),
    CITYSCAPES.palette + tuple(colour for _, colour in _PARTS),
    parts=tuple(range(CITYSCAPES.label_nc - 1, CITYSCAPES.label_nc + len(_PARTS))),  # the licence plate is one, too
)

# The classes that its benchmark counts; a network with 19 outputs numbers them in this order ("train ids").
CITYSCAPES_TRAIN_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def class_table(label_nc: int) -> LabelSpec | None:
    """The table for a label set of this size: Cityscapes, `STREET`, None for RGB input (0), else unnamed classes."""
    if label_nc == 0:
        return None
    named = {table.label_nc: table for table in (CITYSCAPES, STREET)}
    return named.get(label_nc) or LabelSpec.unnamed(label_nc)


def without_parts(label_map: NDArray[Any], inst_map: NDArray[Any], labels: LabelSpec = STREET) -> NDArray[Any]:
    """A label map in which every part is given back to its object, whose class the instance id tells.

    Args:
        label_map: integer ids [H, W].
        inst_map: integer ids [H, W]: the class for areas, class · 1000 + n for things.
        labels: the class table.
    """
    of_object = classes_of_ids(inst_map, labels)
    return np.where(labels.is_part[label_map], of_object, label_map).astype(label_map.dtype)


def table_without_parts(labels: LabelSpec) -> LabelSpec:
    """The class table of what `without_parts` makes."""
    return CITYSCAPES if labels == STREET else labels


def ignored_classes(label_nc: int) -> list[int]:
    """Label ids that segmentation leaves out: those that Cityscapes' benchmark does not count; none of other sets."""
    return sorted(set(range(label_nc)) - set(CITYSCAPES_TRAIN_IDS)) if label_nc == CITYSCAPES.label_nc else []
