"""The sketch page's connection without a browser: a search that is watched, stopped, or left alone."""

import contextlib
import json
import time

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from runtime import SketchCompleter
from tests.runtime import tiny_completers
from tests.runtime.requests import get, pixels, png

SIDE = tiny_completers.SIDE
OPTIONS = {"given": "sketch", "iterations": 20, "restarts": 1, "seed": 3}
DRAWING = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def begin(studio, options, *files):
    socket = connect(f"ws://127.0.0.1:{studio.port}/ws/complete/faces", compression=None).__enter__()
    socket.send(options if isinstance(options, str) else json.dumps(options))
    with contextlib.suppress(ConnectionClosed):  # the options may have been refused already
        for file in files:
            socket.send(file)
    return socket


def messages(socket):
    """All that comes until the server closes: (news, picture or None)."""
    told = []
    try:
        while True:
            message = socket.recv(60)
            if isinstance(message, str):
                told.append([json.loads(message), None])
            elif told:
                told[-1][1] = message
    except ConnectionClosed:
        return told


def test_a_search_is_told_step_by_step_and_ends_with_the_librarys_photo(tiny_studio):
    told = messages(begin(tiny_studio, OPTIONS, png(DRAWING)))
    steps = [news for news, _ in told if news["type"] == "step"]
    assert [news["iteration"] for news in steps] == list(range(len(steps)))
    assert [bool(picture) for _, picture in told[:-1]] == [n % 5 == 0 for n in range(len(steps))]
    news, picture = told[-1]
    assert news["type"] == "done"
    with SketchCompleter(tiny_studio.folder / "faces.onnx") as completer:
        assert np.array_equal(pixels(picture), completer.run(DRAWING, iterations=20, seed=3))


def test_a_hint_is_heeded(tiny_studio):
    hint = np.zeros((SIDE, SIDE, 4), np.uint8)
    hint[2:6, 2:6] = 200, 30, 30, 255
    picture = messages(begin(tiny_studio, OPTIONS | {"hint": True}, png(DRAWING), png(hint)))[-1][1]
    with SketchCompleter(tiny_studio.folder / "faces.onnx") as completer:
        assert np.array_equal(pixels(picture), completer.run(DRAWING, hint=hint, iterations=20, seed=3))


def test_stop_keeps_the_best_so_far(tiny_studio):
    socket = begin(tiny_studio, OPTIONS | {"iterations": 5000, "restarts": 16}, png(DRAWING))
    assert json.loads(socket.recv(60))["type"] == "step"
    socket.recv(60)
    socket.send("stop")
    told = [one for one in messages(socket) if one[0]["type"] == "done"]
    assert told[-1][0]["type"] == "done"
    assert told[-1][0]["steps"] < 5000


def test_a_page_that_goes_in_mid_search_ends_it(tiny_studio):
    for _ in range(3):
        socket = begin(tiny_studio, OPTIONS | {"iterations": 5000, "restarts": 16}, png(DRAWING))
        socket.recv(60)
        socket.socket.close()
    assert messages(begin(tiny_studio, OPTIONS, png(DRAWING)))[-1][0]["type"] == "done", "the engine is free again"
    assert get(tiny_studio, "/api/engines")[0] == 200


@pytest.mark.parametrize(
    ("options", "file", "message"),
    [
        ("nonsense", b"", "the options of the search"),
        (OPTIONS | {"given": "music"}, b"", "given is 'music'"),
        (OPTIONS | {"iterations": 10**9}, b"", "iterations is 1000000000"),
        (OPTIONS | {"restarts": 0}, b"", "restarts is 0"),
        (OPTIONS, b"no picture", "image the drawing is corrupt"),
        (OPTIONS | {"hint": True}, png(DRAWING), "hint the hint has no transparency"),
    ],
)
def test_what_is_wrong_is_said(tiny_studio, options, file, message):
    (news, _), *_ = messages(begin(tiny_studio, options, file, file))
    assert news["type"] == "error"
    assert message in news["message"]


def test_a_page_that_went_is_told_nothing(tiny_studio):
    """What is wrong with a drawing is found out after the page has gone; a traceback would fail the fixture's end."""
    noise = np.random.default_rng(1).integers(0, 256, (2000, 2500, 3), dtype=np.uint8)
    socket = begin(tiny_studio, OPTIONS, png(noise)[:-100])
    socket.socket.shutdown(2)
    time.sleep(2)
    assert "Traceback" not in tiny_studio.errors.read_text()
    assert get(tiny_studio, "/")[0] == 200
