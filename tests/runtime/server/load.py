"""Load on a server of the shipped engines: every answer compared with the library's, times, memory, and saturation.

    python -m tests.runtime.server.load                          10 000 requests by 16 clients, then saturation
    python -m tests.runtime.server.load --requests 500 --saturation 0

Client and server share the machine. Exit code 1 where an answer is wrong.
"""

import argparse
import collections
import http.client
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from runtime import Inpainter, SketchCompleter, Synthesizer, Translator
from runtime.media.decoding import Upload
from runtime.media.images import encode_image, read_image, read_inst_map, read_label_map, read_photo
from runtime.media.mask_images import read_hole_mask
from runtime.runners.runner import Runner
from runtime.server.parallel import Parallel, calls_a_second, given
from tests.paths import ROOT
from tests.runtime.requests import form, png
from tests.runtime.running import Running, running

ASSETS = ROOT / "runtime" / "assets"
ENGINES = ("edges2photo", "inpaint", "faces", "street")


@dataclass(frozen=True)
class Case:
    """A request, and what must come back: the library's bytes, or a status of the client's fault."""

    name: str
    weight: float
    path: str
    body: bytes
    headers: dict[str, str]
    expected: bytes | int


def case(name: str, weight: float, fields: dict, expected: bytes | int, path: str = "") -> Case:
    return Case(name, weight, path or f"/v1/{name}", *form(fields), expected)


def picture(name: str, side: int) -> np.ndarray:
    """Grey, [side, side]."""
    with Image.open(ASSETS / name) as opened:
        return np.asarray(opened.convert("L").resize((side, side)))


def cases() -> Iterator[Case]:
    """Of all kinds and several sizes, with the library's own answers."""
    with Translator("edges2photo") as translator:
        for side in (64, 100, 128, 200, 256, 320, 384):
            image = picture("edges2photo_input.png", side)
            expected = encode_image(translator.run(image), "png")
            yield case("edges2photo/translate", 12, {"image": png(image), "derive": "false"}, expected)
    with SketchCompleter("faces") as completer:
        image = picture("faces_sketch.png", 64)
        for iterations in (1, 5, 10):
            expected = encode_image(completer.run(image, iterations=iterations), "png")
            yield case("faces/complete", 3, {"image": png(image), "iterations": iterations}, expected)
    with Inpainter("inpaint") as inpainter:
        photo, mask = ((ASSETS / f"inpaint_{end}").read_bytes() for end in ("photo.jpg", "mask.png"))
        image = read_photo(Upload("photo", photo))
        holes = read_hole_mask(Upload("mask", mask), lambda _: None)
        for dilate in (0, 4):
            expected = encode_image(inpainter.run(image, holes, dilate=dilate), "png")
            yield case("inpaint/inpaint", 1, {"image": photo, "mask": mask, "dilate": dilate}, expected)
    with Synthesizer("street") as synthesizer:
        labels, instances = ((ASSETS / f"street_{end}.png").read_bytes() for end in ("labels", "instances"))
        ids = read_label_map(Upload("labels", labels), synthesizer.labels)
        for seed in (0, 1):
            photo = synthesizer.run(ids, read_inst_map(Upload("instances", instances)), seed=seed)
            fields = {"label_map": labels, "inst_map": instances, "seed": seed}
            yield case("street/synthesize", 0.15, fields, encode_image(photo, "png"))
    image = png(picture("edges2photo_input.png", 64))
    yield case("unknown engine", 1, {"image": image}, 404, "/v1/nobody/translate")
    yield case("damaged picture", 1, {"image": image[:-50]}, 400, "/v1/edges2photo/translate")
    yield case("unknown option", 1, {"image": image, "size": 3}, 400, "/v1/edges2photo/translate")
    yield case("another size", 1, {"label_map": png(np.zeros((100, 100), np.uint8))}, 400, "/v1/street/synthesize")


@dataclass
class Outcome:
    """What all clients saw."""

    seconds: dict[str, list[float]]
    refused: int = 0
    wrong: int = 0

    @property
    def count(self) -> int:
        return sum(map(len, self.seconds.values())) + self.refused


def run_clients(server: Running, requests: Iterator[Case], clients: int, each: Callable[[int], None]) -> Outcome:
    outcome, lock = Outcome(collections.defaultdict(list)), threading.Lock()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
        while True:
            with lock:
                one = next(requests, None)
            if one is None:
                connection.close()
                return
            start = time.perf_counter()
            connection.request("POST", one.path, one.body, one.headers)
            answer = connection.getresponse()
            content, took = answer.read(), time.perf_counter() - start
            is_right = answer.status == one.expected or (answer.status == 200 and content == one.expected)
            with lock:
                if answer.status == 429:
                    outcome.refused += 1
                else:
                    outcome.seconds[one.name].append(took)
                    if not is_right:
                        outcome.wrong += 1
                        print(f"wrong: {one.name} gave {answer.status}, {content[:200]!r}", flush=True)
                each(outcome.count)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome


