"""What of a video must survive `translate`: times, sound, shape, colours; and what is said of what does not."""

import os
import socket
import struct
import threading
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from runtime import __main__
from tests.paths import CASES, needs_cases
from tests.runtime import tiny_translators
from tests.runtime.media.clips import SIZE, add_sound, av, frame, read_clip, sound_of, times_of, write_clip
from tests.runtime.tiny_translators import expected

VideoReader = pytest.importorskip("runtime.media.video_reader", reason="PyAV is not installed").VideoReader
FRAMES = [frame(i) for i in range(10)]
UNEVEN = [0, 100, 200, 210, 400, 433, 466, 900, 1000, 2000]  # thousandths of a second


def run(*arguments):
    result = CliRunner().invoke(__main__.app, ["translate", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def engine(tmp_path):
    return tiny_translators.translator(tmp_path / "rgb.onnx")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
def test_a_varying_frame_rate_is_kept(tmp_path, engine, suffix):
    clip = write_clip(tmp_path / "clip.mkv", FRAMES, times=UNEVEN)
    result = run(engine, clip, "-o", tmp_path / f"out{suffix}")
    assert result.stderr == ""
    np.testing.assert_allclose(times_of(tmp_path / f"out{suffix}"), np.array(UNEVEN) / 1000, atol=0.0011)


def test_or_noted_where_it_cannot(tmp_path, engine):
    clip = write_clip(tmp_path / "clip.mkv", FRAMES, times=UNEVEN)
    result = run(engine, clip, "-o", tmp_path / "out.avi")
    assert "varies, an .avi has only one: its average of" in result.stderr
    assert len(read_clip(tmp_path / "out.avi")[0]) == len(FRAMES)


def test_how_long_the_last_frame_is_shown(tmp_path, engine):
    still = write_clip(tmp_path / "clip.mp4", FRAMES, codec="libx264", pixels="yuv420p", fps=2)
    run(engine, still, "-o", tmp_path / "out.mp4")
    for path in (still, tmp_path / "out.mp4"):
        with av.open(str(path)) as container:
            assert container.duration / av.time_base == pytest.approx(5, abs=0.01)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mp4", "aac"), (".mkv", "aac"), (".mov", "aac"), (".avi", "aac"), (".webm", "libopus"), (".mkv", "libopus")],
)
def test_sound_is_copied_as_it_is(tmp_path, engine, suffix, codec):
    silent = write_clip(tmp_path / "silent.mkv", [frame(i) for i in range(24)])
    clip = add_sound(tmp_path / "clip.mkv", silent, codec, seconds=1.5)
    result = run(engine, clip, "-o", tmp_path / f"out{suffix}")
    assert result.stderr == ""
    (track,), (copied,) = sound_of(clip), sound_of(tmp_path / f"out{suffix}")
    assert len(track) > 20
    assert copied == track
    assert len(read_clip(tmp_path / f"out{suffix}")[0]) == 24


def test_sound_that_does_not_fit_is_noted(tmp_path, engine):
    clip = add_sound(tmp_path / "clip.mkv", write_clip(tmp_path / "silent.mkv", FRAMES))
    result = run(engine, clip, "-o", tmp_path / "out.webm")
    assert "an .webm cannot hold this sound (aac); an .mkv can" in result.stderr
    assert sound_of(tmp_path / "out.webm") == []


def test_sound_of_a_codec_that_nobody_knows(tmp_path, engine):
    clip = add_sound(tmp_path / "clip.mkv", write_clip(tmp_path / "silent.mkv", FRAMES))
    clip.write_bytes(clip.read_bytes().replace(b"A_AAC", b"A_XYZ"))
    result = run(engine, clip, "-o", tmp_path / "out.mkv")
    assert "cannot hold this sound (of an unknown codec)" in result.stderr
    assert len(read_clip(tmp_path / "out.mkv")[0]) == len(FRAMES)


def test_sound_begins_with_the_picture(tmp_path, engine):
    """A recording that begins at another time than 0, as MPEG-TS do."""
    times = range(5000, 6000, 100)
    silent = write_clip(tmp_path / "silent.ts", FRAMES, codec="libx264", pixels="yuv420p", times=times)
    add_sound(tmp_path / "clip.ts", silent, begin=5 * 48000)
    run(engine, tmp_path / "clip.ts", "-o", tmp_path / "out.mp4")
    with av.open(str(tmp_path / "clip.ts")) as before, av.open(str(tmp_path / "out.mp4")) as after:
        assert before.start_time > 0

        def gap(container):
            video, audio = container.streams.video[0], container.streams.audio[0]
            return float(video.start_time * video.time_base - audio.start_time * audio.time_base)

        assert gap(before) == pytest.approx(gap(after), abs=0.03)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_the_aspect_of_pixels_is_kept(tmp_path, engine, suffix):
    clip = write_clip(tmp_path / "clip.mp4", FRAMES, codec="libx264", pixels="yuv420p", aspect=Fraction(4, 3))
    result = run(engine, clip, "-o", tmp_path / f"out{suffix}")
    assert result.stderr == ""
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


def test_or_noted_where_the_file_cannot_say_it(tmp_path, engine):
    clip = write_clip(tmp_path / "clip.mp4", FRAMES, codec="libx264", pixels="yuv420p", aspect=Fraction(4, 3))
    result = run(engine, clip, "-o", tmp_path / "out.webm")
    assert "are 4:3, which this file cannot say" in result.stderr


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_turned_videos_come_upright(tmp_path, engine, rotation):
    clip = write_clip(
        tmp_path / "clip.mp4", FRAMES, codec="libx264", pixels="yuv420p", aspect=Fraction(2), rotation=rotation
    )
    result = run(engine, clip, "-o", tmp_path / "out.mp4")
    assert result.stderr == ""
    frames, _ = read_clip(tmp_path / "out.mp4")
    stored, _ = read_clip(clip)
    wanted = expected(np.ascontiguousarray(np.rot90(stored[3], rotation // 90)))
    assert frames[3].shape == wanted.shape
    assert np.abs(frames[3].astype(int) - wanted).mean() < 6
    with av.open(str(tmp_path / "out.mp4")) as container:
        aspect = Fraction(2) if rotation == 180 else Fraction(1, 2)
        assert container.streams.video[0].sample_aspect_ratio == aspect
        assert next(container.decode(video=0)).rotation == 0


@needs_cases
@pytest.mark.parametrize("name", ["longer_audio.mkv", "vfr.mkv", "anamorphic.mp4"])
def test_the_videos_that_users_sent(tmp_path, engine, name):
    clip = CASES / "video" / name
    result = run(engine, clip, "-o", tmp_path / "out.mp4")
    assert result.stderr == ""
    np.testing.assert_allclose(times_of(tmp_path / "out.mp4"), times_of(clip), atol=0.001)
    assert sound_of(tmp_path / "out.mp4") == sound_of(clip)
    with av.open(str(clip)) as before, av.open(str(tmp_path / "out.mp4")) as after:
        aspects = [container.streams.video[0].sample_aspect_ratio for container in (before, after)]
        assert aspects[0] == aspects[1]


@pytest.mark.parametrize("suffix", [".gif", ".apng"])
def test_a_film_of_pictures_becomes_a_video(tmp_path, engine, suffix):
    clip = tmp_path / f"film{suffix}"
    pictures = [Image.fromarray(frame(10 * i)) for i in range(4)]
    kind = {"format": "GIF" if suffix == ".gif" else "PNG"}
    pictures[0].save(clip, save_all=True, append_images=pictures[1:], duration=[100, 300, 50, 200], **kind)
    result = run(engine, clip, "-o", tmp_path / "out.mp4")
    assert result.stderr == ""
    np.testing.assert_allclose(times_of(tmp_path / "out.mp4"), [0, 0.1, 0.4, 0.45], atol=0.011)
    assert "the first was taken" in run(engine, clip, "-o", tmp_path / "out.png").stderr


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".avi", ".ts"])
def test_what_is_cut_off_gives_what_it_has(tmp_path, engine, suffix):
    codec = {".webm": "libvpx", ".avi": "mjpeg"}.get(suffix, "libx264")
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    noise = list(np.random.default_rng(0).integers(0, 256, (40, *SIZE, 3), dtype=np.uint8))
    clip = write_clip(tmp_path / f"clip{suffix}", noise, codec=codec, pixels=pixels)
    whole = clip.read_bytes()
    assert "damaged" not in run(engine, clip, "-o", tmp_path / "whole.mp4").stderr
    clip.write_bytes(whole[: len(whole) * 3 // 4])
    result = run(engine, clip, "-o", tmp_path / "out.mp4")
    frames, _ = read_clip(tmp_path / "out.mp4")
    assert 10 < len(frames) < 40
    if suffix != ".ts":  # which may end anywhere
        assert f"is cut off or damaged: {len(frames)} frames could be decoded" in result.stderr


def test_damage_in_the_middle(tmp_path, engine):
    clip = write_clip(tmp_path / "clip.avi", [frame(i) for i in range(20)], codec="mjpeg", pixels="yuvj420p")
    content = bytearray(clip.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    clip.write_bytes(content)
    result = run(engine, clip, "-o", tmp_path / "out.avi", "--codec", "ffv1")
    assert "is cut off or damaged" in result.stderr
    assert len(read_clip(tmp_path / "out.avi")[0]) >= 15


def test_names_that_are_no_text(tmp_path, engine):
    folder = tmp_path / os.fsdecode(b"\xff\xfe caf\xe9")
    folder.mkdir()
    source = write_clip(tmp_path / "clip.mkv", FRAMES).rename(folder / os.fsdecode(b"\xe9in.mkv"))
    for suffix in (".mp4", ".mkv"):
        target = folder / os.fsdecode(b"\xffout" + suffix.encode())
        run(engine, source, "-o", target)
        assert target.stat().st_size > 500


def playlists(port, secret):
    lines = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n%s\n#EXT-X-ENDLIST\n"
    url = b"http://127.0.0.1:%d/x.ts" % port
    yield "hls.ts", lines % url
    yield "hls.mp4", lines % os.fsencode(secret)
    yield "hls.mkv", lines % b"concat:" + os.fsencode(secret)
    yield (
        "dash.mp4",
        b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>%s</BaseURL></MPD>' % url,
    )
    yield "concat.mkv", b"ffconcat version 1.0\nfile %s\n" % os.fsencode(secret)


def test_nothing_is_fetched_or_opened_that_a_file_names(tmp_path, engine):
    secret = write_clip(tmp_path / "secret.ts", FRAMES, codec="libx264", pixels="yuv420p")
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def listen():
            while not done.is_set():
                try:
                    server.accept()[0].close()
                    asked.append(1)
                except TimeoutError:
                    continue

        listener = threading.Thread(target=listen)
        listener.start()
        for name, content in playlists(server.getsockname()[1], secret):
            (tmp_path / name).write_bytes(content)
            result = CliRunner().invoke(
                __main__.app, ["translate", str(engine), str(tmp_path / name), "-o", str(tmp_path / "out.mp4")]
            )
            assert result.exit_code == 2, name
            assert not (tmp_path / "out.mp4").exists()
        done.set()
        listener.join()
    assert asked == []


def test_an_encrypted_or_empty_track_is_no_crash(tmp_path, engine):
    """Containers with a header and nothing behind it."""
    (tmp_path / "empty.mp4").write_bytes(
        struct.pack(">I", 20) + b"ftypisom" + bytes(8) + struct.pack(">I", 8) + b"moov"
    )
    result = CliRunner().invoke(
        __main__.app, ["translate", str(engine), str(tmp_path / "empty.mp4"), "-o", str(tmp_path / "o.mp4")]
    )
    assert result.exit_code == 2
    assert "empty.mp4 is corrupt, empty, without frames" in result.stderr


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
def test_a_file_that_lacks_its_last_byte_is_shorter_than_it_says(tmp_path, suffix):
    clip = tmp_path / f"clip{suffix}"
    write_clip(clip, FRAMES, codec="mjpeg", pixels="yuvj420p")
    for content, is_damaged in ((clip.read_bytes(), False), (clip.read_bytes()[:-1], True)):
        clip.write_bytes(content)
        reader = VideoReader(clip)
        assert reader.is_damaged == is_damaged
        reader.close()
