"""What an editor's operations do, one by one, and what they refuse."""

import time

import numpy as np
import pytest

import runtime
from runtime import Editor, StyleEncoder, Synthesizer
from runtime.engines.labels import LabelSpec
from runtime.errors import InputError, StyleError
from runtime.runners.strokes import Box, line
from tests.runtime import tiny_engines

SIZE = tiny_engines.SIZE
SKY, ROAD, CAR, PERSON = range(4)


@pytest.fixture(scope="module")
def synthesizer(tmp_path_factory):
    with Synthesizer(tiny_engines.synthesizer(tmp_path_factory.mktemp("a") / "tiny.onnx", styles=True)) as runner:
        yield runner


def block(top, left, bottom, right, size=SIZE):
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.fixture
def editor(synthesizer):
    """Sky over road, and one car of id 2000."""
    session = Editor(synthesizer)
    assert session.add_object("car", block(9, 4, 12, 10)) == 2000
    return session


def test_a_new_session_is_sky_over_ground(synthesizer):
    label_map = Editor(synthesizer).label_map
    assert label_map.shape == SIZE
    assert set(label_map[:7].ravel()) == {SKY}
    assert set(label_map[7:].ravel()) == {ROAD}


def test_an_engine_without_such_names_begins_with_its_first_two_classes(tmp_path):
    for count, expected in ((1, {0}), (2, {0, 1}), (5, {0, 1})):
        path = tiny_engines.synthesizer(tmp_path / f"{count}.onnx", labels=LabelSpec.unnamed(count))
        with Synthesizer(path) as plain:
            assert set(np.unique(Editor(plain).label_map)) == expected


def test_the_caller_keeps_his_maps(synthesizer):
    label_map, inst_map = np.full(SIZE, ROAD, np.uint8), np.full(SIZE, ROAD, np.int32)
    session = Editor(synthesizer, label_map, inst_map)
    session.paint(block(0, 0, 2, 2), "sky")
    assert (label_map == ROAD).all()
    assert (inst_map == ROAD).all()
    session.label_map[:] = 0
    assert session.label_map[5, 5] == ROAD


def test_render_is_what_the_synthesizer_makes(editor, synthesizer):
    photo = editor.render()
    assert np.array_equal(photo, synthesizer.run(editor.label_map, editor.inst_map))
    assert photo[10, 5, 0] == CAR
    editor.restyle(2000, 1)
    assert np.array_equal(editor.render(), synthesizer.run(editor.label_map, editor.inst_map, styles={2000: 1}))
    assert editor.render()[10, 5, 2] == 10 * 3 + 4, "the style's code"


def test_an_engine_without_instances_and_styles_is_edited_too(tmp_path):
    with Synthesizer(tiny_engines.synthesizer(tmp_path / "plain.onnx")) as plain:
        session = Editor(plain)
        session.add_object("car", block(9, 4, 12, 10))
        session.move_object(2000, 5, 0)
        assert session.render()[10, 12, 0] == CAR
        with pytest.raises(StyleError, match="no style features"):
            session.restyle("car", 0)
        assert session.style_of(2000) is None
        assert session.duplicate(2000, 0, 2) == 2001


def test_instances_of_one_class_get_free_ids(editor):
    assert editor.add_object("car", block(13, 20, 15, 24)) == 2001
    editor.remove_object(2000)
    assert editor.add_object("car", block(9, 4, 12, 10)) == 2000, "a freed id is free"
    assert editor.add_object("person", block(2, 2, 4, 3)) == 3000
    assert editor.add_object("sky", block(0, 0, 1, 1)) == SKY, "a class that has no instances gets none"
    assert editor.paint(block(5, 5, 6, 6), "car") == CAR, "no car in particular"


