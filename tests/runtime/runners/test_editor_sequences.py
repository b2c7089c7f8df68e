"""Random editing sequences against `naive_editor`, and what undo, redo, save and open must give back bit by bit."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime import Editor, Synthesizer
from runtime.errors import InputError
from tests.examples import drawn
from tests.runtime import tiny_engines
from tests.runtime.runners.naive_editor import NAMES, NaiveEditor

HEIGHT, WIDTH = 8, 16
SIZE = (HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def synthesizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    with Synthesizer(tiny_engines.synthesizer(folder / "tiny.onnx", styles=True, size=None)) as runner:
        yield runner


@pytest.fixture(scope="module")
def session_file(tmp_path_factory):
    return tmp_path_factory.mktemp("sessions") / "session.npz"


classes = st.integers(0, len(NAMES) - 1)
pixels = st.tuples(st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 1))
boxes = st.tuples(pixels, pixels).map(
    lambda ends: {
        (y, x)
        for y in range(min(ends[0][0], ends[1][0]), max(ends[0][0], ends[1][0]) + 1)
        for x in range(min(ends[0][1], ends[1][1]), max(ends[0][1], ends[1][1]) + 1)
    }
)
masks = st.one_of(boxes, st.sets(pixels, min_size=1, max_size=12))
which = st.integers(0, 1000)  # the instance at that place of the sorted ids, modulo their number
shift = st.integers(-6, 6)
operations = st.one_of(
    st.tuples(st.just("paint"), masks, classes, st.sampled_from([None, "new"])),
    st.tuples(st.just("extend"), masks, which),
    st.tuples(st.just("relabel"), which, classes),
    st.tuples(st.just("relabel_mask"), masks, classes),
    st.tuples(st.just("erase"), masks),
    st.tuples(st.just("remove"), which),
    st.tuples(st.just("move"), which, shift, shift),
    st.tuples(st.just("duplicate"), which, shift, shift),
    st.tuples(st.just("restyle"), which, st.integers(0, 2)),
    st.tuples(st.just("restyle_class"), classes, st.integers(0, 2)),
    st.tuples(st.just("shuffle"), st.integers(0, 2)),
    st.tuples(st.just("undo")),
    st.tuples(st.just("redo")),
)


def as_mask(marked):
    mask = np.zeros(SIZE, np.bool_)
    for y, x in marked:
        mask[y, x] = True
    return mask


def begin(synthesizer):
    label_map = np.zeros(SIZE, np.uint8)
    label_map[4:] = 1
    label_map[5:7, 2:6] = 2
    inst_map = label_map.astype(np.int32)
    inst_map[label_map == 2] = 2000
    editor = Editor(synthesizer, label_map, inst_map)
    places = [(y, x) for y in range(HEIGHT) for x in range(WIDTH)]
    labels = {p: int(label_map[p]) for p in places}
    return editor, NaiveEditor(labels, {p: int(inst_map[p]) for p in places}, *SIZE)


def do(editor, naive, operation):
    """One operation on both; what cannot be done is refused by both."""
    name, *arguments = operation
    ids = sorted(set(naive.ids.values()))
    if name in ("extend", "relabel", "remove", "move", "duplicate", "restyle"):
        place = 1 if name == "extend" else 0
        arguments[place] = ids[arguments[place] % len(ids)]
    if name == "duplicate":
        naive.drawn = editor.style_of(arguments[0])
    before = snapshot(editor)
    try:
        done = ON_EDITOR[name](editor, *arguments)
    except InputError:
        assert snapshot(editor) == before, "a refused operation changes nothing"
        assert not ON_NAIVE[name](editor, naive, *arguments)
        return
    assert ON_NAIVE[name](editor, naive, *arguments) in (done, True, None)


ON_EDITOR = {
    "paint": lambda editor, marked, class_id, instance: editor.paint(as_mask(marked), class_id, instance),
    "extend": lambda editor, marked, instance: editor.paint(
        as_mask(marked), editor.instances[instance].class_id, instance
    ),
    "relabel": lambda editor, instance, class_id: editor.relabel(instance, class_id),
    "relabel_mask": lambda editor, marked, class_id: editor.relabel(as_mask(marked), class_id),
    "erase": lambda editor, marked: editor.erase(as_mask(marked)),
    "remove": lambda editor, instance: editor.remove_object(instance),
    "move": lambda editor, *arguments: editor.move_object(*arguments),
    "duplicate": lambda editor, *arguments: editor.duplicate(*arguments) >= 0,
    "restyle": lambda editor, instance, index: editor.restyle(instance, index),
    "restyle_class": lambda editor, class_id, index: editor.restyle(NAMES[class_id], index),
    "shuffle": lambda editor, seed: editor.shuffle_styles(seed),
    "undo": lambda editor: editor.undo(),
    "redo": lambda editor: editor.redo(),
}
CENTRES = tiny_engines.BANK.centres


def feature(class_id, index):
    """None where the class has no such style."""
    styles = CENTRES.get(class_id, ())
    return styles[index] if index < len(styles) else None


def restyle(editor, naive, instance, index):
    chosen = feature(naive.class_of(instance), index)
    return False if chosen is None else naive.restyle(instance, chosen)


def restyle_class(editor, naive, class_id, index):
    chosen = feature(class_id, index)
    return False if chosen is None or class_id not in naive.labels.values() else naive.restyle_class(class_id, chosen)


ON_NAIVE = {
    "paint": lambda _, naive, *arguments: naive.paint(*arguments),
    "extend": lambda _, naive, marked, instance: naive.paint(marked, naive.class_of(instance), instance),
    "relabel": lambda _, naive, instance, class_id: naive.relabel(naive.pixels_of(instance), class_id),
    "relabel_mask": lambda _, naive, *arguments: naive.relabel(*arguments),
    "erase": lambda _, naive, marked: naive.erase(marked),
    "remove": lambda _, naive, instance: naive.remove(instance),
    "move": lambda _, naive, *arguments: naive.move(*arguments),
    "duplicate": lambda _, naive, *arguments: naive.duplicate(*arguments, naive.drawn),
    "restyle": restyle,
    "restyle_class": restyle_class,
    "shuffle": lambda _, naive, seed: naive.shuffle(seed),
    "undo": lambda _, naive: naive.step(naive.past, naive.future),
    "redo": lambda _, naive: naive.step(naive.future, naive.past),
}


def snapshot(editor):
    scene = editor.scene()
    return scene["label_map"].tobytes(), scene["inst_map"].tobytes(), scene["seed"], scene["styles"], editor.steps


def require_equal(editor, naive):
    for array, pixel_values in ((editor.label_map, naive.labels), (editor.inst_map, naive.ids)):
        assert array.tolist() == [[pixel_values[y, x] for x in range(WIDTH)] for y in range(HEIGHT)]
    chosen = {
        instance: naive.by_instance.get(instance, naive.by_class.get(naive.class_of(instance)))
        for instance in set(naive.ids.values())
    }
    assert editor.scene()["styles"] == {key: one for key, one in chosen.items() if one is not None}
    assert editor.seed == naive.seed
    assert editor.steps == (len(naive.past), len(naive.future))


def require_consistent(editor):
    label_map, inst_map = editor.label_map, editor.inst_map
    assert set(editor.instances) == set(np.unique(inst_map).tolist())
    for one in editor.instances.values():
        here = inst_map == one.id
        assert one.pixels == here.sum()
        assert set(label_map[here].tolist()) == {one.class_id}, "an instance has one class"
        if not editor.has_instances(one.class_id):
            assert one.id == one.class_id


@settings(
    max_examples=drawn(700), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.lists(operations, max_size=14))
def test_every_sequence_does_what_the_naive_editor_does(synthesizer, sequence):
    editor, naive = begin(synthesizer)
    for operation in sequence:
        do(editor, naive, operation)
    require_equal(editor, naive)
    require_consistent(editor)


@settings(
    max_examples=drawn(300), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.lists(operations, max_size=12))
def test_undo_redo_save_and_open_give_the_same_bytes(synthesizer, session_file, sequence):
    editor, naive = begin(synthesizer)
    start = snapshot(editor)[:4]
    for operation in sequence:
        do(editor, naive, operation)
    end = snapshot(editor)
    editor.save(session_file)
    saved = session_file.read_bytes()

    reopened = Editor.open(session_file, synthesizer)
    assert snapshot(reopened) == end
    reopened.save(session_file)
    assert session_file.read_bytes() == saved

    done, undone = editor.steps
    for session in (editor, reopened):
        while session.redo():
            pass
        for _ in range(undone):
            assert session.undo()
        assert snapshot(session) == end
        while session.undo():
            pass
        assert snapshot(session)[:4] == start
        for _ in range(done):
            assert session.redo()
        assert snapshot(session) == end
        require_consistent(session)
    assert np.array_equal(editor.render(), reopened.render())


def test_the_history_of_many_strokes_stays_within_its_bound(tmp_path):
    size = (1024, 2048)
    path = tiny_engines.synthesizer(tmp_path / "tiny.onnx", styles=True, size=size)
    rng = np.random.default_rng(0)
    limit = 300_000
    with Synthesizer(path) as synthesizer:
        editor = Editor(synthesizer, history_bytes=limit)
        for _ in range(300):
            y, x = (int(rng.integers(0, side - 300)) for side in size)
            mask = np.zeros(size, np.bool_)
            mask[y : y + 300, x : x + 300] = rng.random((300, 300)) < 0.5
            editor.paint(mask, int(rng.integers(0, 4)))
            assert editor.history_bytes <= limit
        kept = editor.steps[0]
        assert 0 < kept < 300
        end = snapshot(editor)
        while editor.undo():
            assert editor.history_bytes <= limit
        while editor.redo():
            assert editor.history_bytes <= limit
        assert snapshot(editor)[:4] == end[:4]
        require_consistent(editor)
