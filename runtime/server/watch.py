"""What a search reports from its thread, and what stops it."""

import asyncio
import threading
from typing import Any

from runtime.media.images import png_bytes
from runtime.runners.search import Step

News = tuple[dict[str, Any], bytes | None]


class Watch:
    """A search's callback: it counts the steps for whoever listens, and ends the search when it is told to.

    Attributes:
        stopped: set to end the search after its next step.
        queue: news of each step, and where it is shown its picture as PNG; of a watch with a loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None, every: int = 0) -> None:
        """`loop` gets the news; `every` so many steps with a picture, 0 for none."""
        self.stopped = threading.Event()
        self.queue: asyncio.Queue[News] = asyncio.Queue()
        self._loop, self._every = loop, every

    def __call__(self, step: Step) -> bool:
        if self._loop:
            news = {
                "iteration": step.iteration,
                "of": step.iterations,
                "loss": float(step.contextual_loss.min()),
            }
            image = png_bytes(step.image()) if self._every and step.iteration % self._every == 0 else None
            self._loop.call_soon_threadsafe(self.queue.put_nowait, (news, image))
        return self.stopped.is_set()
