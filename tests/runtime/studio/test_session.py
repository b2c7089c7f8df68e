"""Sessions without a server: what is forgotten, which photo stays, what a slow page is told."""

import asyncio
import json
import struct

import numpy as np
import pytest

from runtime import Editor, Synthesizer
from runtime.errors import InputError
from runtime.runners.strokes import Box
from runtime.studio import scene
from runtime.studio import session as sessions
from runtime.studio.session import Listener, Photo, SceneSession, Sessions
from tests.runtime import tiny_engines


class Worker:
    """Answers every call with the next of `photos`: revision and pixels."""

    waiting, last_ms = 0, 1.0

    def __init__(self, *photos):
        self.photos = iter(photos)

    async def call(self, *_):
        return next(self.photos)


def test_the_oldest_that_nobody_looks_at_is_forgotten(monkeypatch):
    monkeypatch.setattr(sessions, "_MOST_SESSIONS", 3)
    kept, worker = Sessions(), Worker()
    first, second, third = (kept.add(worker, None) for _ in range(3))
    first._listeners.append(Listener())
    fourth = kept.add(worker, None)
    assert [kept.find(one.id, worker) for one in (first, second, third, fourth)] == [first, None, third, fourth]
    with pytest.raises(InputError, match="reload the page"):
        kept.get(second.id)
    assert kept.find(first.id, Worker()) is None, "a session belongs to its engine"


def test_an_older_rendering_does_not_replace_a_newer_one():
    pixels = np.zeros((4, 4, 3), np.uint8)
    session = SceneSession(Worker((5, pixels), (3, pixels), (5, pixels + 1)), None)
    assert asyncio.run(session.render()).revision == 5
    assert asyncio.run(session.render()).revision == 3, "who asked gets it all the same"
    assert session.photo.revision == 5
    asyncio.run(session.render())
    assert session.photo.pixels.max() == 1, "of one revision the last"


def test_rendering_goes_on_while_one_page_is_left():
    async def run():
        session = SceneSession(Worker(), None)
        session._is_stale.clear()
        session._listeners += [Listener(), Listener()]
        rendering = session._rendering = asyncio.create_task(session._render_while_watched())
        await asyncio.sleep(0)
        session.leave(session._listeners[0])
        await asyncio.sleep(0)
        assert not rendering.done()
        assert session.is_watched
        session.leave(session._listeners[0])
        with pytest.raises(asyncio.CancelledError):
            await rendering
        assert not session.is_watched

    asyncio.run(run())


def test_a_slow_page_gets_all_that_changed_and_the_newest_photo():
    listener = Listener()
    photos = [Photo(n, np.zeros((1, 1, 3), np.uint8), 0.0) for n in (1, 2)]
    listener.tell(box=Box(5, 6, 7, 8), photo=photos[0])
    listener.tell(box=Box(1, 7, 6, 12), photo=photos[1], message={"type": "state"})
    listener.tell(message={"type": "done"})
    assert listener.box == Box(1, 6, 7, 12)
    assert listener.photo is photos[1]
    assert [one["type"] for one in listener.messages] == ["state", "done"]
    assert listener.wakes.is_set()


def test_a_draft_leaves_out_what_it_is_too_coarse_for(tmp_path):
    """An object between the pixels of a draft has a style all the same, which the draft's map does not know."""
    path = tiny_engines.synthesizer(tmp_path / "e.onnx", styles=True, size=None)
    thin, wide = np.zeros((2, 16, 32), bool)
    thin[4:8, 5], wide[4:8, 10:20] = True, True
    with Synthesizer(path) as synthesizer:
        editor = Editor(synthesizer)
        for number, mask in enumerate((thin, wide)):
            editor.restyle(editor.add_object("car", mask), number)
        worker = Worker()
        worker.runner = synthesizer
        session = SceneSession(worker, editor)
        session.use_draft(2)
        _, draft = session._render_newest(True)
        _, photo = session._render_newest(False)
    assert (draft.shape, photo.shape) == ((8, 16, 3), (16, 32, 3))
    np.testing.assert_array_equal(draft[3, 6, ::2], photo[6, 12, ::2])  # class and style; green counts the instances


def test_what_pages_are_sent_is_what_browsers_take():
    """A canvas wants opaque RGBA, and typed arrays want numbers that begin at a multiple of four bytes."""
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    pixels = np.frombuffer(scene._rgba(image), np.uint8).reshape(2, 4, 4)
    np.testing.assert_array_equal(pixels[..., :3], image)
    assert (pixels[..., 3] == 255).all()
    for text in ("", "a", "ab", "abc", "abcd"):
        frame = scene._frame({"type": text}, b"payload")
        (length,) = struct.unpack("<I", frame[:4])
        assert length % 4 == 0
        assert json.loads(frame[4 : 4 + length]) == {"type": text}
        assert frame[4 + length :] == b"payload"
