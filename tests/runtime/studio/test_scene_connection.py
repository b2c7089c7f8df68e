"""The scene page's connection without a browser: editing, several pages, slow and vanished ones, files."""

import io
import json
import time

import numpy as np
import pytest
from websockets.sync.client import connect

from runtime import Editor, Synthesizer
from runtime.errors import InputError
from runtime.studio.operations import apply
from runtime.studio.style_sheet import style_sheet
from tests.runtime import tiny_engines
from tests.runtime.requests import Scene, error_of, get, pixels, png, post

SIZE = tiny_engines.SIZE
CAR = 2


def rectangle(left, top, right, bottom):
    return {"kind": "rectangle", "points": [[left, top], [right, bottom]]}


def paint_car(page, shape=None):
    return page.do(op="paint", **{"class": CAR}, instance="new", shape=shape or rectangle(4, 9, 9, 11))


@pytest.fixture
def page(tiny_studio):
    with Scene(tiny_studio) as scene:
        yield scene


@pytest.fixture(scope="module")
def synthesizer(tiny_studio):
    with Synthesizer(tiny_studio.folder / "scene.onnx") as runner:
        yield runner


def test_a_stroke_comes_back_as_maps_and_as_the_librarys_photo(page, synthesizer):
    assert paint_car(page) == 2000
    own = Editor(synthesizer)
    mask = np.zeros(SIZE, bool)
    mask[9:12, 4:10] = True
    own.add_object("car", mask)
    assert np.array_equal(page.labels, own.label_map)
    assert np.array_equal(page.ids, own.inst_map)
    assert np.array_equal(page.photo[1], own.render())


def test_every_operation_has_its_message(page):
    paint_car(page)
    page.do(
        op="paint", **{"class": CAR}, instance=2000, shape={"kind": "line", "points": [[4, 12], [9, 12]], "radius": 0}
    )
    assert (page.ids == 2000).sum() == 24
    page.do(op="erase", shape={"kind": "polygon", "points": [[0, 0], [32, 0], [32, 11], [0, 11]]})
    assert (page.ids == 2000).sum() == 12
    page.do(op="move", instance=2000, dx=3, dy=-2)
    copied = page.do(op="duplicate", instance=2000, dx=8, dy=0)
    page.do(op="restyle", instance=copied, style=2)
    page.do(op="restyle", style=1, **{"class": CAR})
    page.do(op="relabel", instance=copied, **{"class": 3})
    page.do(op="shuffle", seed=4)
    page.do(op="fill", point=[0, 0], **{"class": 1})
    assert page.labels[0, 0] == 1
    page.do(op="remove", instance=2000)
    for _ in range(11):
        page.do(op="undo")
    assert not (page.ids >= 1000).any()
    page.do(op="redo")
    assert (page.ids == 2000).sum() == 18
    assert page.errors == []


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        ({"op": "explode"}, "operation 'explode' is unknown"),
        ({"op": ["paint"]}, "is unknown; reload the page"),
        ({}, "operation None is unknown"),
        ({"op": "paint", "class": CAR}, "paint: field 'shape' is missing"),
        ({"op": "paint", "class": 999, "shape": rectangle(0, 0, 1, 1)}, "class is 999"),
        ({"op": "paint", "class": 9, "shape": rectangle(0, 0, 1, 1)}, "class 9 is none of this engine's"),
        ({"op": "paint", "class": 1, "shape": {"kind": "star", "points": [[0, 0]]}}, "shape 'star' of 1 points"),
        ({"op": "paint", "class": 1, "shape": {"kind": "line", "points": [[0]], "radius": 1}}, "a point is not two"),
        ({"op": "paint", "class": 1, "shape": {"kind": "line", "points": [[0, 0]], "radius": "9"}}, "radius is '9'"),
        ({"op": "paint", "class": 1, "shape": {"kind": "line", "points": [[0, 1e300]], "radius": 1}}, "no map has"),
        ({"op": "paint", "class": 1, "shape": rectangle(90, 90, 99, 99)}, "marks no pixel"),
        ({"op": "paint", "class": 1, "instance": [1], "shape": rectangle(0, 0, 1, 1)}, "there is no instance [1]"),
        ({"op": "move", "instance": 77, "dx": 1, "dy": 1}, "there is no instance 77"),
        ({"op": "fill", "point": [99, 99], "class": 1}, "there is no pixel"),
        ({"op": "restyle", "instance": 0, "style": 0}, "has no styles"),
        ({"op": "restyle", "class": 9, "style": 0}, "class is 9, expected a whole number from 0 to 3"),
        ({"op": "swatches", "instance": 0}, "the class 'sky' has no styles"),
        ({"op": "swatches", "instance": "all"}, "there is no instance 'all'"),
        ({"op": "draft", "step": 2}, "at full size only"),
        ({"op": "shuffle", "seed": 1.5}, "seed is 1.5"),
    ],
)
def test_what_makes_no_sense_is_said_and_changes_nothing(page, message, reply):
    before = page.labels.copy(), page.ids.copy()
    page.send(**message)
    page.until(lambda: page.errors)
    assert reply in page.errors[0]
    assert np.array_equal(before, (page.labels, page.ids))
    page.errors.clear()
    assert paint_car(page) == 2000, "the connection goes on"


