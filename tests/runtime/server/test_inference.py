"""A worker's calls: one after the other, counted, dropped where the server ends; and what their errors become."""

import asyncio
import json
import threading
import time
from http import HTTPStatus
from pathlib import Path

import pytest

from runtime.errors import DeviceError, InputError
from runtime.server.handlers import answering
from runtime.server.inference import Worker
from runtime.server.line import Line, QueueFullError
from runtime.server.problems import (
    NotLoadedError,
    TooLargeError,
    TooLateError,
    TooSlowError,
    UnknownPathError,
    UnknownTypeError,
)


class Runner:
    """What a worker needs of one."""

    closed = False

    def close(self):
        self.closed = True


def worker():
    return Worker("tiny", Path("tiny.onnx"), Runner(), None)


def failing():
    raise InputError("no")


def test_calls_are_counted_until_they_end():
    async def run():
        one = worker()
        calls = [asyncio.ensure_future(one.call(int, text)) for text in "12"]
        await asyncio.sleep(0)
        assert one.waiting == 2
        assert await asyncio.gather(*calls) == [1, 2]
        assert one.waiting == 0
        with pytest.raises(InputError):
            await one.call(failing)
        assert one.waiting == 0, "also where it failed"
        one.close()

    asyncio.run(run())


def test_a_closed_worker_drops_what_waits():
    """The call that runs ends, the next ones never begin, then the engine's memory is given back."""

    async def run():
        one, begun, ended, done = worker(), threading.Event(), threading.Event(), []

        def long():
            begun.set()
            ended.wait(60)
            done.append("long")

        running = asyncio.ensure_future(one.call(long))
        waiting = asyncio.ensure_future(one.call(done.append, "waiting"))
        await asyncio.to_thread(begun.wait, 60)
        closing = asyncio.ensure_future(asyncio.to_thread(one.close))
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not one.runner.closed
        ended.set()
        await asyncio.gather(running, closing)
        assert done == ["long"]
        assert one.runner.closed

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("mend it"), 400),
        (UnknownPathError("where?"), 404),
        (TooSlowError("too slow"), 408),
        (TooLargeError("too large"), 413),
        (UnknownTypeError("what?"), 415),
        (QueueFullError("too many", 7), 429),
        (DeviceError("broken"), 500),
        (TooLateError("too late"), 503),
        (NotLoadedError("not there"), 503),
    ],
)
def test_whose_fault_it_is_decides_the_status(error, status):
    async def handler(_):
        raise error

    answer = asyncio.run(answering(handler)(None))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body) == {
        "type": f"urn:pix2rt:{type(error).__name__}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": str(error),
    }
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)


def test_a_full_line_counts_on_the_call_that_runs(monkeypatch):
    """Before any call has ended, the one that runs says how long calls take."""
    line, goes_on = Line("tiny", most=1), threading.Event()

    async def fill():
        with line.place():
            call = asyncio.create_task(line.run(goes_on.wait))
            while not line._running:
                await asyncio.sleep(0.01)
            later = time.perf_counter() + 30
            monkeypatch.setattr("runtime.server.line.time.perf_counter", lambda: later)
            try:
                with pytest.raises(QueueFullError) as full, line.place():
                    pass
            finally:
                monkeypatch.undo()
                goes_on.set()
            await call
        return full.value.retry_after

    assert asyncio.run(fill()) in (30, 31)
    line.close()
