"""Videos through `translate`: every frame, in order, at the right rate and size; and everything that may go wrong."""

import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from runtime import Translator, __main__
from runtime.errors import InputError
from tests.paths import ROOT
from tests.runtime import tiny_translators
from tests.runtime.media.clips import COUNT, SIZE, frame, read_clip, write_clip
from tests.runtime.tiny_translators import expected


def run(*arguments):
    return CliRunner().invoke(__main__.app, ["translate", *map(str, arguments)])


@pytest.fixture
def engine(tmp_path):
    return tiny_translators.translator(tmp_path / "rgb.onnx")


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "clip.avi", [frame(i) for i in range(COUNT)])


def assert_translated(path, sources, seed=0, fps=24.0):
    frames, written_fps = read_clip(path)
    assert len(frames) == len(sources)
    assert written_fps == pytest.approx(fps, abs=0.003)
    for index, (actual, source) in enumerate(zip(frames, sources, strict=True)):
        np.testing.assert_array_equal(actual, expected(source, seed=seed), str(index))


@pytest.mark.parametrize("fps", [24.0, 29.97, 12.5, 60.0])
def test_every_frame_in_order_without_loss(tmp_path, engine, fps):
    frames = [frame(i) for i in range(COUNT)]
    clip = write_clip(tmp_path / "clip.mkv", frames, fps=fps)
    result = run(engine, clip, "-o", tmp_path / "new" / "out.mkv", "--codec", "ffv1")
    assert result.exit_code == 0, result.output
    assert_translated(tmp_path / "new" / "out.mkv", frames, fps=fps)
    assert f"{COUNT} frames in" in result.output
    assert "frames/s" in result.output
    assert result.stderr == ""
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.mkv"]


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".MP4"])
def test_every_container(tmp_path, engine, clip, suffix):
    """Lossy codecs: frames are told apart by their mean."""
    target = tmp_path / f"out{suffix}"
    result = run(engine, clip, "-o", target)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    frames, fps = read_clip(target)
    assert (len(frames), fps, frames[0].shape) == (COUNT, 24.0, (*SIZE, 3))
    for index, pixels in enumerate(frames):
        wanted = expected(frame(index))
        for half in (np.s_[:, 8:24], np.s_[:, 40:56]):
            assert abs(pixels[half].mean() - wanted[half].mean()) < 8, index


@pytest.mark.parametrize("size", [(49, 64), (48, 65), (17, 33), (5, 7), (1, 200), (200, 1)])
def test_sizes_that_encoders_do_not_take(tmp_path, engine, size):
    """Extended and said so, but for an encoder that takes all."""
    height, width = size
    sources = [frame(i, size) for i in range(5)]
    clip = write_clip(tmp_path / "clip.avi", sources, codec="huffyuv", pixels="rgb24")
    result = run(engine, clip, "-o", tmp_path / "exact.avi", "--codec", "huffyuv")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert_translated(tmp_path / "exact.avi", sources)
    result = run(engine, clip, "-o", tmp_path / "out.mp4")
    assert result.exit_code == 0, result.output
    large = [max(side + side % 2, 16) for side in size]
    assert f"{width}×{height} is written as {large[1]}×{large[0]}" in result.stderr
    frames, _ = read_clip(tmp_path / "out.mp4")
    assert frames[0].shape == (*large, 3)
    wanted = np.pad(expected(sources[0]), [(0, large[0] - height), (0, large[1] - width), (0, 0)], mode="edge")
    assert np.abs(frames[0].astype(int) - wanted).mean() < 6


def test_grey_engines_and_static_ones(tmp_path, clip):
    grey = tiny_translators.translator(tmp_path / "grey.onnx", input_nc=1, output_nc=1)
    static = tiny_translators.translator(tmp_path / "static.onnx", size=(64, 64), batch=1)
    assert run(grey, clip, "-o", tmp_path / "grey.avi", "--codec", "ffv1").exit_code == 0
    assert_translated(tmp_path / "grey.avi", [frame(i) for i in range(COUNT)])
    assert run(static, clip, "-o", tmp_path / "static.avi", "--codec", "ffv1").exit_code == 0
    frames, _ = read_clip(tmp_path / "static.avi")
    np.testing.assert_array_equal(frames[3], expected(frame(3), size=(64, 64)))


def test_one_seed_for_all_frames(tmp_path):
    engine = tiny_translators.translator(tmp_path / "stochastic.onnx", seed=True)
    still = [frame(7)] * 6
    clip = write_clip(tmp_path / "still.avi", still)
    assert run(engine, clip, "--seed", 50, "-o", tmp_path / "out.avi", "--codec", "ffv1").exit_code == 0
    assert_translated(tmp_path / "out.avi", still, seed=50)


def test_a_clip_that_is_cut_off(tmp_path, engine, clip):
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) * 9 // 10])
    result = run(engine, clip, "-o", tmp_path / "out.avi", "--codec", "ffv1")
    assert result.exit_code == 0, result.output
    frames, _ = read_clip(tmp_path / "out.avi")
    assert 0 < len(frames) < COUNT
    assert f"is cut off or damaged: {len(frames)} frames could be decoded" in result.stderr