@pytest.mark.parametrize("text", ["", "[1]", "nonsense", "[" * 100_000])
def test_what_is_no_message(page, text):
    page.socket.send(text)
    page.until(lambda: page.errors)
    assert "reload the page" in page.errors[0]


def test_two_pages_of_a_session_see_each_others_strokes(tiny_studio, page):
    with Scene(tiny_studio, session=page.session) as other:
        assert other.session == page.session
        paint_car(page)
        other.until(lambda: (other.ids == 2000).any() and np.array_equal(other.photo[1][10, 5], page.photo[1][10, 5]))
        other.do(op="undo")
        page.until(lambda: not (page.ids == 2000).any())


def test_a_reload_finds_the_session(tiny_studio):
    with Scene(tiny_studio) as page:
        paint_car(page)
        name, labels = page.session, page.labels
    with Scene(tiny_studio, session=name) as again:
        assert again.session == name
        assert np.array_equal(again.labels, labels)
        assert again.about["undo"] == 1
        again.until(lambda: again.photo[1][10, 5, 0] == CAR)


def test_an_unknown_session_or_engine(tiny_studio):
    with Scene(tiny_studio, session="nonsense") as page:
        assert page.session != "nonsense"
    url = f"ws://127.0.0.1:{tiny_studio.port}/ws/scene/nothing"
    with connect(url) as opened, pytest.raises(Exception, match="no synthesizer engine 'nothing'"):
        opened.recv(10)


def test_a_page_that_does_not_read_holds_up_nobody(tiny_studio, page):
    """It is told the newest once it reads, not everything that was."""
    slow = Scene(tiny_studio, session=page.session)
    start = time.monotonic()
    for step in range(60):
        page.do(op="paint", shape=rectangle(step % 30, 2, step % 30 + 1, 5), **{"class": step % 2})
    assert time.monotonic() - start < 30
    slow.until(lambda: np.array_equal(slow.labels, page.labels) and slow.photo[0] == page.photo[0])
    slow.socket.close()


def test_a_page_that_vanishes_in_mid_render_is_forgotten(tiny_studio):
    for _ in range(5):
        gone = Scene(tiny_studio)
        gone.send(op="paint", instance="new", shape=rectangle(4, 9, 9, 11), **{"class": CAR})
        gone.socket.socket.close()
    with Scene(tiny_studio) as page:
        assert paint_car(page) == 2000


def test_swatches_show_each_style(page, synthesizer):
    paint_car(page)
    page.do(op="restyle", instance=2000, style=1)
    page.send(op="swatches", instance=2000)
    page.until(lambda: page.swatches)
    assert (page.swatches["count"], page.swatches["chosen"]) == (3, 1)
    own = Editor(synthesizer, page.labels, page.ids)
    pictures = style_sheet(own, 2000).render().pictures
    middle = pictures.shape[1] // 2
    codes = [10 * a + b for a, b in tiny_engines.BANK.centres[CAR]]
    assert pictures[:, middle, middle, 2].tolist() == codes


def test_saved_files_are_the_librarys_own(tiny_studio, page, synthesizer):
    paint_car(page)
    page.do(op="restyle", instance=2000, style=2)
    own = Editor(synthesizer, page.labels, page.ids)
    own.restyle(2000, 2)

    def file(name):
        status, _, body = get(tiny_studio, f"/api/scene/{page.session}/{name}")
        assert status == 200, body
        return body

    assert np.array_equal(pixels(file("labels.png")), own.label_map)
    assert np.array_equal(pixels(file("instances.png")), own.inst_map)
    assert np.array_equal(pixels(file("photo.png")), own.render())
    assert np.array_equal(pixels(file("colours.png")), synthesizer.labels.colourise(own.label_map))
    reopened = Editor.open(io.BytesIO(file("session.npz")), synthesizer)
    assert reopened.steps == (2, 0)
    assert np.array_equal(reopened.render(), own.render())
    assert "those are photo.png, labels.png" in error_of(get(tiny_studio, f"/api/scene/{page.session}/secrets.txt"))
    assert "no session 'x'" in error_of(get(tiny_studio, "/api/scene/x/labels.png"))


