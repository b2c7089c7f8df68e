"""Clients that leave, stall, flood and lie; a queue that is full; an end in the middle of it all."""

import contextlib
import json
import random
import signal
import socket
import threading
import time

import numpy as np
import pytest
import uvicorn
from prometheus_client.parser import text_string_to_metric_families

from runtime import Translator
from runtime.server.connection import ImpatientProtocol
from runtime.server.serve import raise_file_limit
from tests.paths import ROOT
from tests.runtime import tiny_translators
from tests.runtime.requests import error_of, form, get, pixels, png, post, request
from tests.runtime.running import running

FACES = ROOT / "runtime" / "assets" / "faces.onnx"
SKETCH = (ROOT / "runtime" / "assets" / "faces_sketch.png").read_bytes()
LONG = {"image": SKETCH, "iterations": 5000, "stop_early": "false"}  # a minute or more
IMAGE = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """One call at a time, two requests at once, three seconds for each."""
    folder = tmp_path_factory.mktemp("busy")
    lines = tiny_translators.translator(folder / "lines.onnx")
    limits = ("--queue", "2", "--calls", "1", "--threads", "1", "--timeout", "3")
    with running(folder, "serve", FACES, lines, *limits) as service:
        service.folder = folder
        yield service


def gauge(service, name):
    families = text_string_to_metric_families(get(service, "/metrics")[2].decode())
    return next(one.samples[0].value for one in families if one.name == name)


def until(condition, seconds=20):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def begin(service, path, fields):
    """A request whose answer nobody has read yet."""
    body, headers = form(fields)
    opened = socket.create_connection(("127.0.0.1", service.port), 30)
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    opened.sendall(head.encode() + body)
    return opened


def works(service):
    with Translator(service.folder / "lines.onnx") as translator:
        expected = translator.run(IMAGE)
    status, body = post(service, "/v1/lines/translate", image=png(IMAGE))
    return status == 200 and np.array_equal(pixels(body), expected)


def test_an_answer_that_is_not_ready_in_time_is_a_503_and_the_search_ends(busy):
    answer = post(busy, "/v1/faces/complete", **LONG)
    assert answer[0] == 503
    assert "not ready within 3 s" in error_of(answer)
    until(lambda: gauge(busy, "pix2rt_calls") == 0)
    assert works(busy)


def test_a_full_queue_is_a_429_that_says_when_to_come_again(busy):
    with begin(busy, "/v1/faces/complete", LONG), begin(busy, "/v1/faces/complete", LONG):
        until(lambda: gauge(busy, "pix2rt_requests_kept") == 2)
        body, headers = form({"image": png(IMAGE)})
        status, headers, body = request(busy, "POST", "/v1/lines/translate", body, headers)
        assert status == 429, body
        assert int(headers["retry-after"]) >= 1
        assert "the server has 2 requests" in error_of((status, body))
        events = {"accept": "text/event-stream", **form(LONG)[1]}
        assert request(busy, "POST", "/v1/faces/complete", form(LONG)[0], events)[0] == 429, (
            "a stream has no place either"
        )
    until(lambda: gauge(busy, "pix2rt_requests_kept") == 0)
    assert works(busy)


def test_what_a_client_no_longer_waits_for_is_not_run(busy):
    """Neither the search that runs nor the call that waits behind it goes on once their clients have left."""
    first = begin(busy, "/v1/faces/complete", LONG)
    until(lambda: gauge(busy, "pix2rt_calls") == 1)
    second = begin(busy, "/v1/faces/complete", LONG)
    until(lambda: gauge(busy, "pix2rt_calls") == 2)
    second.close()
    first.close()
    start = time.monotonic()
    until(lambda: gauge(busy, "pix2rt_calls") == 0)
    assert works(busy)
    assert time.monotonic() - start < 2.5, "before their time was up"


def test_a_stream_ends_with_its_client(busy):
    body, headers = form(LONG)
    opened = socket.create_connection(("127.0.0.1", busy.port), 30)
    head = "POST /v1/faces/complete HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n"
    head += f"content-type: {headers['content-type']}\r\ncontent-length: {len(body)}\r\n\r\n"
    opened.sendall(head.encode() + body)
    assert opened.recv(100).startswith(b"HTTP/1.1 200")
    opened.close()
    start = time.monotonic()
    until(lambda: gauge(busy, "pix2rt_calls") == 0)
    assert time.monotonic() - start < 2.5
    assert "Task was destroyed" not in busy.errors.read_text()


def test_a_stream_that_takes_too_long_ends_with_a_problem(busy):
    body, headers = form(LONG)
    _, _, body = request(busy, "POST", "/v1/faces/complete", body, headers | {"accept": "text/event-stream"})
    event, data = body.decode().strip().split("\n\n")[-1].split("\n")
    assert event == "event: problem"
    assert json.loads(data.removeprefix("data: "))["status"] == 503