def test_mistakes_exit_with_2_and_one_line(tmp_path, engine, clip):
    photos = tmp_path / "photo.png"
    Image.fromarray(frame(0)).save(photos)
    for name, content in {"text.mp4": b"hello", "empty.avi": b""}.items():
        (tmp_path / name).write_bytes(content)
    no_frames = write_clip(tmp_path / "none.mkv", [frame(0)])
    no_frames.write_bytes(no_frames.read_bytes()[:600])
    (tmp_path / "link.avi").symlink_to(clip)
    five = tiny_translators.translator(tmp_path / "five.onnx", input_nc=5, output_nc=2)
    static = tiny_translators.translator(tmp_path / "static.onnx", size=(16, 32), batch=1)
    out = tmp_path / "out.mp4"
    mistakes = {
        "no.mp4 does not exist": (engine, tmp_path / "no.mp4", "-o", out),
        "text.mp4 is corrupt": (engine, tmp_path / "text.mp4", "-o", out),
        "empty.avi is corrupt": (engine, tmp_path / "empty.avi", "-o", out),
        "none.mkv holds no frame": (engine, no_frames, "-o", out),
        "is one of 2 inputs": (engine, clip, photos, "-o", out),
        "ends in .mp4, .m4v, .mov": (engine, clip, "-o", tmp_path / "out.gif"),
        "is no name of a video": (engine, clip, "-o", tmp_path),
        "would overwrite the video": (engine, clip, "-o", clip),
        f"would overwrite the video {tmp_path / 'link.avi'}": (engine, tmp_path / "link.avi", "-o", clip),
        "--codec ABCD is no encoder of this FFmpeg": (engine, clip, "-o", out, "--codec", "ABCD"),
        "--codec aac encodes audio": (engine, clip, "-o", out, "--codec", "aac"),
        "--codec vp9_nothing is no encoder": (engine, clip, "-o", tmp_path / "out.webm", "--codec", "vp9_nothing"),
        "cannot write libx264 to .webm at 64×48": (engine, clip, "-o", tmp_path / "out.webm", "--codec", "libx264"),
        "out.xyz is no name of a video": (engine, clip, "-o", tmp_path / "out.xyz", "--codec", "ffv1"),
        "turns 5 channels into 2": (five, clip, "-o", out),
        "larger than this engine's 16×32": (static, clip, "-o", out),
        "draws nothing": (engine, clip, "-o", out, "--seed", 1),
        "cannot write": (engine, clip, "-o", clip / "below" / "a_file.mp4"),
    }
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for message, arguments in mistakes.items():
        result = run(*arguments)
        assert result.exit_code == 2, (message, result.output)
        assert message in result.stderr, (message, result.stderr)
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_clip_whose_size_changes(tmp_path, engine):
    """Two MPEG-TS one behind the other."""
    parts = [
        write_clip(tmp_path / f"{size[0]}.ts", [frame(0, size)] * 9, codec="libx264", pixels="yuv420p")
        for size in ((48, 64), (32, 32))
    ]
    clip = tmp_path / "clip.ts"
    clip.write_bytes(b"".join(part.read_bytes() for part in parts))
    result = run(engine, clip, "-o", tmp_path / "out" / "out.mp4")
    assert result.exit_code == 2
    assert "clip.ts changes from 64×48 to 32×32 pixels" in result.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_without_pyav(tmp_path, engine, clip, monkeypatch):
    for module in ("video", "video_reader", "video_writer"):
        monkeypatch.delitem(sys.modules, f"runtime.media.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "av", None)
    result = run(engine, clip, "-o", tmp_path / "out.mp4")
    assert result.exit_code == 2
    assert 'pip install "pix2rt[video]"' in result.stderr


def test_an_engine_that_fails_midway(tmp_path, engine, clip, monkeypatch):
    original = Translator.run
    calls = []

    def fails_at_the_tenth(self, image, **options):
        calls.append(image)
        if len(calls) == 10:
            raise InputError("the tenth")
        return original(self, image, **options)

    monkeypatch.setattr(Translator, "run", fails_at_the_tenth)
    result = run(engine, clip, "-o", tmp_path / "out" / "out.mp4")
    assert result.exit_code == 2
    assert "the tenth" in result.stderr
    assert list((tmp_path / "out").iterdir()) == []


def command(engine, clip, target, setup=""):
    code = f"import sys, time, runtime.__main__ as m\n{setup}\nm.main()"
    return [sys.executable, "-c", code, "translate", str(engine), str(clip), "-o", str(target)]


SLOW = """
from runtime import Translator
original = Translator.run
count = 0
def slow(self, image, **options):
    global count
    count += 1
    if count == 8:
        print("ready", flush=True)
    time.sleep(0.1)
    return original(self, image, **options)
Translator.run = slow
"""


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_midway(tmp_path, engine, clip, kill):
    """Nothing new under the final name; after a signal that can be caught nothing at all."""
    target = tmp_path / "out" / "out.mp4"
    target.parent.mkdir()
    target.write_bytes(b"the previous film")
    process = subprocess.Popen(
        command(engine, clip, target, SLOW), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.05)
    os.kill(process.pid, kill)
    _, stderr = process.communicate(timeout=60)
    assert target.read_bytes() == b"the previous film"
    if kill == signal.SIGKILL:
        return
    assert process.returncode == 128 + kill
    assert stderr.strip() == ("interrupted" if kill == signal.SIGINT else "")
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".webm"])
def test_a_full_disk(tmp_path, engine, suffix):
    """A limit on file sizes stands for it."""
    noise = np.random.default_rng(0).integers(0, 256, (COUNT, *SIZE, 3), dtype=np.uint8)
    clip = write_clip(tmp_path / "noise.avi", list(noise))
    target = tmp_path / "out" / f"out{suffix}"

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000))

    process = subprocess.run(
        command(engine, clip, target), cwd=ROOT, capture_output=True, text=True, preexec_fn=limit, timeout=120
    )
    assert process.returncode == 1, process.stderr
    assert "cannot write" in process.stderr
    assert "File too large" in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1
    assert list(target.parent.iterdir()) == []
