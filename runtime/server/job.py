"""One request on its way: in its turn it is decoded, run and encoded."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from runtime.media.images import PICTURE_CHANNELS, encode_image
from runtime.runners.runner import Runner
from runtime.server.given import Given, json_of
from runtime.server.inference import Worker
from runtime.server.operations import Operation
from runtime.server.problems import NotAcceptableError, in_words_of_requests
from runtime.server.watch import Watch

FORMATS = {"png": "image/png", "jpeg": "image/jpeg", "npy": "application/x-npy"}


@dataclass(frozen=True)
class Job:
    """What is asked of which engine.

    Attributes:
        worker: the engine's.
        runner: its own, or its encoder's.
        operation: what to do.
        given: what the request brings.
        format: of the answer, one of `FORMATS`.
        seconds: what its stages took, by name.
    """

    worker: Worker
    runner: Runner
    operation: Operation
    given: Given
    format: str
    seconds: dict[str, float] = field(default_factory=dict)

    def result(self, watch: Watch) -> Any:
        """What the engine makes: uint8 [H, W, C], or what becomes JSON. Decoding is part of its turn, so that as many
        pictures are in memory as calls run.
        """
        start = time.perf_counter()
        work = self.operation.prepare(self.runner, self.given)
        decoded = time.perf_counter()
        made = work(watch)
        self.seconds.update(decode=decoded - start, run=time.perf_counter() - decoded)
        return made

    def content(self, watch: Watch) -> bytes:
        """The result as the bytes of a file; raises NotAcceptableError where no picture holds it."""
        made = self.result(watch)
        start = time.perf_counter()
        if self.operation.answers == "json":
            content = json.dumps(json_of(made)).encode()
        elif self.format != "npy" and made.shape[2] not in PICTURE_CHANNELS:
            raise NotAcceptableError(f"the answer has {made.shape[2]} channels, which no picture has; ask for npy")
        else:
            content = encode_image(made, self.format)
        self.seconds["encode"] = time.perf_counter() - start
        return content

    async def turn(self, watch: Watch) -> bytes:
        """`content`, once it is the engine's turn."""
        done = await self.worker.line.run(self.content, watch)
        self.seconds["queue"] = done.waited
        return done.result

    async def answer(self, watch: Watch) -> Response:
        """The whole way. Its stages' times and what was done to its pictures are in the headers."""
        content = await self.turn(watch)
        kind = "application/json" if self.operation.answers == "json" else FORMATS[self.format]
        return Response(content, media_type=kind, headers=self.headers())

    def headers(self) -> dict[str, str]:
        """`server-timing` in ms, and `x-pix2rt-notes` where there are any."""
        headers = {"server-timing": ", ".join(f"{name};dur={1000 * s:.1f}" for name, s in self.seconds.items())}
        if self.given.notes:
            headers["x-pix2rt-notes"] = (
                in_words_of_requests("; ".join(self.given.notes)).encode("ascii", "backslashreplace").decode()
            )
        return headers