def test_paint_extends_an_object_of_its_class_only(editor):
    assert editor.paint(block(12, 4, 13, 10), "car", 2000) == 2000
    assert editor.instances[2000].pixels == 4 * 6
    for instance, message in ((2001, "no instance 2001"), ("old", 'expected an id, "new"'), (ROAD, "not 'car'")):
        with pytest.raises(InputError, match=message):
            editor.paint(block(0, 0, 1, 1), "car", instance)


def test_paint_over_an_object_takes_its_style_with_it_and_undo_brings_it_back(editor):
    editor.restyle(2000, 2)
    editor.paint(block(8, 0, 13, 12), "road")
    assert 2000 not in editor.instances
    assert editor.add_object("car", block(9, 4, 12, 10)) == 2000
    assert 2000 not in editor.scene()["styles"], "the new car is another one"
    assert editor.undo()
    assert editor.undo()
    assert editor.scene()["styles"] == {2000: (5.0, 6.0)}


def test_relabel_keeps_objects_apart(editor):
    editor.add_object("car", block(9, 20, 12, 26))
    editor.relabel(block(9, 0, 12, 32), "person")
    assert {one.id for one in editor.instances.values() if one.class_id == PERSON} == {3000, 3001, 3002}
    editor.relabel(3000, "road")
    assert 3000 not in editor.instances


def test_remove_lets_the_surroundings_grow_in_and_fill_does_not(synthesizer):
    label_map = np.full(SIZE, ROAD, np.uint8)
    label_map[:, :16] = SKY
    session = Editor(synthesizer, label_map)
    session.add_object("car", block(4, 10, 12, 22))
    session.add_object("person", block(4, 22, 12, 24))
    session.remove_object(2000)
    assert np.array_equal(session.label_map[4:12, 10:22], label_map[4:12, 10:22]), "sky left of the middle, road right"
    assert session.undo()
    session.remove_object(2000, fill="sky")
    assert (session.label_map[4:12, 10:22] == SKY).all()


def test_erase_takes_objects_and_nothing_else(editor):
    before = editor.label_map
    editor.erase(block(0, 0, 11, 32))
    after = editor.label_map
    assert set(after[9:11, 4:10].ravel()) == {ROAD}
    assert set(after[11, 4:10]) == {CAR}
    before[9:11, 4:10] = ROAD
    assert np.array_equal(before, after)
    steps = editor.steps
    editor.erase(block(0, 0, 3, 3))
    assert editor.steps == steps, "there was no object, so nothing happened"


def test_nothing_is_left_to_grow(synthesizer):
    session = Editor(synthesizer, np.full(SIZE, CAR, np.uint8))
    with pytest.raises(InputError, match="nothing would be left"):
        session.remove_object(CAR)
    session.remove_object(CAR, fill="sky")
    assert set(session.instances) == {SKY}


def test_move_cuts_at_the_border_and_refuses_to_lose_all(editor):
    editor.move_object(2000, 25, 0)
    assert editor.instances[2000].pixels == 3 * 3
    assert set(editor.label_map[9:12, 4:10].ravel()) == {ROAD}
    before = editor.label_map
    with pytest.raises(InputError, match="marks no pixel"):
        editor.move_object(2000, 100, 0)
    assert np.array_equal(editor.label_map, before)
    with pytest.raises(InputError, match="dx is 1.5, expected whole pixels"):
        editor.move_object(2000, 1.5, 0)


def test_a_copy_looks_like_its_original(editor):
    drawn = editor.style_of(2000)
    copied = editor.duplicate(2000, 12, 1)
    assert copied == 2001
    assert editor.style_of(copied) == drawn
    assert np.array_equal(editor.render()[9:12, 4:10, 2], editor.render()[10:13, 16:22, 2])


