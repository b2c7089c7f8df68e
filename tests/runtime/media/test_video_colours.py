"""Colours of a video survive `translate`, whatever kind of YUV they are in."""

import numpy as np
import pytest

from runtime import Translator
from runtime.errors import ImageFileError
from tests.runtime import tiny_translators
from tests.runtime.media.clips import SIZE, av, read_clip
from tests.runtime.tiny_translators import expected

translate_video = pytest.importorskip("runtime.media.video", reason="PyAV is not installed").translate_video


def translated(engine, source, target):
    with Translator(engine) as translator:
        return translate_video(source, target, translator)


@pytest.mark.parametrize("matrix", ["ITU709", "ITU601"])
@pytest.mark.parametrize("is_full", [True, False])
def test_colours_are_read_and_written_by_the_same_rule(tmp_path, matrix, is_full):
    """BT.709 taken for BT.601 shifts a saturated green by 20 levels."""
    identity = tiny_translators.translator(tmp_path / "i.onnx")
    colours = [np.full((*SIZE, 3), colour, np.uint8) for colour in ((20, 100, 10), (100, 20, 30), (10, 30, 110))]
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuvj420p" if is_full else "yuv420p"
        context = stream.codec_context
        context.colorspace = 1 if matrix == "ITU709" else 6
        context.color_range = 2 if is_full else 1
        for colour in colours:
            image = av.VideoFrame.from_ndarray(colour, "rgb24")
            container.mux(stream.encode(image.reformat(format=stream.pix_fmt, dst_colorspace=matrix)))
        container.mux(stream.encode(None))
    translated(identity, tmp_path / "clip.mp4", tmp_path / "out.mp4")
    frames, _ = read_clip(tmp_path / "out.mp4")
    for actual, colour in zip(frames, colours, strict=True):
        assert np.abs(actual.astype(int) - expected(colour)).max() <= 6
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).colorspace == (1 if matrix == "ITU709" else 6)


def clip_in(path, colorspace):
    """A frame of one colour that says it is in FFmpeg's `colorspace`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        stream.codec_context.colorspace = colorspace
        image = av.VideoFrame.from_ndarray(np.full((*SIZE, 3), (20, 100, 10), np.uint8), "rgb24")
        container.mux(stream.encode(image.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(stream.encode(None))
    return path


def test_wide_colours_are_written_as_bt709(tmp_path):
    """What is written says what it is in, so that it looks as its BT.2020 source does."""
    identity, clip = tiny_translators.translator(tmp_path / "i.onnx"), clip_in(tmp_path / "clip.mp4", 9)
    translated(identity, clip, tmp_path / "out.mp4")
    (source,), _ = read_clip(clip)
    (written,), _ = read_clip(tmp_path / "out.mp4")
    assert np.abs(written.astype(int) - expected(source)).max() <= 6
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).colorspace == 1


def test_colours_that_ffmpeg_does_not_convert_are_named(tmp_path):
    """BT.2020 with constant luminance: the error is of the source, not of the disk."""
    identity, clip = tiny_translators.translator(tmp_path / "i.onnx"), clip_in(tmp_path / "clip.mp4", 10)
    with pytest.raises(ImageFileError, match=r"clip\.mp4 has colours .*space 10"):
        translated(identity, clip, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
