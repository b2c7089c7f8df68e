"""Videos through `translate`: every frame, in order, at the right rate and size; and everything that may go wrong."""

import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from runtime import Translator, __main__
from runtime.errors import InputError
from tests.paths import ROOT
from tests.runtime import tiny_translators
from tests.runtime.tiny_translators import expected

cv2 = pytest.importorskip("cv2")

COUNT = 40
SIZE = (48, 64)


def run(*arguments):
    return CliRunner().invoke(__main__.app, ["translate", *map(str, arguments)])


def frame(index, size=SIZE):
    """Grey value 2 · index + 1, with a gradient so that no frame is constant."""
    shade = np.full((*size, 3), 2 * index + 1, np.uint8)
    shade[:, size[1] // 2 :] += 100
    return shade


def write_clip(path, frames, *, codec="FFV1", fps=24.0):
    """`frames` in RGB, without loss in the default codec."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (width, height))
    assert writer.isOpened()
    for pixels in frames:
        writer.write(np.ascontiguousarray(pixels[..., ::-1]))
    writer.release()
    return path


def read_clip(path):
    """All frames in RGB, and the frame rate."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (result := capture.read())[0]:
        frames.append(result[1][..., ::-1])
    fps = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return frames, fps


@pytest.fixture
def engine(tmp_path):
    return tiny_translators.translator(tmp_path / "rgb.onnx")


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "clip.avi", [frame(i) for i in range(COUNT)])


def assert_translated(path, sources, seed=0, tolerance=0, fps=24.0):
    frames, written_fps = read_clip(path)
    assert len(frames) == len(sources)
    assert written_fps == pytest.approx(fps, abs=0.001)
    for index, (actual, source) in enumerate(zip(frames, sources, strict=True)):
        difference = actual.astype(int) - expected(source, seed=seed)
        assert np.abs(difference).max() <= tolerance, index


@pytest.mark.parametrize("fps", [24.0, 29.97, 12.5, 60.0])
def test_every_frame_in_order_without_loss(tmp_path, engine, fps):
    frames = [frame(i) for i in range(COUNT)]
    clip = write_clip(tmp_path / "clip.mkv", frames, fps=fps)
    result = run(engine, clip, "-o", tmp_path / "new" / "out.mkv", "--codec", "FFV1")
    assert result.exit_code == 0, result.output
    assert_translated(tmp_path / "new" / "out.mkv", frames, tolerance=1, fps=fps)
    assert f"{COUNT} frames in" in result.output
    assert "frames/s" in result.output
    assert "sound is not carried over" in result.stderr
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.mkv"]


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".MP4"])
def test_every_container(tmp_path, engine, clip, suffix):
    """Lossy codecs: frames are told apart by their mean."""
    target = tmp_path / f"out{suffix}"
    result = run(engine, clip, "-o", target)
    assert result.exit_code == 0, result.output
    assert len(result.stderr.strip().splitlines()) == 1, "nothing but the note on sound"
    frames, fps = read_clip(target)
    assert (len(frames), fps, frames[0].shape) == (COUNT, 24.0, (*SIZE, 3))
    for index, pixels in enumerate(frames):
        wanted = expected(frame(index))
        for half in (np.s_[:, 8:24], np.s_[:, 40:56]):
            assert abs(pixels[half].mean() - wanted[half].mean()) < 8, index


@pytest.mark.parametrize("size", [(49, 64), (48, 65), (17, 33), (5, 7), (1, 200), (200, 1)])
def test_sizes_that_encoders_do_not_take(tmp_path, size):
    """Written by the library itself, since OpenCV cannot write such a clip: extended, and said so."""
    from runtime.media.video import VideoReader, VideoWriter

    path = tmp_path / "odd.avi"
    writer = VideoWriter(path, "FFV1", 24.0, size)
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 1), dtype=np.uint8)
    writer.write(pixels)
    writer.close()
    assert all(side % 2 == 0 and side >= 16 for side in writer.size)
    assert all(0 <= large - small <= max(1, 16 - small) for large, small in zip(writer.size, size, strict=True))
    below, right = writer.size[0] - size[0], writer.size[1] - size[1]
    reader = VideoReader(path)
    (written,) = reader.frames(1)
    wanted = np.pad(pixels, [(0, below), (0, right), (0, 0)], mode="edge")
    assert np.abs(written.astype(int) - wanted).max() <= 2


def test_odd_sides_are_extended_and_noted(tmp_path, engine, monkeypatch):
    from runtime.media import video

    odd = [frame(i, (49, 65)) for i in range(5)]
    monkeypatch.setattr(video.VideoReader, "frames", lambda self, input_nc: iter(odd))
    clip = write_clip(tmp_path / "clip.avi", [frame(i) for i in range(5)])
    result = run(engine, clip, "-o", tmp_path / "out.avi", "--codec", "FFV1")
    assert result.exit_code == 0, result.output
    assert "65×49 is written as 66×50" in result.stderr
    frames, _ = read_clip(tmp_path / "out.avi")
    for actual, source in zip(frames, odd, strict=True):
        assert np.abs(actual[:49, :65].astype(int) - expected(source)).max() <= 1