def test_styles_of_classes_and_instances(editor, synthesizer):
    other = editor.add_object("car", block(13, 20, 15, 24))
    editor.restyle("car", 0)
    editor.restyle(other, (9.0, 3.0))
    assert editor.scene()["styles"] == {2000: (1.0, 2.0), other: (9.0, 3.0)}
    editor.shuffle_styles(5)
    assert editor.scene()["styles"] == {}
    assert editor.seed == 5
    assert editor.changed == Box(0, 0, *SIZE)
    assert editor.undo()
    assert editor.seed == 0
    with pytest.raises(StyleError, match="choose 0 to 2"):
        editor.restyle(2000, 3)
    with pytest.raises(StyleError, match="this class has no styles"):
        editor.restyle("road", 0)
    with pytest.raises(InputError, match="no 'person' in this scene"):
        editor.restyle("person", 0)


def test_a_style_number_is_an_instance_before_it_is_a_class(synthesizer):
    label_map = np.full(SIZE, CAR, np.uint8)
    label_map[:, :4] = PERSON
    inst_map = np.where(label_map == CAR, np.int32(3), np.int32(7))
    session = Editor(synthesizer, label_map, inst_map)
    session.restyle(PERSON, 2)
    assert session.scene()["styles"] == {3: (5.0, 6.0)}, "3 is an instance of the class car here"


def test_a_style_from_a_photo_of_the_scene_and_of_the_thing_alone(tmp_path):
    bank = tiny_engines.StyleBank(3, {CAR: ((1.0, 2.0, 3.0),)})
    spec = tiny_engines.synthesizer_spec(styles=True, bank=bank)
    nodes, constants = tiny_engines.synthesizer_graph(spec)
    constants = [(name, np.ones((3, 1), np.float32) if name == "weights" else value) for name, value in constants]
    path = tiny_engines.save(tmp_path / "three.onnx", spec, nodes, constants)
    with Synthesizer(path) as three, StyleEncoder(tiny_engines.style_encoder(tmp_path / "e.onnx")) as reads:
        session = Editor(three, encoder=reads)
        session.add_object("car", block(9, 4, 12, 10))
        photo = np.zeros((*SIZE, 3), np.uint8)
        photo[9:12, 4:10] = 10, 20, 30
        session.restyle(2000, photo)
        assert session.style_of(2000) == (10.0, 20.0, 30.0)
        session.restyle("car", np.full((4, 5, 3), 7, np.uint8))
        assert session.style_of(2000) == (10.0, 20.0, 30.0), "an instance goes before its class"
        assert session.style_of(session.add_object("car", block(13, 20, 15, 24))) == (7.0, 7.0, 7.0)
        with pytest.raises(InputError, match="larger than the map's 16×32"):
            session.restyle("car", np.zeros((17, 32, 3), np.uint8))
        session.encoder = None
        with pytest.raises(StyleError, match="only an encoder can read"):
            session.restyle("car", photo)


def test_changed_is_the_box_of_what_differs(editor):
    editor.paint(block(8, 2, 13, 20), "road")
    assert editor.changed == Box(9, 4, 12, 10), "all around was road already"
    editor.paint(block(0, 0, 16, 32), "road")
    assert editor.changed == Box(0, 0, 7, 32), "below all was road already"
    steps = editor.steps
    editor.paint(block(0, 0, 16, 32), "road")
    assert editor.steps == steps, "nothing changed, so there is nothing to undo"
    assert editor.undo()
    assert editor.changed == Box(0, 0, 7, 32)


def test_the_engine_limits_the_instances(tmp_path):
    with Synthesizer(tiny_engines.synthesizer(tmp_path / "few.onnx", styles=True, instances=3)) as few:
        session = Editor(few)
        session.add_object("car", block(9, 4, 12, 10))
        before = session.inst_map
        with pytest.raises(InputError, match="4 instances, this engine takes up to 3"):
            session.add_object("car", block(13, 20, 15, 24))
        assert np.array_equal(session.inst_map, before)
        assert session.steps == (1, 0)
        with pytest.raises(InputError, match="up to 3"):
            Editor(few, np.repeat(np.arange(4, dtype=np.uint8), 128).reshape(SIZE))


