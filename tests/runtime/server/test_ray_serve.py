"""The API on a local Ray cluster: two replicas, one of which is killed while it is asked."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from runtime import Translator
from tests.paths import ROOT
from tests.runtime.requests import error_of, get, pixels, png, post

pytest.importorskip("ray", reason="the extra ray is not installed; CI's own environment has it")

CONFIG = """
http_options: {{host: 127.0.0.1, port: {port}}}
applications:
- name: pix2rt
  route_prefix: /
  import_path: runtime.server.ray_serve:app
  args: {{engines: edges2photo, replicas: 2}}
"""
IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)


class Served:
    def __init__(self, folder, port):
        (folder / "config.yaml").write_text(CONFIG.format(port=port))
        line = [sys.executable, "-m", "ray.serve.scripts", "run", "config.yaml"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
        self.port, self.log = port, folder / "log.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(line, cwd=folder, env=environment, stdout=log, stderr=log)

    def wait(self):
        ends = time.monotonic() + 120
        while time.monotonic() < ends and self.process.poll() is None:
            try:
                if get(self, "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.2)
        raise AssertionError(self.log.read_text())


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    service = Served(tmp_path_factory.mktemp("ray"), port)
    try:
        service.wait()
        yield service
    finally:
        service.process.send_signal(signal.SIGINT)
        service.process.wait(60)


def replicas():
    found = []
    for one in Path("/proc").iterdir():
        try:
            if one.name.isdecimal() and b"ServeReplica:pix2rt" in (one / "cmdline").read_bytes():
                found.append(int(one.name))
        except OSError:
            continue
    return found


def test_it_answers_as_the_server_does(served):
    status, body = post(served, "/v1/edges2photo/translate", image=png(IMAGE), derive="false")
    assert status == 200
    with Translator("edges2photo") as translator:
        assert np.array_equal(pixels(body), translator.run(IMAGE))
    answer = post(served, "/v1/nobody/translate", image=png(IMAGE))
    assert answer[0] == 404
    assert "those are edges2photo" in error_of(answer)
    assert get(served, "/v1/engines", Host="evil.example")[0] == 421


def test_a_killed_replica_is_replaced_and_no_answer_is_wrong(served):
    with Translator("edges2photo") as translator:
        expected = translator.run(IMAGE)
    answers, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            answers.append(post(served, "/v1/edges2photo/translate", image=png(IMAGE), derive="false"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    before = set(replicas())
    assert len(before) == 2
    killed = before.pop()
    os.kill(killed, signal.SIGKILL)
    ends = time.monotonic() + 90
    while time.monotonic() < ends and len(set(replicas()) - {killed}) != 2:
        time.sleep(0.2)
    time.sleep(1)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert len(set(replicas()) - {killed}) == 2
    fine = [body for status, body in answers if status == 200]
    failed = [status for status, _ in answers if status != 200]
    assert len(fine) > 10
    assert all(np.array_equal(pixels(body), expected) for body in set(fine))
    assert all(status >= 500 for status in failed)
    assert len(failed) <= 8, "only what the replica had taken when it died"
    assert post(served, "/v1/edges2photo/translate", image=png(IMAGE), derive="false")[0] == 200
