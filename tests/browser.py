"""A real headless Chromium, driven through its DevTools protocol over a pipe: no driver, no WebSocket."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_TIMEOUT_S = 60
_CONTROL = 2  # of the protocol's bits for modifier keys
_CODES = {"Enter": 13, "Escape": 27, "Delete": 46}


class Browser:
    """The pipe to a browser; events that nobody waits for are dropped."""

    def __init__(self, commands: int, answers: int) -> None:
        self.commands, self.answers, self.buffer, self.number = commands, answers, b"", 0

    def new_page(self) -> "Page":
        target = self.call(None, "Target.createTarget", url="about:blank")["targetId"]
        session = self.call(None, "Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, session, target)

    def call(self, session: str | None, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        message = {"id": self.number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.answers], [], [], _TIMEOUT_S)
            assert ready, "the browser does not answer"
            part = os.read(self.answers, 1 << 16)
            assert part, "the browser has gone"
            self.buffer += part
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)


class Page:
    """One page. Clicks and keys go through the browser's input, as a person's do."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self.browser, self.session, self.target = browser, session, target
        for domain in ("Page", "Runtime", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(self.session, method, **params)

    def open(self, where: Path | str) -> None:
        self.call("Page.navigate", url=where if isinstance(where, str) else where.as_uri())
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def bring_to_front(self) -> None:
        """A page behind another one is not drawn."""
        self.call("Page.bringToFront")

    def close(self) -> None:
        self.browser.call(None, "Target.closeTarget", targetId=self.target)

    def evaluate(self, script: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition: str, seconds: float = _TIMEOUT_S) -> None:
        deadline = time.monotonic() + seconds
        while not self.evaluate(condition):
            assert time.monotonic() < deadline, f"never true: {condition}"
            time.sleep(0.02)

    def click(self, selector: str) -> None:
        box = self.evaluate(f"document.querySelector({selector!r}).getBoundingClientRect().toJSON()")
        assert box["width"] > 0, f"{selector} is not to be seen"
        self.drag([(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)])

    def drag(self, points: Sequence[tuple[float, float]]) -> None:
        """Press at the first point of the window, move through the others, release at the last."""
        first, last = points[0], points[-1]
        self._mouse("mousePressed", first, button="left", clickCount=1)
        for point in points[1:]:
            self._mouse("mouseMoved", point, button="left", buttons=1)
        self._mouse("mouseReleased", last, button="left", clickCount=1)

    def hover(self, point: tuple[float, float]) -> None:
        self._mouse("mouseMoved", point)

    def wheel(self, point: tuple[float, float], delta: float) -> None:
        self._mouse("mouseWheel", point, deltaX=0, deltaY=delta)

    def _mouse(self, kind: str, point: tuple[float, float], **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=point[0], y=point[1], **more)

    def press(self, key: str, control: bool = False) -> None:
        code = _CODES.get(key, ord(key.upper()) if len(key) == 1 else 0)
        more = {"windowsVirtualKeyCode": code, "modifiers": _CONTROL if control else 0}
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, **more)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def choose_files(self, selector: str, paths: Sequence[Path]) -> None:
        """What a person picks in the dialog of a file input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(path) for path in paths], nodeId=node)

    def drop(self, point: tuple[float, float], *paths: Path) -> None:
        """Files, dragged from a folder."""
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        # Over it twice: the page may change under the pointer as soon as it knows of them.
        for kind in ("dragEnter", "dragOver", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=point[0], y=point[1], data=data)
            self.evaluate("new Promise((done) => setTimeout(done, 100))")

    def touch(self, *moments: Sequence[tuple[float, float]]) -> None:
        """Fingers on the screen: where each is, moment by moment; then all are lifted."""
        count = 0
        for points in moments:
            kind = "touchStart" if len(points) > count else "touchMove"
            fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)
            count = len(points)
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def screenshot(self, path: Path, quality: int | None = None) -> None:
        how = {"format": "jpeg", "quality": quality} if quality else {"format": "png"}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **how)["data"]))


@contextlib.contextmanager
def open_browser(profile: Path, size: tuple[int, int] = (1100, 800)) -> Iterator[Page]:
    """A browser with a fresh profile in the folder `profile` and one page of width × height; closed at the end."""
    assert CHROMIUM
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"]
    # Chromium reads commands from descriptor 3 and answers on 4; the shell puts ours there, whatever their numbers.
    script = f'exec "$0" "$@" 3<&{command_read} 4>&{answer_write}'
    window = [f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}"]
    line = ["/bin/bash", "-c", script, CHROMIUM, *flags, *window]
    process = subprocess.Popen(line, pass_fds=(command_read, answer_write), stderr=subprocess.DEVNULL)
    os.close(command_read)
    os.close(answer_write)
    try:
        page = Browser(command_write, answer_read).new_page()
        page.call(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False
        )
        yield page
    finally:
        process.kill()
        process.wait()
        os.close(command_write)
        os.close(answer_read)