def test_a_client_that_leaves_in_the_middle_of_its_upload(busy):
    body, headers = form({"image": png(IMAGE)})
    for cut in (0, 1, len(body) // 2, len(body) - 1):
        with socket.create_connection(("127.0.0.1", busy.port), 30) as opened:
            head = f"POST /v1/lines/translate HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n"
            opened.sendall(f"{head}content-type: {headers['content-type']}\r\n\r\n".encode() + body[:cut])
    assert works(busy)


def test_a_client_that_leaves_in_the_middle_of_its_answer(busy):
    large = png(np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8))
    for _ in range(5):
        with begin(busy, "/v1/lines/translate", {"image": large}) as opened:
            assert opened.recv(30).startswith(b"HTTP/1.1 200")
    assert works(busy)


def test_an_upload_of_a_byte_now_and_then_is_a_408(busy):
    with socket.create_connection(("127.0.0.1", busy.port), 30) as opened:
        head = "POST /v1/lines/translate HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: image/png\r\n"
        opened.sendall(f"{head}content-length: 999\r\n\r\n".encode())
        opened.settimeout(0.1)
        start, answer = time.monotonic(), b""
        while b"more than" not in answer and time.monotonic() - start < 20:
            with contextlib.suppress(TimeoutError):
                if not answer:
                    opened.send(b"x")
                received = opened.recv(4096)
                answer += received
                if not received:
                    break
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"the upload took more than 3 s" in answer


def test_a_thousand_idle_connections_are_in_nobodys_way(busy):
    raise_file_limit()
    before = gauge(busy, "process_open_fds")
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", busy.port), 30)))
        start = time.monotonic()
        assert works(busy)
        assert time.monotonic() - start < 10
    until(lambda: gauge(busy, "process_open_fds") <= before + 2)


@pytest.mark.parametrize("seed", range(8))
def test_damaged_forms_are_the_clients_fault(busy, seed):
    rng = random.Random(seed)
    body, headers = form({"image": png(IMAGE), "format": "png"})
    for _ in range(40):
        damaged = bytearray(body)
        for _ in range(rng.randint(1, 8)):
            place = rng.randrange(len(damaged))
            change = rng.random()
            if change < 0.4:
                damaged[place] = rng.randrange(256)
            elif change < 0.7:
                del damaged[place : place + rng.randint(1, 60)]
            else:
                damaged[place:place] = rng.choice([b"\r\n", b"--pix2rt-test", b"\0", b"Content-Disposition: ", b'"'])
        status, kind, answer = request(busy, "POST", "/v1/lines/translate", bytes(damaged), headers)
        assert status == 200 or (status in (400, 413, 415) and kind["content-type"] == "application/problem+json"), (
            answer
        )
    assert works(busy)


def test_its_end_answers_what_was_accepted_and_takes_nothing_more(tmp_path):
    with running(tmp_path, "serve", FACES, "--calls", "1", "--threads", "1") as service:
        fields = {"image": SKETCH, "iterations": 60, "stop_early": "false"}
        answers = []

        def ask():
            answers.append(post(service, "/v1/faces/complete", **fields))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: gauge(service, "pix2rt_requests_kept") == 4)
        service.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(60)
        assert [status for status, _ in answers] == [200] * 4
        assert len({body for _, body in answers}) == 1
        assert service.process.wait(30) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", service.port), 5)


class _Hasty(ImpatientProtocol):
    patience = 0.2


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HT"])
def test_connections_that_stop_asking_are_closed(sent):
    """Also where they had asked before; one that waits for its answer is not."""

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})

    config = uvicorn.Config(app, http=_Hasty, log_level="critical", lifespan="off", timeout_keep_alive=60)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with socket.create_connection(listening.getsockname(), 20) as opened:
                opened.sendall(sent)
                received = b""
                with contextlib.suppress(ConnectionResetError):
                    while part := opened.recv(1000):
                        received += part
                assert received.startswith(b"HTTP/1.1 200") == (b"host" in sent)
        finally:
            server.should_exit = True
            thread.join(20)


def test_the_token_of_a_server_for_others(tmp_path):
    lines = tiny_translators.translator(tmp_path / "lines.onnx")
    with running(tmp_path, "serve", lines, "--host", "0.0.0.0", "--calls", "1", "--token", "open sesame") as service:
        assert get(service, "/healthz")[0] == get(service, "/readyz")[0] == 200
        for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": "open sesame, but not quite"}):
            status, answered, body = get(service, "/v1/engines", **headers)
            assert status == 401
            assert answered["www-authenticate"] == "Bearer"
            assert "the token is missing or wrong" in error_of((status, body))
        assert get(service, "/v1/engines", Authorization="Bearer open sesame")[0] == 200
        assert get(service, "/metrics")[0] == 401
