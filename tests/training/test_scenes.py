"""Procedural scenes: reproducible, the same at every size, and with maps that agree with each other."""

from itertools import pairwise

import numpy as np
import pytest

from training.class_tables import CITYSCAPES, STREET, without_parts
from training.data.scenes import Label, Scene, render_scene
from training.data.scenes.labels import THINGS, Part

SIZE = (256, 512)
SEEDS = range(10)

# Lowest and highest mean share of the picture, and the lowest and highest in one scene. Measured over the ten seeds:
# road 0.32 (0.21 to 0.37), building 0.25 (0.18 to 0.36), car 0.08 (0.02 to 0.15), vegetation 0.07 (0.01 to 0.16), their
# parts counted.
SHARES = {
    Label.ROAD: ((0.25, 0.40), (0.15, 0.50)),
    Label.BUILDING: ((0.18, 0.33), (0.10, 0.50)),
    Label.CAR: ((0.04, 0.13), (0.005, 0.25)),
    Label.VEGETATION: ((0.03, 0.14), (0.001, 0.30)),
}


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(seed, SIZE) for seed in SEEDS]


def objects(scene: Scene) -> np.ndarray:
    """The label map with parts counted to their objects."""
    return without_parts(scene.label_map, scene.inst_map)


def assert_well_formed(scene: Scene, size: tuple[int, int]) -> None:
    assert scene.label_map.shape == size
    assert scene.inst_map.shape == size
    assert scene.photo.shape == (*size, 3)
    assert (scene.label_map.dtype, scene.inst_map.dtype, scene.photo.dtype) == (np.uint8, np.int32, np.uint8)
    assert scene.label_map.max() < STREET.label_nc
    assert scene.photo.std() > 20  # 0..255; 34 to 44 over the ten seeds
    assert_instances_agree(scene)


def assert_instances_agree(scene: Scene) -> None:
    """A thing's id is label · 1000 + n, that of stuff is its label; a part has its object's."""
    labels, ids = objects(scene).astype(np.int32), scene.inst_map
    assert labels.max() < CITYSCAPES.label_nc
    is_numbered = ids >= 1000
    np.testing.assert_array_equal(np.where(is_numbered, ids // 1000, ids), labels)
    np.testing.assert_array_equal(is_numbered, np.isin(labels, [int(label) for label in THINGS]))
    assert ids.max() < 2**16  # instance maps are stored as 16-bit PNG


def test_same_seed_gives_the_same_bytes(scenes):
    again = render_scene(SEEDS[3], SIZE)
    np.testing.assert_array_equal(again.label_map, scenes[3].label_map)
    np.testing.assert_array_equal(again.inst_map, scenes[3].inst_map)
    np.testing.assert_array_equal(again.photo, scenes[3].photo)


def test_every_scene_is_well_formed(scenes):
    for scene in scenes:
        assert_well_formed(scene, SIZE)


def test_labels_are_those_of_the_table(scenes):
    seen = set(np.unique([scene.label_map for scene in scenes]).tolist())
    parts = {int(part) for part in Part}
    assert seen <= {int(label) for label in Label} | parts
    assert len(seen - parts) >= 20  # of 24; a class that nothing paints any more would go unnoticed in the shares
    assert seen >= parts


def test_parts_have_names_and_colours_of_their_own():
    assert set(STREET.parts) == {int(part) for part in Part}
    assert STREET.names[: CITYSCAPES.label_nc] == CITYSCAPES.names
    for part in Part:
        assert STREET.names[part].replace("license plate", "plate") == part.name.lower().replace("_", " ")
    fresh = STREET.palette[CITYSCAPES.label_nc :]
    assert len({*fresh, *CITYSCAPES.palette}) == len(fresh) + len(set(CITYSCAPES.palette))


@pytest.mark.parametrize(
    ("part", "holders"),
    [
        (Part.WINDOW, {Label.BUILDING}),
        (Part.LANE_MARKING, {Label.ROAD}),
        (Part.KERB, {Label.SIDEWALK}),
        (Part.GLASS, {Label.CAR, Label.TRUCK, Label.BUS}),
        (Part.WHEEL, {Label.CAR, Label.TRUCK, Label.BUS, Label.MOTORCYCLE, Label.BICYCLE}),
        (Part.TRUNK, {Label.VEGETATION}),
        (Part.LEGS, {Label.PERSON, Label.RIDER}),
    ],
)
def test_a_part_belongs_to_its_object(scenes, part, holders):
    found = {label for scene in scenes for label in np.unique(objects(scene)[scene.label_map == part]).tolist()}
    assert found
    assert found <= holders


def test_lane_markings_are_where_the_photo_is_bright():
    scene = render_scene(1, (512, 1024))
    luma = scene.photo.mean(-1)
    marking, road = (scene.label_map == label for label in (Part.LANE_MARKING, Label.ROAD))
    assert luma[marking].mean() > luma[road].mean() + 20


def test_things_of_one_class_are_told_apart(scenes):
    for scene in scenes:
        cars = np.unique(scene.inst_map[scene.label_map == Label.CAR])
        assert len(cars) >= 3, "a street of parked cars and traffic has several, each with its own id"


def test_two_seeds_are_two_scenes(scenes):
    for first, second in pairwise(scenes):
        assert (first.label_map != second.label_map).mean() > 0.1
        assert np.abs(first.photo.astype(int) - second.photo).mean() > 10


@pytest.mark.parametrize("seed", [0, 4])
def test_half_the_size_shows_the_same_scene(seed):
    full, half = render_scene(seed, (1024, 2048)), render_scene(seed, (512, 1024))
    assert (objects(half) == objects(full)[::2, ::2]).mean() >= 0.98  # 0.9888 at worst over seeds 0 to 4
    assert (half.inst_map == full.inst_map[::2, ::2]).mean() >= 0.98  # 0.9884
    averaged = full.photo.reshape(512, 2, 1024, 2, 3).mean((1, 3))
    assert np.abs(averaged - half.photo).mean() < 8


@pytest.mark.parametrize("label", SHARES, ids=lambda label: label.name)
def test_a_scene_looks_like_a_street(scenes, label):
    (mean_low, mean_high), (low, high) = SHARES[label]
    shares = [float((objects(scene) == label).mean()) for scene in scenes]
    assert mean_low < np.mean(shares) < mean_high
    assert low < min(shares)
    assert max(shares) < high


def test_road_is_below_and_sky_above(scenes):
    for scene in scenes:
        rows = {label: np.nonzero(objects(scene) == label)[0].mean() for label in (Label.SKY, Label.ROAD)}
        assert rows[Label.SKY] < SIZE[0] * 0.4 < SIZE[0] * 0.5 < rows[Label.ROAD]


def test_some_scenes_have_the_unlabelled_border_of_cityscapes(scenes):
    """Either the whole outermost frame is out of the region of interest, or nothing is."""
    framed = 0
    for scene in scenes:
        outside = scene.label_map == Label.OUT_OF_ROI
        edges = np.concatenate([outside[0], outside[-1], outside[:, 0], outside[:, -1]])
        assert edges.all() == outside.any()
        assert not outside[2:-2, 2:-2].any()
        framed += bool(outside.any())
    assert 2 <= framed <= 8


@pytest.mark.parametrize("size", [(90, 170), (91, 171), (64, 64), (17, 33), (300, 100)])
def test_odd_sizes(size):
    assert_well_formed(render_scene(5, size), size)
