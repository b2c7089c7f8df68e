"""The studio's page in a browser, driven as a person drives it."""

import base64
import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.browser import open_browser
from tests.runtime.running import running_studio

RENDERED_S = 150  # at most, of a shipped engine on a busy machine


class StudioPage:
    """A page of the browser that shows a studio."""

    def __init__(self, page, address):
        self.page = page
        page.open(address)
        self.until("window.studio && studio.ready")

    def until(self, condition):
        self.page.wait_for(condition, RENDERED_S)

    def value(self, script):
        return self.page.evaluate(script)

    def errors(self):
        return self.value("studio.errors")

    def show(self, name):
        self.page.click(f"[data-page={name}]")
        self.until(f"studio.current === studio.pages.{name} && studio.current.place.fitted")
        self.settle()

    def settle(self):
        """Until what was drawn last is on the screen."""
        self.value(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))"
        )

    def at(self, canvas, x, y):
        """Where a picture's pixel is in the window."""
        left, top, scale, dx, dy = self.value(
            f"(() => {{ const box = document.getElementById('{canvas}').getBoundingClientRect(), place = "
            "studio.current.place; return [box.left, box.top, place.scale, place.x, place.y]; })()"
        )
        return left + dx + (x + 0.5) * scale, top + dy + (y + 0.5) * scale

    def choose(self, name):
        """A class of the palette, found by its whole name."""
        self.page.evaluate("document.querySelector('#class-search').value = ''")
        self.page.click("#class-search")
        self.page.type(name)
        self.page.press("Enter")
        chosen = "studio.pages.scene.scene.classes[studio.pages.scene.palette.chosen].name"
        assert self.value(chosen) == name

    def drag(self, canvas, *points):
        self.page.drag([self.at(canvas, *point) for point in points])

    def rendered(self):
        """Until the newest photo shows the newest edit."""
        self.until("studio.pages.scene.photo && studio.pages.scene.waiting.size === 0 && !studio.pages.scene.queue")

    def png(self, blob):
        """The picture that an expression of a Blob, or of a promise of one, holds."""
        text = self.value(
            f"Promise.resolve({blob}).then((blob) => blob.arrayBuffer()).then((bytes) => {{ let text = ''; for (const "
            "byte of new Uint8Array(bytes)) text += String.fromCharCode(byte); return btoa(text); })"
        )
        with Image.open(io.BytesIO(base64.b64decode(text))) as image:
            return np.asarray(image)

    def photo(self):
        """What the scene page shows."""
        return self.png(
            "new Promise((done) => studio.pages.scene.photo.canvas.toBlob(done, 'image/png'))",
        )[..., :3]

    def labels(self):
        height, width = self.value("[studio.pages.scene.scene.height, studio.pages.scene.scene.width]")
        text = self.value(
            "(() => { const all = studio.pages.scene.labels; let text = ''; for (let i = 0; i < all.length; i += 3e4) "
            "text += String.fromCharCode(...all.subarray(i, i + 3e4)); return btoa(text); })()"
        )
        return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width)


@contextlib.contextmanager
def open_studio(*engines: Path) -> "Iterator[StudioPage]":
    """A studio of these engines, or of those that ship, in a browser of its own; nothing may be refused by its end."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_studio(Path(folder), *engines) as studio,
        open_browser(Path(folder) / "profile", (1280, 720)) as browser,
    ):
        page = StudioPage(browser, studio.address)
        yield page
        assert page.errors() == []
