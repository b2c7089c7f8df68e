"""Class tables of public label sets: names and colours are facts of the data sets."""

from runtime.engines.labels import LabelSpec

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

# The classes that its benchmark counts; a network with 19 outputs numbers them in this order ("train ids").
CITYSCAPES_TRAIN_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def class_table(label_nc: int) -> LabelSpec | None:
    """The table for a label set of this size: Cityscapes for 35, None for RGB input, else unnamed classes."""
    if label_nc == 0:
        return None
    return CITYSCAPES if label_nc == CITYSCAPES.label_nc else LabelSpec.unnamed(label_nc)


def ignored_classes(label_nc: int) -> list[int]:
    """Label ids that segmentation leaves out: those that Cityscapes' benchmark does not count; none of other sets."""
    return sorted(set(range(label_nc)) - set(CITYSCAPES_TRAIN_IDS)) if label_nc == CITYSCAPES.label_nc else []
