"""The classes of a scene, the parts that its objects are made of, and which classes have instances."""

from enum import IntEnum


class Label(IntEnum):
    """The label ids of Cityscapes that appear in a scene."""

    EGO_VEHICLE = 1
    RECTIFICATION_BORDER = 2
    OUT_OF_ROI = 3
    STATIC = 4
    GROUND = 6
    ROAD = 7
    SIDEWALK = 8
    PARKING = 9
    BUILDING = 11
    WALL = 12
    FENCE = 13
    POLE = 17
    TRAFFIC_LIGHT = 19
    TRAFFIC_SIGN = 20
    VEGETATION = 21
    TERRAIN = 22
    SKY = 23
    PERSON = 24
    RIDER = 25
    CAR = 26
    TRUCK = 27
    BUS = 28
    MOTORCYCLE = 32
    BICYCLE = 33


class Part(IntEnum):
    """Label ids of what objects are made of: a part's pixels keep the instance id of their object.

    Cityscapes knows number plates; the others follow its table (`training.class_tables.STREET`).
    """

    PLATE = 34
    WINDOW = 35
    DOOR = 36
    SHOP_WINDOW = 37
    SHOP_SIGN = 38
    BALCONY = 39
    ROOF = 40
    CORNICE = 41
    LANE_MARKING = 42
    CROSSING = 43
    KERB = 44
    WHEEL = 45
    GLASS = 46
    HEADLAMP = 47
    TAIL_LAMP = 48
    BUMPER = 49
    STREET_LAMP = 50
    TRUNK = 51
    SIGNAL_LAMP = 52
    HEAD = 53
    LEGS = 54


# Cityscapes' things, and houses: each has paint of its own, which one style for a whole street could not tell.
THINGS = frozenset(
    {Label.BUILDING, Label.PERSON, Label.RIDER, Label.CAR, Label.TRUCK, Label.BUS, Label.MOTORCYCLE, Label.BICYCLE}
)
