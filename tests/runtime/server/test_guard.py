"""Who is let in: hosts, origins, tokens, sizes. Asked of a server that runs."""

import asyncio
import contextlib

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from runtime.errors import DeviceError, InputError
from runtime.server.guard import Guard, Uploads
from runtime.server.line import QueueFullError
from runtime.server.problems import TooLargeError
from runtime.server.serve import listen
from tests.runtime import tiny_translators
from tests.runtime.requests import error_of, get, request
from tests.runtime.running import running_studio


def test_a_page_may_load_from_nowhere_else(tiny_studio):
    status, headers, body = get(tiny_studio, "/")
    assert status == 200
    policy = headers["content-security-policy"].split("; ")
    assert {"default-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} <= set(policy)
    assert headers["x-content-type-options"] == "nosniff"
    assert b"http" not in body.replace(b"http-equiv", b"").replace(b"http://www.w3.org", b"")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "localhost.evil:1"])
def test_another_host_name_is_refused(tiny_studio, host):
    status, _, body = get(tiny_studio, "/api/engines", Host=host)
    assert status == 421
    assert "the request is for the host" in error_of((status, body))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_names_of_this_machine_are_fine(tiny_studio, host):
    assert get(tiny_studio, "/api/engines", Host=f"{host}:{tiny_studio.port}")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://localhost"])
def test_another_origin_is_refused(tiny_studio, origin):
    status, _, body = get(tiny_studio, "/api/engines", Origin=origin)
    assert status == 403
    assert origin in error_of((status, body))


def test_its_own_origin_is_let_through_behind_tls_too(tiny_studio):
    """A proxy that ends TLS in front of it leaves the page's address as it was."""
    for scheme in ("http", "https"):
        origin = f"{scheme}://127.0.0.1:{tiny_studio.port}"
        assert get(tiny_studio, "/api/engines", Origin=origin)[0] == 200


def test_a_foreign_page_gets_no_websocket(tiny_studio):
    url = f"ws://127.0.0.1:{tiny_studio.port}/ws/scene/scene"
    with pytest.raises((InvalidStatus, ConnectionClosed)), connect(url, origin="http://evil.example") as opened:
        opened.recv(10)
    with connect(url, origin=f"http://127.0.0.1:{tiny_studio.port}") as opened:
        assert opened.recv(30)


def test_uploads_end_at_their_limit(tiny_studio):
    large = b"x" * (2**20 + 1)
    status, _, body = request(tiny_studio, "POST", "/v1/lines/translate", large)
    assert status == 413
    assert "larger than 1 MiB" in error_of((status, body))
    kind = {"content-type": "multipart/form-data; boundary=b", "transfer-encoding": "chunked"}
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    parts = iter([head, *[b"x" * 2**16] * 20])
    status, _, body = request(tiny_studio, "POST", "/v1/lines/translate", parts, kind, chunked=True)
    assert status == 413, "also where no header says how much comes"
    assert get(tiny_studio, "/api/engines", **{"content-length": "-1"})[0] in (400, 413)


@pytest.mark.parametrize("sizes", [(10,), (4, 6), (11,), (4, 7)])
def test_the_limit_itself_is_let_through(sizes):
    async def app(scope, receive, send):
        for _ in sizes:
            await receive()

    parts = iter(sizes)

    async def receive():
        return {"type": "http.request", "body": bytes(next(parts)), "more_body": True}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}
    answer = Guard(app, max_upload=10)(scope, receive, None)
    if sum(sizes) == 10:
        asyncio.run(answer)
        return
    with pytest.raises(TooLargeError):
        asyncio.run(answer)


def test_uploads_of_all_requests_together_have_a_limit():
    """What ends gives its bytes back, also where it was refused."""
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}
    begun, over = [], asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        begun.append(scope)
        await over.wait()

    async def receive():
        return {"type": "http.request", "body": bytes(10), "more_body": True}

    async def run():
        guard = Guard(app, max_upload=10, uploads=Uploads(25))
        two = [asyncio.create_task(guard(scope, receive, None)) for _ in range(2)]
        while len(begun) < 2:
            await asyncio.sleep(0)
        with pytest.raises(QueueFullError, match="as much as it keeps; try again in 1 s"):
            await guard(scope, receive, None)
        over.set()
        await asyncio.gather(*two)
        assert guard.uploads.held == 0

    asyncio.run(run())


def test_beyond_the_last_port_none_is_tried():
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(DeviceError):  # somebody else may have it
            stack.enter_context(contextlib.closing(listen("127.0.0.1", 65535)))
        with pytest.raises(DeviceError, match="port 65535 of 127.0.0.1 is taken"):
            listen("127.0.0.1", 65535)


def test_a_length_of_thousands_of_digits_is_refused():
    """Servers refuse it before; the guard does not lean on that."""
    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-length", b"9" * 5000)]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    asyncio.run(Guard(None)(scope, None, send))
    assert sent[0]["status"] == 413


@pytest.mark.parametrize(
    "path", ["/static/../page.py", "/static/%2e%2e/page.py", "/static//etc/passwd", "/../pyproject.toml"]
)
def test_no_file_but_the_pages_own_is_served(tiny_studio, path):
    assert get(tiny_studio, path)[0] == 404


@pytest.mark.parametrize("what", ["..%2fscene", "labels", "%2e%2e"])
def test_no_example_but_a_known_one(tiny_studio, what):
    assert get(tiny_studio, f"/api/examples/scene/{what}")[0] == 404


def test_other_machines_need_the_token(tmp_path):
    engine = tiny_translators.translator(tmp_path / "lines.onnx")
    with running_studio(tmp_path, engine, "--host", "0.0.0.0") as studio:
        token = studio.address.partition("token=")[2]
        assert len(token) >= 32
        status, _, body = get(studio, "/")
        assert status == 401
        assert "open the address that the server printed" in error_of((status, body))
        assert get(studio, "/?token=wrong")[0] == 401
        assert get(studio, "/", Cookie="pix2rt_token=wrong")[0] == 401
        status, headers, _ = get(studio, f"/?token={token}")
        assert status == 200
        assert "HttpOnly; SameSite=Strict" in headers["set-cookie"]
        cookie = headers["set-cookie"].split(";")[0]
        assert get(studio, "/api/engines", Cookie=cookie)[0] == 200
        with pytest.raises((InvalidStatus, ConnectionClosed)), connect(f"ws://127.0.0.1:{studio.port}/ws/x") as opened:
            opened.recv(10)


def test_a_server_for_all_without_a_token_cannot_be_made():
    with pytest.raises(InputError, match="needs a token"):
        Guard(None, hosts=None)


def test_a_taken_port_gives_the_next_and_a_foreign_address_an_error():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with listen("127.0.0.1", port) as second:
            assert port < second.getsockname()[1] < port + 20
    with pytest.raises(InputError, match="give an address of this machine"):
        listen("203.0.113.7", 0)
