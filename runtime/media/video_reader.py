"""Decoding of videos with PyAV: upright frames with their times, and what the file says of itself."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DeviceError, ImageFileError
from runtime.files import open_input

try:
    import av
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
except ImportError as error:
    raise DeviceError('videos need PyAV, which is not installed: pip install "pix2rt[video]"') from error

USUAL_FPS = Fraction(25)

# Nothing that a file names is opened but the file itself: playlists and references stay closed.
_OPTIONS = {"protocol_whitelist": "none", "enable_drefs": "0"}
_EBML, _MATROSKA_SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


@dataclass(frozen=True)
class Frame:
    """A frame of a video.

    Attributes:
        pixels: uint8 [H, W, 3] in RGB or [H, W, 1] in grey.
        time: seconds from the beginning.
        duration: seconds that it is shown, 0 where the file does not say.
    """

    pixels: NDArray[np.uint8]
    time: Fraction
    duration: Fraction


@dataclass(frozen=True)
class Colours:
    """FFmpeg's numbers for how YUV becomes RGB, and what that RGB means."""

    colorspace: int
    primaries: int
    transfer: int


def open_container(stream: BinaryIO, path: Path) -> InputContainer:
    """Open a video to read; raises ImageFileError where it is none."""
    try:
        # As a stream, so that no name has to be UTF-8; titles may be in any encoding.
        return av.open(stream, "r", container_options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _no_video(path) from error


class VideoReader:
    """Decodes a video.

    Attributes:
        fps: frames per second on average; None where the file does not say.
        frame_count: frames that the header promises, often an estimate, 0 where it does not say.
        time_base: what times are counted in, seconds.
        size: (H, W) of the frames, after turning.
        pixel_aspect: width of a pixel through its height, likewise.
        colours: what the frames are in.
        is_damaged: whether something could not be read so far, or the file is shorter than it says itself.
    """

    def __init__(self, path: Path) -> None:
        """Raises ImageFileError where the file is no video, or not a single frame can be decoded."""
        self._path = path
        self._stream = open_input(path)
        self._container = open_container(self._stream, path)
        video = self._container.streams.best("video")
        if not isinstance(video, VideoStream) or not video.time_base:
            raise _no_video(path)
        self._video = video
        video.thread_type = "AUTO"
        self.is_damaged = _is_shorter_than_it_says(path)
        self.time_base = video.time_base
        self.fps = video.average_rate or video.guessed_rate or None
        self.frame_count = video.frames or round((self._container.duration or 0) / av.time_base * (self.fps or 0))
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise ImageFileError(f"video {path} holds no frame that can be decoded; convert it to an MP4")
        self._first = first
        aspect, is_turned = video.sample_aspect_ratio or Fraction(1), round(first.rotation / 90) % 2
        self.pixel_aspect = 1 / aspect if is_turned else aspect
        self.size = (first.width, first.height) if is_turned else (first.height, first.width)
        self.colours = Colours(first.colorspace, first.color_primaries, first.color_trc)

    def frames(self, input_nc: int) -> Iterator[Frame]:
        """Every frame, turned upright.

        Raises:
            ImageFileError: their size changes, or FFmpeg does not convert their colours.
        """
        size = (self._first.height, self._first.width)
        step = 1 / (self.fps or USUAL_FPS)
        start = Fraction(self._container.start_time or 0, av.time_base)
        last = -step
        for frame in self._all():
            if (frame.height, frame.width) != size:
                raise ImageFileError(
                    f"video {self._path} changes from {size[1]}×{size[0]} to {frame.width}×{frame.height} pixels; cut "
                    "it there and translate the parts"
                )
            time = last + step if frame.pts is None else frame.pts * self.time_base - start
            last = time if time > last else last + step  # what runs backwards cannot be written
            yield Frame(self._pixels(frame, input_nc), last, (frame.duration or 0) * self.time_base)

    def _pixels(self, frame: VideoFrame, input_nc: int) -> NDArray[np.uint8]:
        try:
            return _pixels(frame, input_nc)
        except av.FFmpegError as error:
            raise ImageFileError(
                f"video {self._path} has colours that FFmpeg does not convert (space {frame.colorspace}: {error}); "
                "convert it to BT.709"
            ) from error

    def _all(self) -> Iterator[VideoFrame]:
        yield self._first
        yield from self._decoded

    def _decode(self) -> Iterator[VideoFrame]:
        """What can be decoded, past what cannot."""
        packets = self._container.demux(self._video)
        while (packet := self._next(packets)) is not None:
            self.is_damaged |= packet.is_corrupt
            try:
                yield from packet.decode()
            except av.FFmpegError:
                self.is_damaged = True

    def _next(self, packets: "Iterator[Packet[VideoStream]]") -> "Packet[VideoStream] | None":
        try:
            return next(packets, None)
        except (av.FFmpegError, OSError):
            self.is_damaged = True
            return None

    def close(self) -> None:
        self._container.close()
        self._stream.close()


class SoundReader:
    """The sound of a video as it is stored, read beside its frames.

    Attributes:
        streams: its tracks.
    """

    def __init__(self, path: Path) -> None:
        self._stream = open_input(path)
        self._container = open_container(self._stream, path)
        self.streams: tuple[AudioStream, ...] = self._container.streams.audio

    def packets(self, streams: list[AudioStream]) -> "Iterator[tuple[Fraction, Packet[Stream]]]":
        """The packets of some of `streams` in order, with the seconds from the beginning at which they start; what is
        damaged is left out.
        """
        packets = self._container.demux(*streams)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError):
                return
            if packet is None:
                return
            if packet.dts is None or packet.is_corrupt:
                continue
            start = round(Fraction(self._container.start_time or 0, av.time_base) / packet.time_base)
            packet.dts -= start
            packet.pts = None if packet.pts is None else packet.pts - start
            yield packet.dts * packet.time_base, packet

    def close(self) -> None:
        self._container.close()
        self._stream.close()


def pixel_aspect(path: Path) -> Fraction:
    """Width of a pixel of a video through its height, as the file says."""
    with open_input(path) as stream, open_container(stream, path) as container:
        return container.streams.video[0].sample_aspect_ratio or Fraction(1)


def _no_video(path: Path) -> ImageFileError:
    return ImageFileError(
        f"video {path} is corrupt, empty, without frames, or of a kind that FFmpeg does not read; convert it to an MP4"
    )


def _pixels(frame: VideoFrame, input_nc: int) -> NDArray[np.uint8]:
    pixels = np.asarray(frame.to_ndarray(format="rgb24" if input_nc == len("RGB") else "gray"), np.uint8)
    pixels = pixels if pixels.ndim == len("HWC") else pixels[..., None]
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _is_shorter_than_it_says(path: Path) -> bool:
    """For AVI and Matroska, which begin with their length; FFmpeg just stops where such a file was cut off."""
    with open_input(path) as stream:
        head = stream.read(1024)
        length = stream.seek(0, 2)
    if head[:4] == b"RIFF" and len(head) >= 8:
        return 8 + int(struct.unpack("<I", head[4:8])[0]) > length
    position = head.find(_MATROSKA_SEGMENT)
    if head[:4] != _EBML or position < 0 or position + 12 > len(head):
        return False
    start = position + len(_MATROSKA_SEGMENT)
    size_bytes = 9 - head[start].bit_length()  # the first byte's leading zeros say how many follow
    size = int.from_bytes(head[start : start + size_bytes], "big") & ((1 << 7 * size_bytes) - 1)
    is_known = size != (1 << 7 * size_bytes) - 1
    return is_known and start + size_bytes + size > length