def resident(server: Running) -> float:
    """MB of the server."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    families = {one.name: one for one in text_string_to_metric_families(text)}
    return families["process_resident_memory_bytes"].samples[0].value / 1e6


def mixed(server: Running, every: list[Case], count: int, clients: int) -> int:
    """Print times and memory; the number of wrong answers."""
    rng = random.Random(0)
    chosen = iter(rng.choices(every, [one.weight for one in every], k=count))
    memory: dict[int, float] = {}

    def look(done: int) -> None:
        if done % max(1, count // 10) == 0:
            memory[done] = resident(server)
            print(f"{done} requests, {memory[done]:.0f} MB", flush=True)

    start = time.perf_counter()
    outcome = run_clients(server, chosen, clients, look)
    took = time.perf_counter() - start
    print(f"\n{outcome.count} requests by {clients} clients in {took:.0f} s: {outcome.count / took:.1f} a second")
    print(f"{outcome.wrong} wrong, {outcome.refused} refused (429)\n")
    print(f"| {'request':24} | count | p50 ms | p99 ms |\n|---|---|---|---|")
    for name, seconds in sorted(outcome.seconds.items()):
        cuts = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else seconds * 99
        print(f"| {name:24} | {len(seconds)} | {1000 * cuts[49]:.0f} | {1000 * cuts[98]:.0f} |")
    first, last = memory[min(m for m in memory if m >= count // 5)], memory[max(memory)]
    print(
        f"\nmemory after a fifth of them {first:.0f} MB, at the end {last:.0f} MB: {100 * (last / first - 1):+.1f} %\n"
    )
    return outcome.wrong


@dataclass(frozen=True)
class Loop:
    """What is asked over and over: of the server, and of the library from the bytes of a file to those of another."""

    name: str
    path: str
    fields: dict
    runner: type[Runner]
    work: Callable[[Runner], np.ndarray]


def loops() -> list[Loop]:
    """A small picture, a large one, and the two heavier engines."""
    found = []
    for side in (256, 1024):
        image = png(picture("edges2photo_input.png", side))
        fields = {"image": image, "derive": "false"}
        read = partial(read_image, Upload("image", image), 1)
        found.append(
            Loop(
                f"edges2photo {side}×{side}",
                "/v1/edges2photo/translate",
                fields,
                Translator,
                lambda runner, read=read: runner.run(read().pixels),
            )
        )
    photo, mask = ((ASSETS / f"inpaint_{end}").read_bytes() for end in ("photo.jpg", "mask.png"))
    labels, instances = ((ASSETS / f"street_{end}.png").read_bytes() for end in ("labels", "instances"))
    filled = partial(read_hole_mask, Upload("mask", mask), lambda _: None)
    found.append(
        Loop(
            "inpaint 512×512",
            "/v1/inpaint/inpaint",
            {"image": photo, "mask": mask},
            Inpainter,
            lambda runner: runner.run(read_photo(Upload("photo", photo)), filled()),
        )
    )
    found.append(
        Loop(
            "street 2048×1024",
            "/v1/street/synthesize",
            {"label_map": labels, "inst_map": instances},
            Synthesizer,
            lambda runner: runner.run(
                read_label_map(Upload("labels", labels), runner.labels), read_inst_map(Upload("instances", instances))
            ),
        )
    )
    return found


def library(loop: Loop, parallel: Parallel, seconds: float) -> tuple[float, bytes]:
    """Pictures a second of the library, and one of them."""
    with loop.runner(loop.path.split("/")[2], threads=parallel.threads) as runner:
        made = encode_image(loop.work(runner), "png")
        return calls_a_second(lambda: encode_image(loop.work(runner), "png"), parallel.calls, seconds), made


def served(server: Running, one: Case, clients: int, seconds: float) -> float:
    """Answers a second, asked by sockets that cost next to nothing."""
    head = f"POST {one.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(one.body)}\r\n"
    sent = (head + "".join(f"{name}: {value}\r\n" for name, value in one.headers.items()) + "\r\n").encode() + one.body
    assert isinstance(one.expected, bytes)
    expected, ends = one.expected, time.perf_counter() + seconds

    def client(_: int) -> int:
        count = 0
        with socket.create_connection(("127.0.0.1", server.port), 60) as opened:
            while time.perf_counter() < ends:
                opened.sendall(sent)
                received = opened.recv(2**20)
                while b"\r\n\r\n" not in received or len(received) < received.index(b"\r\n\r\n") + 4 + len(expected):
                    received += opened.recv(2**20)
                assert received.endswith(expected)
                count += 1
        return count

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        done = sum(threads.map(client, range(clients)))
    return done / (time.perf_counter() - start)


def saturation(server: Running, seconds: float, clients: int, turns: int) -> None:
    """Print what server and library do a second, in turns."""
    print("| request | server | library, one at a time | library, one a core | server to the best |")
    print("|---|---|---|---|---|")
    one, many = given(1, None), given(None, 1)
    for loop in loops():
        _, expected = library(loop, one, 0)
        asked = Case(loop.name, 1, loop.path, *form(loop.fields), expected)
        speeds = [
            (served(server, asked, clients, seconds), library(loop, one, seconds)[0], library(loop, many, seconds)[0])
            for _ in range(turns)
        ]
        ratio = statistics.median(speed / max(others) for speed, *others in speeds)
        shown = " | ".join(f"{statistics.median(column):.2f}" for column in zip(*speeds, strict=True))
        print(f"| {loop.name} | {shown} | {ratio:.2f}× |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--saturation", type=float, default=4, help="seconds of a turn; 0 for none")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("options", nargs="*", help="of pix2rt serve, after --")
    arguments = parser.parse_args()
    every = list(cases())
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), "serve", *ENGINES, *arguments.options) as server,
    ):
        print(server.errors.read_text(), end="", flush=True)
        wrong = mixed(server, every, arguments.requests, arguments.clients) if arguments.requests else 0
        if arguments.saturation:
            saturation(server, arguments.saturation, 4, arguments.turns)
    return min(1, wrong)


if __name__ == "__main__":
    sys.exit(main())