def test_maps_and_sessions_are_opened(tiny_studio, page):
    labels = np.full(SIZE, CAR, np.uint8)
    labels[:, :8] = 0
    ids = np.where(labels == CAR, np.int32(2005), np.int32(0)).astype(np.uint16)
    path = f"/api/scene/{page.session}/open"
    assert post(tiny_studio, path, labels=png(labels), instances=png(ids)) == (200, b'{"notes":[]}')
    page.until(lambda: np.array_equal(page.ids, ids))
    page.do(op="remove", instance=2005)
    session = get(tiny_studio, f"/api/scene/{page.session}/session.npz")[2]
    palette = np.array(tiny_engines.LABELS.palette, np.uint8)[labels]
    assert b"its colours were translated to class ids" in post(tiny_studio, path, labels=png(palette))[1]
    assert post(tiny_studio, path, nothing="")[0] == 200
    page.until(lambda: (page.labels[-1] == 1).all())
    assert post(tiny_studio, path, session=session)[0] == 200
    page.until(lambda: (page.labels == 0).all())
    page.do(op="undo")
    assert (page.ids == 2005).any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels": png(np.zeros((8, 8), np.uint8))}, "this engine takes exactly 16×32"),
        ({"labels": png(np.full(SIZE, 200, np.uint8))}, "outside the engine's 4 classes"),
        ({"labels": png(np.full((*SIZE, 3), (1, 2, 3), np.uint8))}, "colours are not in the class table"),
        ({"labels": b"nonsense"}, "label map labels.png is corrupt"),
        ({"labels": png(np.zeros(SIZE, np.uint8)), "instances": png(np.zeros((2, 2), np.uint8))}, "as label_map has"),
        ({"session": b"nonsense"}, "session file cannot be opened"),
        ({"session": ""}, "session is a text"),
    ],
)
def test_files_that_do_not_fit_leave_the_scene(tiny_studio, page, fields, message):
    paint_car(page)
    assert message in error_of(post(tiny_studio, f"/api/scene/{page.session}/open", **fields))
    assert page.do(op="undo") is True


def test_a_style_from_a_photo_needs_the_encoder(tiny_studio, page):
    paint_car(page)
    path = f"/api/scene/{page.session}/restyle"
    photo = png(np.zeros((4, 4, 3), np.uint8))
    assert "only an encoder can read" in error_of(post(tiny_studio, path, instance="2000", photo=photo))
    assert "expected an id" in error_of(post(tiny_studio, path, instance="car", photo=photo))
    assert "there is no" in error_of(post(tiny_studio, path, instance="77", photo=photo))


def test_a_style_comes_from_a_photo_by_the_encoder_beside_the_engine(tiny_studio):
    with Scene(tiny_studio, "free") as page:
        assert page.about["hasEncoder"]
        paint_car(page)
        photo = png(np.full((4, 5, 3), (10, 20, 30), np.uint8))
        assert post(tiny_studio, f"/api/scene/{page.session}/restyle", instance="2000", photo=photo) == (200, b"{}")
        page.until(lambda: page.photo[1][10, 5, 2] == 60)


def test_an_engine_of_any_size_renders_drafts(tiny_studio):
    with Scene(tiny_studio, "free") as page:
        assert page.about["canDraft"]
        paint_car(page)
        page.send(op="draft", step=2)
        page.until(lambda: page.photo[1].shape[:2] == (8, 16))
        assert page.photo[1][5, 3, 0] == CAR
        saved = pixels(get(tiny_studio, f"/api/scene/{page.session}/photo.png")[2])
        assert saved.shape[:2] == SIZE, "what is saved is no draft"
        for step in (3, 4, "2", None, 2.0, 1.0):
            page.send(op="draft", step=step)
            page.until(lambda: page.errors)
            assert "at full size only" in page.errors.pop()


def test_messages_are_operations_of_the_editor(synthesizer):
    editor = Editor(synthesizer)
    assert apply(editor, {"op": "undo"}) is False
    with pytest.raises(InputError):
        apply(editor, json.loads('{"op": "paint", "class": true, "shape": {}}'))