def test_a_thousand_objects_of_a_class_are_not_the_end(tmp_path):
    path = tiny_engines.synthesizer(tmp_path / "large.onnx", styles=True, size=(16, 1024))
    with Synthesizer(path) as large:
        session = Editor(large)
        ids = {session.add_object("car", block(0, x, 1, x + 1, (16, 1024))) for x in range(1002)}
        assert len(ids) == 1002
        assert session.add_object("person", block(2, 0, 3, 1, (16, 1024))) == 3000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label_map": np.zeros((8, 8), np.uint8)}, "this engine takes exactly 16×32"),
        ({"label_map": np.full(SIZE, 4, np.uint8)}, "outside the engine's 4 classes"),
        ({"label_map": np.zeros((1, *SIZE), np.uint8)}, "expected one map"),
        ({"inst_map": np.zeros(SIZE, np.int32)}, "inst_map is given without a label_map"),
        ({"label_map": np.zeros(SIZE, np.uint8), "inst_map": np.zeros((4, 4), np.int32)}, "as label_map has"),
        (
            {"label_map": block(0, 0, 4, 4).astype(np.uint8), "inst_map": np.full(SIZE, 9)},
            "9 has pixels of 'sky', 'road'",
        ),
        ({"seed": -1}, "seed is -1"),
        ({"history_bytes": -1}, "history_bytes is -1"),
    ],
)
def test_what_no_session_begins_with(synthesizer, arguments, message):
    with pytest.raises(InputError, match=message):
        Editor(synthesizer, **arguments)


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (lambda editor: editor.paint(block(0, 0, 1, 1), "cat"), "unknown class 'cat'; this engine's classes are sky"),
        (lambda editor: editor.paint(block(0, 0, 1, 1), 4), "give a name, or an id of 0..3"),
        (lambda editor: editor.paint(block(0, 0, 1, 1), True), "class True is none"),
        (lambda editor: editor.paint(np.zeros(SIZE, bool), "car"), "mask marks no pixel"),
        (lambda editor: editor.relabel(77, "car"), "no instance 77"),
        (lambda editor: editor.remove_object(True), "no instance True"),
        (lambda editor: editor.move_object("car", 1, 1), "no instance 'car'"),
        (lambda editor: editor.duplicate(77, 1, 1), "no instance 77"),
        (lambda editor: editor.instance_at(32, 0), "no pixel x = 32, y = 0"),
        (lambda editor: editor.pixels_of("person"), "no 'person' in this scene"),
        (lambda editor: editor.shuffle_styles(-1), "seed is -1"),
    ],
)
def test_what_cannot_be_done_changes_nothing(editor, operation, message):
    before = editor.label_map.tobytes(), editor.inst_map.tobytes(), editor.steps, editor.seed
    with pytest.raises(InputError, match=message):
        operation(editor)
    assert (editor.label_map.tobytes(), editor.inst_map.tobytes(), editor.steps, editor.seed) == before


def test_a_large_change_that_the_bound_does_not_hold_cannot_be_undone(synthesizer):
    session = Editor(synthesizer, history_bytes=0)
    session.paint(block(0, 0, 4, 4), "road")
    assert session.steps == (0, 0)
    assert not session.undo()


def test_a_stroke_costs_its_box(tmp_path):
    """Of two maps of which one is 64 times as large, the same stroke takes about as long; a map's pass would not."""
    times = {}
    for size in ((128, 256), (1024, 2048)):
        with Synthesizer(tiny_engines.synthesizer(tmp_path / "tiny.onnx", styles=True, size=size)) as runner:
            session = Editor(runner)
            taken = []
            for step in range(40):
                region = line([(20, 20 + step), (100, 40 + step)], 4, size)
                start = time.perf_counter()
                session.paint(region, step % 2 + 2)
                taken.append(time.perf_counter() - start)
            times[size] = min(taken)
    assert times[1024, 2048] < 5 * times[128, 256], times


def test_the_editor_is_public():
    assert runtime.Editor is Editor
