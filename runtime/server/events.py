"""Progress as it happens: server-sent events of a search, and at their end its picture."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from runtime.errors import Pix2rtError
from runtime.server.job import Job
from runtime.server.problems import TooLateError, document_of, problem_of
from runtime.server.watch import Watch

EVENTS = "text/event-stream"


class Events(StreamingResponse):
    """`step` events with iteration, of, loss and now and then an image; then `done` with one, or `problem`.

    The search ends with the client.
    """

    def __init__(self, job: Job, every: int, seconds: float | None, finished: Callable[[], None]) -> None:
        """Every so many steps there is an image; all takes `seconds` at most; `finished` is called at its end."""
        self._job, self._every, self._limit, self._finished = job, every, seconds, finished
        super().__init__(self._events(), media_type=EVENTS, headers={"x-accel-buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._job.worker.line.place():
                await super().__call__(scope, receive, send)
        except Pix2rtError as error:  # there was no place: nothing was sent yet
            await problem_of(error)(scope, receive, send)

    async def _events(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        watch, ends = Watch(loop, self._every), None if self._limit is None else loop.time() + self._limit
        making = asyncio.create_task(self._job.turn(watch))
        news = asyncio.create_task(watch.queue.get())
        try:
            while not making.done() or news.done() or not watch.queue.empty():
                left = None if ends is None else ends - loop.time()
                await asyncio.wait({making, news}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if news.done():
                    step, image = news.result()
                    news = asyncio.create_task(watch.queue.get())
                    yield _event("step", step | _image(image))
                elif not making.done():
                    raise TooLateError(f"the search did not end within {self._limit:g} s; ask for fewer iterations")
            yield _event("done", _image(making.result()))
            self._finished()
        except Pix2rtError as error:
            yield _event("problem", document_of(error))
        finally:
            watch.stopped.set()
            for task in (making, news):
                task.cancel()
            await asyncio.gather(making, news, return_exceptions=True)


def _image(content: bytes | None) -> dict[str, str]:
    return {"image": base64.b64encode(content).decode()} if content else {}


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
