"""Plain HTTP and WebSocket clients that send what a test wants, whatever a browser would send."""

import http.client
import io
import json
import struct

import numpy as np
import pytest
from PIL import Image

connect = pytest.importorskip(
    "websockets.sync.client", reason="the extra studio is not installed; the whole suite has it"
).connect

_BOUNDARY = "pix2rt-test"


def request(studio, method, path, body=None, headers=None, chunked=False):
    """(status, headers, body) of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=60)
    try:
        connection.request(method, path, body, headers or {}, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def get(studio, path, **headers):
    return request(studio, "GET", path, headers=headers)


def form(fields):
    """Body and headers of a form; bytes are files."""
    parts = []
    for name, value in fields.items():
        file = f'; filename="{name}.png"' if isinstance(value, bytes) else ""
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        parts.append(head.encode() + (value if isinstance(value, bytes) else str(value).encode()) + b"\r\n")
    return b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode(), {
        "content-type": f"multipart/form-data; boundary={_BOUNDARY}"
    }


def post(studio, path, **fields):
    """(status, body) of a form."""
    status, _, body = request(studio, "POST", path, *form(fields))
    return status, body


def error_of(answer):
    status, body = answer[0], answer[-1]
    assert status >= 400, body[:100]
    return json.loads(body)["detail"]


def png(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format="PNG")
    return stream.getvalue()


def pixels(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


class Scene:
    """A page of a scene: sends operations, and keeps its copy of the maps as told."""

    def __init__(self, studio, engine="scene", session="", **options):
        path = f"ws://127.0.0.1:{studio.port}/ws/scene/{engine}?session={session}"
        self.socket = connect(path, max_size=None, compression=None, **options).__enter__()
        self.photo = self.swatches = None
        self.errors, self.done = [], []
        self.until(lambda: self.photo is not None)

    def until(self, condition):
        while not condition():
            self.take(self.socket.recv(60))

    def take(self, message):
        if isinstance(message, str):
            self._told(json.loads(message))
            return
        (length,) = struct.unpack_from("<I", message)
        header, start = json.loads(message[4 : 4 + length]), 4 + length
        if header["type"] == "maps":
            top, left, bottom, right = header["box"]
            shape = bottom - top, right - left
            area = shape[0] * shape[1]
            self.labels[top:bottom, left:right] = np.frombuffer(message, np.uint8, area, start).reshape(shape)
            ids = np.frombuffer(message[start + area :], "<i4").reshape(shape)
            self.ids[top:bottom, left:right] = ids
        elif header["type"] == "photo":
            assert self.photo is None or header["revision"] >= self.photo[0], "an older photo overwrote a newer one"
            shape = header["height"], header["width"], 4
            self.photo = header["revision"], np.frombuffer(message, np.uint8, offset=start).reshape(shape)[..., :3]
        else:
            self.swatches = header

    def _told(self, message):
        if message["type"] == "scene":
            self.about = message
            self.labels = np.zeros((message["height"], message["width"]), np.uint8)
            self.ids = np.zeros(self.labels.shape, np.int32)
        elif message["type"] == "error":
            self.errors.append(message["message"])
        elif message["type"] == "done":
            self.done.append(message)

    def send(self, **message):
        self.socket.send(json.dumps(message))

    def do(self, **message):
        """Send an operation and wait for its answer and its photo; what came back."""
        count = len(self.done) + len(self.errors)
        self.send(**message)
        self.until(lambda: len(self.done) + len(self.errors) > count)
        if not self.errors:
            self.until(lambda: self.photo[0] >= self.done[-1]["revision"])
            return self.done[-1]["result"]
        return None

    @property
    def session(self):
        return self.about["session"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
