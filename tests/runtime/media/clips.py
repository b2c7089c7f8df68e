"""Short videos for tests: written and read with PyAV, frame by frame."""

from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av")

COUNT = 40
SIZE = (48, 64)


def frame(index, size=SIZE):
    """Grey value 2 · index + 1, with a gradient so that no frame is constant."""
    shade = np.full((*size, 3), 2 * index + 1, np.uint8)
    shade[:, size[1] // 2 :] += 100
    return shade


def write_clip(path, frames, *, codec="ffv1", fps=24, pixels="bgr0", times=None, aspect=None, rotation=0):
    """`frames` in RGB, without loss in the default codec; `times` in thousandths of a second."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.time_base = Fraction(1, 1000) if times else 1 / stream.codec_context.framerate
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        for index, pixels in enumerate(frames):
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
            image.pts, image.time_base = times[index] if times else index, stream.codec_context.time_base
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    return path


def add_sound(path, clip, codec="aac", seconds=1.0, begin=0):
    """`clip` with a tone beside it that begins at that sample, 48,000 a second."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as container:
        video = source.streams.video[0]
        copy = container.add_stream_from_template(video, opaque=True)
        sound = container.add_stream(codec, rate=48000, layout="mono")
        wave = np.sin(np.arange(int(48000 * seconds)) / 20)
        size = sound.codec_context.frame_size or 1024
        packets = []
        for start in range(0, len(wave), 960):
            block = wave[None, start : start + 960].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(block, "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start + begin, Fraction(1, 48000)
            packets.append(frame)
        resampler = av.AudioResampler(sound.codec_context.format, "mono", 48000, size)
        for frame in packets:
            for part in resampler.resample(frame):
                container.mux(sound.encode(part))
        container.mux(sound.encode(None))
        for packet in source.demux(video):
            if packet.dts is not None:
                packet.stream = copy
                container.mux(packet)
    return path


def read_clip(path):
    """All frames in RGB, and the frame rate."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return frames, float(container.streams.video[0].average_rate)


def times_of(path):
    """When frames are shown, in seconds."""
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


def sound_of(path):
    """Codec, and the packets' bytes, of each track."""
    with av.open(str(path)) as container:
        tracks = {track.index: [track.codec_context.name] for track in container.streams.audio}
        for packet in container.demux(*container.streams.audio) if tracks else ():
            if packet.size:
                tracks[packet.stream.index].append(bytes(packet))
        return list(tracks.values())