def test_grey_engines_and_static_ones(tmp_path, clip):
    grey = tiny_translators.translator(tmp_path / "grey.onnx", input_nc=1, output_nc=1)
    static = tiny_translators.translator(tmp_path / "static.onnx", size=(64, 64), batch=1)
    assert run(grey, clip, "-o", tmp_path / "grey.avi", "--codec", "FFV1").exit_code == 0
    assert_translated(tmp_path / "grey.avi", [frame(i) for i in range(COUNT)], tolerance=2)
    assert run(static, clip, "-o", tmp_path / "static.avi", "--codec", "FFV1").exit_code == 0
    frames, _ = read_clip(tmp_path / "static.avi")
    assert np.abs(frames[3].astype(int) - expected(frame(3), size=(64, 64))).max() <= 1


def test_one_seed_for_all_frames(tmp_path):
    engine = tiny_translators.translator(tmp_path / "stochastic.onnx", seed=True)
    still = [frame(7)] * 6
    clip = write_clip(tmp_path / "still.avi", still)
    assert run(engine, clip, "--seed", 50, "-o", tmp_path / "out.avi", "--codec", "FFV1").exit_code == 0
    assert_translated(tmp_path / "out.avi", still, seed=50, tolerance=1)


def test_a_clip_that_is_cut_off(tmp_path, engine, clip):
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) // 2])
    result = run(engine, clip, "-o", tmp_path / "out.avi", "--codec", "FFV1")
    assert result.exit_code == 0, result.output
    frames, _ = read_clip(tmp_path / "out.avi")
    assert 0 < len(frames) < COUNT
    assert f"{len(frames)} frames could be decoded of the {COUNT} that its header promises" in result.stderr


def test_mistakes_exit_with_2_and_one_line(tmp_path, engine, clip):
    photos = tmp_path / "photo.png"
    assert cv2.imwrite(str(photos), frame(0))
    for name, content in {"text.mp4": b"hello", "empty.avi": b"", "image.mp4": photos.read_bytes()}.items():
        (tmp_path / name).write_bytes(content)
    no_frames = tmp_path / "none.avi"
    writer = cv2.VideoWriter(str(no_frames), cv2.VideoWriter.fourcc(*"FFV1"), 24.0, (64, 48))
    writer.release()
    (tmp_path / "link.avi").symlink_to(clip)
    five = tiny_translators.translator(tmp_path / "five.onnx", input_nc=5, output_nc=2)
    static = tiny_translators.translator(tmp_path / "static.onnx", size=(16, 32), batch=1)
    out = tmp_path / "out.mp4"
    mistakes = {
        "no.mp4 does not exist": (engine, tmp_path / "no.mp4", "-o", out),
        "text.mp4 is corrupt": (engine, tmp_path / "text.mp4", "-o", out),
        "empty.avi is corrupt": (engine, tmp_path / "empty.avi", "-o", out),
        "none.avi": (engine, no_frames, "-o", out),
        "is one of 2 inputs": (engine, clip, photos, "-o", out),
        "ends in .mp4, .m4v, .mov": (engine, clip, "-o", tmp_path / "out.gif"),
        "is no name of a video": (engine, clip, "-o", tmp_path),
        "would overwrite the video": (engine, clip, "-o", clip),
        f"would overwrite the video {tmp_path / 'link.avi'}": (engine, tmp_path / "link.avi", "-o", clip),
        "cannot write codec ABCD to .mp4 at 64×48": (engine, clip, "-o", out, "--codec", "ABCD"),
        "cannot write codec FFV1 to .xyz": (engine, clip, "-o", tmp_path / "out.xyz", "--codec", "FFV1"),
        "not four letters": (engine, clip, "-o", out, "--codec", "h264x"),
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


def test_a_clip_whose_size_changes(tmp_path, monkeypatch):
    from runtime.media.video import ImageFileError, VideoReader

    reader = VideoReader(write_clip(tmp_path / "clip.avi", [frame(0)]))
    sizes = iter([frame(0), frame(1, (32, 32))])
    monkeypatch.setattr(reader, "_next", lambda: next(sizes))
    with pytest.raises(ImageFileError, match=r"clip\.avi changes from 64×48 to 32×32 pixels"):
        list(reader.frames(3))


def test_without_opencv(tmp_path, engine, clip, monkeypatch):
    monkeypatch.delitem(sys.modules, "runtime.media.video", raising=False)
    monkeypatch.setitem(sys.modules, "cv2", None)
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
    """Nothing new under the final name; after Ctrl-C nothing at all."""
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
    if kill == signal.SIGINT:
        assert process.returncode == 130
        assert stderr.strip() == "interrupted"
        assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".webm"])
def test_a_full_disk(tmp_path, engine, suffix):
    """A limit on file sizes stands for it: OpenCV says nothing, the result is checked."""
    noise = np.random.default_rng(0).integers(0, 256, (COUNT, *SIZE, 3), dtype=np.uint8)
    clip = write_clip(tmp_path / "noise.avi", list(noise))
    target = tmp_path / "out" / f"out{suffix}"

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000))

    process = subprocess.run(
        command(engine, clip, target), cwd=ROOT, capture_output=True, text=True, preexec_fn=limit, timeout=120
    )
    assert process.returncode == 2, process.stderr
    assert "is the disk full?" in process.stderr
    assert list(target.parent.iterdir()) == []
