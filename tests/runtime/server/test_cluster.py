"""Folders over a Ray cluster of two workers on this machine, one of which is killed: the bytes of the local command."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.paths import ROOT
from tests.runtime import tiny_engines

pytest.importorskip("ray", reason="the extra ray is not installed; CI's own environment has it")

COUNT = 60


def pix2rt(*arguments, folder):
    line = [sys.executable, "-P", "-m", "runtime", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (folder / "errors.txt").open("wb") as errors:
        return subprocess.Popen(line, cwd=folder, env=environment, stderr=errors, stdout=subprocess.PIPE, text=True)


def ended(process, folder):
    told = process.communicate(timeout=200)[0]
    return process.returncode, told, (folder / "errors.txt").read_text()


def workers():
    """Processes of Ray's that hold an engine."""
    found = []
    for one in Path("/proc").iterdir():
        if one.name.isdecimal():
            try:
                name = (one / "cmdline").read_bytes()
            except OSError:
                continue
            if name.startswith(b"ray::") and b"_Actor" in name:
                found.append(int(one.name))
    return found


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_killed_worker_and_a_damaged_file(tmp_path):
    """What a worker had not given back is made again; the failure is told; a second run makes what is missing."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(COUNT):
        pixels = rng.integers(0, 256, (300, 300), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number:02}.png")
    (tmp_path / "photos" / "damaged.png").write_bytes(b"no picture")
    local = pix2rt("translate", "edges2photo", "photos", "-o", "local", "--no-derive", folder=tmp_path)
    assert ended(local, tmp_path)[0] == 2
    run = pix2rt("translate", "edges2photo", "photos", "-o", "spread", "--no-derive", "--ray", "local", folder=tmp_path)
    spread = tmp_path / "spread"
    while run.poll() is None and not (spread.is_dir() and len(list(spread.glob("*.png"))) > 3):
        time.sleep(0.02)
    seen = workers()
    assert len(seen) == os.cpu_count(), (tmp_path / "errors.txt").read_text()
    os.kill(seen[0], signal.SIGKILL)
    code, told, errors = ended(run, tmp_path)
    assert code == 2, errors
    assert f"1 of {COUNT + 1} images failed" in errors
    assert "damaged.png is corrupt" in errors
    assert f"{COUNT} images in" in told
    assert contents(spread) == contents(tmp_path / "local")
    for name in ("03.png", "41.png"):
        (spread / name).unlink()
    before = {path: path.stat().st_mtime_ns for path in spread.iterdir()}
    (tmp_path / "photos" / "damaged.png").unlink()
    again = pix2rt(
        *("translate", "edges2photo", "photos", "-o", "spread", "--no-derive", "--skip-existing"), folder=tmp_path
    )
    code, told, errors = ended(again, tmp_path)
    assert (code, told.startswith("2 images in")) == (0, True), errors
    assert f"{COUNT - 2} of {COUNT} results were there already" in errors
    assert contents(spread) == contents(tmp_path / "local")
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())


@pytest.mark.nightly
def test_label_maps_with_their_instances(tmp_path):
    engine = tiny_engines.synthesizer(tmp_path / "scene.onnx", styles=True)
    for name in ("labels", "instances"):
        (tmp_path / name).mkdir()
        for number in range(3):
            ids = np.full(tiny_engines.SIZE, number, np.uint8)
            Image.fromarray(ids).save(tmp_path / name / f"{number}.png")
    arguments = ("synthesize", engine.name, "labels", "--instances", "instances", "-o")
    code, _, errors = ended(pix2rt(*arguments, "local", folder=tmp_path), tmp_path)
    assert code == 0, errors
    code, _, errors = ended(pix2rt(*arguments, "spread", "--ray", "local", folder=tmp_path), tmp_path)
    assert code == 0, errors
    assert contents(tmp_path / "spread") == contents(tmp_path / "local")


def test_a_cluster_that_does_not_answer(tmp_path):
    """Not of "auto": that would find the cluster of another test."""
    Image.new("L", (64, 64)).save(tmp_path / "a.png")
    start = time.monotonic()
    run = pix2rt("translate", "edges2photo", "a.png", "-o", "b.png", "--ray", "127.0.0.1:9", folder=tmp_path)
    code, _, errors = ended(run, tmp_path)
    assert code == 2
    assert "no Ray cluster answers at '127.0.0.1:9'" in errors
    assert "start one with `ray start --head`" in errors
    assert time.monotonic() - start < 60
