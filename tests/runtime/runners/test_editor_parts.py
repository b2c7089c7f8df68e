"""Editing maps whose objects have parts: a part stays with its object, whatever is done to either."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import Editor, Synthesizer
from runtime.engines.labels import LabelSpec
from runtime.errors import InputError
from runtime.runners.edit_maps import EditMaps, Instance
from runtime.runners.instances import find_instances, instance_classes
from runtime.studio.operations import apply
from tests.examples import drawn
from tests.runtime import tiny_engines

SKY, ROAD, CAR, PERSON, GLASS, LINE = range(6)
LABELS = LabelSpec(
    ("sky", "road", "car", "person", "glass", "line"),
    (*tiny_engines.LABELS.palette, (80, 120, 220), (235, 235, 255)),
    parts=(GLASS, LINE),
)
SIZE = (8, 16)


@pytest.fixture(scope="module")
def synthesizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("engines") / "tiny.onnx"
    with Synthesizer(tiny_engines.synthesizer(path, styles=True, size=None, labels=LABELS)) as runner:
        yield runner


@pytest.fixture
def editor(synthesizer):
    """Sky over a road with a line on it; a car of 2×4 pixels with one of glass."""
    label_map = np.full(SIZE, SKY, np.uint8)
    label_map[4:] = ROAD
    inst_map = label_map.astype(np.int32)
    label_map[7] = LINE
    label_map[4:6, 2:6], inst_map[4:6, 2:6] = CAR, 2000
    label_map[4, 3] = GLASS
    return Editor(synthesizer, label_map, inst_map)


def test_an_instance_has_the_class_of_what_is_no_part(editor):
    assert editor.instances[2000] == Instance(2000, CAR, 8, 7)
    assert editor.instances[ROAD] == Instance(ROAD, ROAD, 56, 40)
    assert LINE not in editor.instances


def test_instance_classes_look_past_parts():
    label_map = np.array([[GLASS, CAR, GLASS, LINE]], np.uint8)
    found = find_instances(np.array([[2000, 2000, 3004, 1]], np.int32))
    assert instance_classes(found, label_map, LABELS).tolist() == [ROAD, CAR, PERSON], "else the id tells"


def test_a_painted_part_stays_with_what_it_is_painted_on(editor):
    before = editor.inst_map
    marked = np.zeros(SIZE, np.bool_)
    marked[3:6, 4] = True  # sky, and two pixels of the car
    assert editor.paint(marked, "glass", "new") == SKY
    assert np.array_equal(editor.inst_map, before)
    assert editor.instances[2000] == Instance(2000, CAR, 8, 5)
    assert editor.undo()
    assert editor.instances[2000] == Instance(2000, CAR, 8, 7)


def test_a_part_may_be_given_to_an_object(editor):
    marked = np.zeros(SIZE, np.bool_)
    marked[3, 3] = True
    assert editor.paint(marked, "glass", 2000) == 2000
    assert editor.instances[2000] == Instance(2000, CAR, 9, 7)


def test_objects_take_their_parts_along(editor):
    editor.move_object(2000, 5, -2)
    assert (editor.label_map[2, 8], editor.inst_map[2, 8]) == (GLASS, 2000)
    assert (editor.label_map[4, 3], editor.inst_map[4, 3]) == (SKY, SKY), "the nearest pixel is above"
    copy = editor.duplicate(2000, -6, 0)
    assert (editor.label_map[2, 2], editor.inst_map[2, 2]) == (GLASS, copy)
    assert editor.instances[copy] == Instance(copy, CAR, 8, 7)


def test_parts_do_not_grow_into_a_gap(editor):
    """Where a car stood beside a line, the road is seen."""
    editor.move_object(2000, 0, 1)
    editor.paint(mask_of((4, 0, 3, 16)), "road")
    editor.paint(mask_of((5, 2, 2, 4)), "car", "new")
    editor.remove_object(2000)
    assert (editor.label_map[5:7] == ROAD).all()


def test_a_fill_in_the_studio_ends_where_a_part_begins(editor):
    apply(editor, {"op": "fill", "point": [3, 4], "class": CAR, "instance": 2000})
    assert editor.instances[2000] == Instance(2000, CAR, 8, 8), "the glass became body, and nothing else changed"
    apply(editor, {"op": "fill", "point": [0, 7], "class": ROAD, "instance": None})
    assert editor.instances[ROAD] == Instance(ROAD, ROAD, 56, 56)


def test_the_eraser_takes_a_line_off_the_road(editor):
    marked = np.zeros(SIZE, np.bool_)
    marked[7, :4] = True
    editor.erase(marked)
    assert editor.label_map[7].tolist() == [ROAD] * 4 + [LINE] * 12


def test_an_object_seen_by_its_parts_alone_keeps_its_class(editor):
    editor.paint(editor.pixels_of(2000), "glass")
    assert editor.instances[2000] == Instance(2000, CAR, 8, 0)
    assert editor.has_instances("car")


def test_a_part_has_no_style_of_its_own(editor):
    with pytest.raises(InputError, match="'glass' is a part"):
        editor.restyle("glass", 0)


def test_two_classes_in_one_instance_are_refused(synthesizer):
    label_map = np.full(SIZE, ROAD, np.uint8)
    label_map[0, :3] = SKY, GLASS, PERSON
    with pytest.raises(InputError, match=r"has pixels of 'sky', 'road', 'person'"):
        Editor(synthesizer, label_map, np.ones(SIZE, np.int32))


boxes = st.tuples(st.integers(0, 7), st.integers(0, 15), st.integers(1, 5), st.integers(1, 8))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("paint"), boxes, st.integers(0, 5), st.sampled_from([None, "new"])),
        st.tuples(st.just("relabel"), boxes, st.integers(0, 5)),
        st.tuples(st.just("erase"), boxes),
        st.tuples(st.just("move"), st.integers(0, 99), st.integers(-5, 5), st.integers(-5, 5)),
        st.tuples(st.just("duplicate"), st.integers(0, 99), st.integers(-5, 5), st.integers(-5, 5)),
        st.tuples(st.just("remove"), st.integers(0, 99)),
    ),
    max_size=8,
)


def mask_of(box):
    top, left, height, width = box
    mask = np.zeros(SIZE, np.bool_)
    mask[top : top + height, left : left + width] = True
    return mask


def do(editor, step):
    name, first, *rest = step
    ids = sorted(editor.instances)
    try:
        if name in ("move", "duplicate", "remove"):
            called = {"move": editor.move_object, "duplicate": editor.duplicate, "remove": editor.remove_object}[name]
            called(ids[first % len(ids)], *rest)
        else:
            getattr(editor, name)(mask_of(first), *rest)
    except InputError:
        pass


@settings(max_examples=drawn(150), deadline=None)
@given(steps=steps)
def test_what_is_kept_of_instances_is_what_the_maps_say(synthesizer, steps):
    """Counted anew from the maps after every step, forward and back; undone, the maps are the first ones."""
    label_map = np.full(SIZE, ROAD, np.uint8)
    label_map[:3] = SKY
    inst_map = label_map.astype(np.int32)
    label_map[6] = LINE
    label_map[2:5, 3:9], inst_map[2:5, 3:9] = CAR, 2000
    label_map[3, 4:8] = GLASS
    editor = Editor(synthesizer, label_map, inst_map)
    for step in steps:
        do(editor, step)
        assert editor.instances == dict(EditMaps(editor.label_map, editor.inst_map, LABELS).instances), step
    while editor.undo():
        assert editor.instances == dict(EditMaps(editor.label_map, editor.inst_map, LABELS).instances)
    assert np.array_equal(editor.label_map, label_map)
    assert np.array_equal(editor.inst_map, inst_map)
