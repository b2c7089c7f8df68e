"""Scenes that pages edit: an editor with its lock, what its pages still have to be told, and the photo that follows."""

import asyncio
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError, Pix2rtError
from runtime.runners.editor import Editor
from runtime.runners.strokes import Box
from runtime.runners.synthesizer import Synthesizer
from runtime.server.inference import Worker
from runtime.studio.operations import apply, chosen_style, describe
from runtime.studio.style_sheet import Swatches, style_sheet

_MOST_SESSIONS = 64


@dataclass(frozen=True)
class Photo:
    """A rendering, and which state of the scene it shows."""

    revision: int
    pixels: NDArray[np.uint8]
    milliseconds: float


@dataclass
class Listener:
    """What one page has not been told yet. A slow page gets the newest of everything, and never a queue."""

    box: Box | None = None
    photo: Photo | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)
    wakes: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(
        self, *, box: Box | None = None, photo: Photo | None = None, message: dict[str, Any] | None = None
    ) -> None:
        """Add to what the page has to be told."""
        if box:
            self.box = self.box.union(box) if self.box else box
        self.photo = photo or self.photo
        if message:
            self.messages.append(message)
        self.wakes.set()


class SceneSession:
    """One scene, edited by any number of pages and rendered while at least one of them looks.

    Attributes:
        id: by which a page finds it again.
        worker: of its synthesizer.
        revision: counts changes of what a rendering would show.
        photo: the newest rendering.
    """

    def __init__(self, worker: Worker, editor: Editor) -> None:
        self.id, self.worker = secrets.token_urlsafe(12), worker
        self.revision, self.draft = 1, 1
        self.photo: Photo | None = None
        self._editor, self._lock = editor, threading.Lock()
        self._listeners: list[Listener] = []
        self._is_stale = asyncio.Event()
        self._is_stale.set()
        self._rendering: asyncio.Task[None] | None = None

    @property
    def is_watched(self) -> bool:
        """Whether a page looks at it."""
        return bool(self._listeners)

    async def join(self) -> Listener:
        """A page begins to look: it is told all there is."""
        listener = Listener()
        self._listeners.append(listener)
        about = await self.read(lambda editor: describe(editor, self.id, self.worker))
        if self.photo is None or self.photo.revision != self.revision:
            self._is_stale.set()
        listener.tell(message=about, box=Box(0, 0, about["height"], about["width"]), photo=self.photo)
        if self._rendering is None:
            self._rendering = asyncio.create_task(self._render_while_watched())
        return listener

    def leave(self, listener: Listener) -> None:
        """A page has gone; with the last one rendering ends."""
        self._listeners.remove(listener)
        if not self._listeners and self._rendering:
            self._rendering.cancel()
            self._rendering = None

    async def edit(self, operation: Callable[[Editor], Any]) -> tuple[Any, int]:
        """Let `operation` change the scene, off the event loop; all pages are told what it changed.

        Returns:
            What `operation` returned, and the revision that shows it.
        """
        box, result, revision = await asyncio.to_thread(self._edit, operation)
        if box:
            self._is_stale.set()
            self._tell_all(box=box, message=self.state())
        return result, revision

    def _edit(self, operation: Callable[[Editor], Any]) -> tuple[Box | None, Any, int]:
        with self._lock:
            self._editor.changed = None
            result = operation(self._editor)
            if self._editor.changed:
                self.revision += 1
            return self._editor.changed, result, self.revision

    async def do(self, message: dict[str, Any]) -> tuple[Any, int]:
        """An operation as a page writes it; see `runtime.studio.operations`, and `edit` for what comes back."""
        return await self.edit(lambda editor: apply(editor, message))

    async def replace(self, make: Callable[[], Editor]) -> None:
        """Go on with another editor."""
        editor = await asyncio.to_thread(make)
        with self._lock:
            self._editor = editor
            self.revision += 1
        self._tell_all(message=describe(editor, self.id, self.worker), box=Box(0, 0, *editor.size))
        self._is_stale.set()

    async def read(self, look: Callable[[Editor], Any]) -> Any:
        """What `look` finds in the editor, off the event loop."""

        def locked() -> Any:
            with self._lock:
                return look(self._editor)

        return await asyncio.to_thread(locked)

    def pixels(self, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Copies of both maps within `box`."""
        with self._lock:
            return self._editor.cut(box)

    def state(self) -> dict[str, Any]:
        """What changes with every operation."""
        done, undone = self._editor.steps
        return {
            "type": "state",
            "undo": done,
            "redo": undone,
            "revision": self.revision,
            "queue": self.worker.waiting + self._is_stale.is_set(),
            "seed": self._editor.seed,
        }

    async def render(self) -> Photo:
        """The photo of the scene as it is when its turn comes."""
        revision, pixels = await self.worker.call(self._render_newest, False)
        photo = Photo(revision, pixels, self.worker.last_ms)
        if self.photo is None or photo.revision >= self.photo.revision:
            self.photo = photo
        return photo

    def _render_newest(self, is_draft: bool) -> tuple[int, NDArray[np.uint8]]:
        with self._lock:
            revision, scene, runner = self.revision, self._editor.scene(), self._editor.synthesizer
        step = self.draft if is_draft else 1
        scene |= {name: scene[name][::step, ::step] for name in ("label_map", "inst_map") if name in scene}
        if "styles" in scene and step > 1:
            present = set(np.unique(scene["inst_map"]).tolist())
            scene["styles"] = {key: style for key, style in scene["styles"].items() if key in present}
        return revision, runner.run(**scene)

    async def _render_while_watched(self) -> None:
        while True:
            await self._is_stale.wait()
            self._is_stale.clear()
            try:
                revision, pixels = await self.worker.call(self._render_newest, True)
            except Pix2rtError as error:
                self._tell_all(message={"type": "error", "message": str(error)})
                continue
            self.photo = Photo(revision, pixels, self.worker.last_ms)
            self._tell_all(photo=self.photo, message=self.state())

    async def swatches(self, target: Any) -> tuple[Swatches, int | None]:
        """Small pictures of an instance in each style of its class, and the number of the one that it has."""
        sheet, chosen = await self.read(lambda editor: (style_sheet(editor, target), chosen_style(editor, target)))
        return await self.worker.call(sheet.render), chosen

    def use_draft(self, step: Any) -> None:
        """Render every `step`-th pixel only, for an engine of any size."""
        spec = self.worker.runner.spec
        is_step = isinstance(step, int) and step in (1, 2, 4)
        sides = [-(-side // step) for side in self._editor.size] if is_step else [0]
        if spec.size or any(side % spec.size_multiple or side < spec.smallest_side for side in sides):
            raise InputError("this engine renders scenes of this size at full size only")
        self.draft = step
        self.revision += 1
        self._is_stale.set()

    def _tell_all(self, **news: Any) -> None:
        for listener in self._listeners:
            listener.tell(**news)


class Sessions:
    """All scenes of a server. Those that nobody looks at are forgotten, the oldest first, once there are many."""

    def __init__(self) -> None:
        self._sessions: dict[str, SceneSession] = {}

    def get(self, name: str) -> SceneSession:
        """The session `name`; raises InputError where there is none."""
        if name not in self._sessions:
            raise InputError(f"there is no session {name!r} on this server; reload the page")
        return self._sessions[name]

    def find(self, name: str, worker: Worker) -> SceneSession | None:
        """The session `name` of that engine, if it is there."""
        found = self._sessions.get(name)
        return found if found and found.worker is worker else None

    def add(self, worker: Worker, editor: Editor) -> SceneSession:
        """A new session."""
        session = SceneSession(worker, editor)
        self._sessions[session.id] = session
        idle = [one for one in self._sessions.values() if not one.is_watched and one is not session]
        for one in idle[: max(0, len(self._sessions) - _MOST_SESSIONS)]:
            del self._sessions[one.id]
        return session


def synthesizer_of(worker: Worker) -> Synthesizer:
    """The worker's runner, which is one of label maps."""
    assert isinstance(worker.runner, Synthesizer)
    return worker.runner
