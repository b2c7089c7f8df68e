"""Encoding of videos with PyAV: frames at their times, the source's sound beside them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from runtime.errors import InputError, OutputError
from runtime.media.video_reader import USUAL_FPS, Frame, SoundReader, VideoReader

CODECS = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".mkv"), "libx264"),
    ".avi": "mjpeg",
    ".webm": "libvpx-vp9",
}
_CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi", ".webm": "webm"}
# Close to what the engine made, rather than small.
_OPTIONS = {
    "libx264": {"crf": "18"},
    "libx265": {"crf": "20", "x265-params": "log-level=none"},
    "libvpx-vp9": {"crf": "24", "deadline": "good", "cpu-used": "4", "row-mt": "1"},
    "mjpeg": {"qmin": "2", "qmax": "3"},
    "mpeg4": {"qmin": "2", "qmax": "4"},
}
_RGB_FORMATS = ("rgb24", "bgr24", "gbrp", "bgr0", "rgb0")
_SMALLEST_SIDE = 16  # where colours have half the resolution
_FINEST = 65535  # MPEG-4 counts no finer
_TICKS = 60000
_BT709, _BT2020 = 1, (9, 10)


def require_target(target: Path, codec: str | None = None) -> str:
    """The encoder for the video `target`: `codec`, or the usual one of its suffix.

    Raises:
        InputError: the suffix is none that is written, or `codec` no encoder of videos that is there.
    """
    usual = CODECS.get(target.suffix.lower())
    if usual is None:
        raise InputError(f"--output {target} is no name of a video; give a file that ends in {', '.join(CODECS)}")
    if codec is None:
        return usual
    try:
        encoder = av.Codec(codec.lower(), "w")
    except ValueError as error:
        raise InputError(
            f"--codec {codec} is no encoder of this FFmpeg; give its name there: libx264, libx265, libsvtav1, "
            "libvpx-vp9, mpeg4, mjpeg, prores_ks, ffv1, …"
        ) from error
    if encoder.type != "video":
        raise InputError(f"--codec {codec} encodes {encoder.type}, expected an encoder of videos such as {usual}")
    return codec.lower()


class _Disk:
    """The file that FFmpeg writes into. Python's errors get lost in there: the first is kept for later."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("wb")
        self._error: OSError | None = None

    def write(self, content: bytes) -> int:
        self._try(lambda: self._stream.write(content))
        return len(content)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._try(lambda: self._stream.seek(offset, whence))
        return self._stream.tell()

    def tell(self) -> int:
        return self._stream.tell()

    def flush(self) -> None:
        """Write what is buffered; raises the first OSError since the file was opened."""
        self._try(self._stream.flush)
        if self._error:
            raise self._error

    def close(self) -> None:
        self._try(self._stream.close)

    def _try(self, work: Callable[[], object]) -> None:
        if self._error is None:
            try:
                work()
            except OSError as error:
                self._error = error


class VideoWriter:
    """Encodes a video; where the encoder halves the resolution of colours, sides are extended to even ones of at least
    16 pixels by repeating the last row and column.

    Attributes:
        size: (H, W) of the frames as they are written.
        frame_count: frames written so far.
        mute_tracks: codecs of the sound that such a file cannot hold.
        is_out_of_step: whether a frame is not at its own time, since the container knows one rate only.
    """

    def __init__(self, path: Path, codec: str, source: VideoReader, sound: SoundReader, shape: tuple[int, ...]) -> None:
        """Raises OutputError where the encoder cannot write such frames into such a file.

        Args:
            path: the file.
            codec: FFmpeg's name of the encoder.
            source: the video whose times, aspect and colours the frames have.
            sound: of that video.
            shape: of the frames, [H, W, C].
        """
        self.frame_count, self.is_out_of_step = 0, False
        self.size = (shape[0], shape[1])
        self._path, self._codec = path, codec
        self._fps = source.fps or USUAL_FPS
        self._is_of_one_rate = path.suffix.lower() == ".avi"
        self._last_pts = -1
        # A stream, so that no name has to be UTF-8.
        self._disk = _Disk(path)
        self._container = av.open(self._disk, "w", format=_CONTAINERS[path.suffix.lower()])
        with self._named_errors():
            video = self._container.add_stream(codec, rate=self._fps, options=_OPTIONS.get(codec, {}))
            assert isinstance(video, VideoStream)
            self._video = video
            self._describe(source)
        self._copies = {}
        self.mute_tracks: list[str] = []
        for track in sound.streams:
            try:
                self._copies[track.index] = self._container.add_stream_from_template(track)
            except (ValueError, av.FFmpegError):
                has_decoder = track.codec_context is not None  # the annotations do not know of those without
                self.mute_tracks.append(track.codec_context.name if has_decoder else "of an unknown codec")
        kept = [track for track in sound.streams if track.index in self._copies]
        self._sound = sound.packets(kept) if kept else iter(())
        self._next_sound = next(self._sound, None)

    def _describe(self, source: VideoReader) -> None:
        """Tell the encoder what frames it will get."""
        video, context = self._video, self._video.codec_context
        offered = [form.name for form in video.codec.video_formats or ()]
        is_lossless = video.codec.lossless and not video.codec.lossy
        wanted = [*_RGB_FORMATS] if is_lossless else ["yuvj420p" if self._codec == "mjpeg" else "yuv420p"]
        pixels = next((form for form in wanted if form in offered), offered[0] if offered else "yuv420p")
        if av.VideoFormat(pixels, 2, 2).chroma_width() == 1:
            self.size = (_encodable(self.size[0]), _encodable(self.size[1]))
        video.pix_fmt = pixels
        video.height, video.width = self.size
        is_fine = source.time_base.denominator > _FINEST
        self._tick = 1 / self._fps if self._is_of_one_rate else Fraction(1, _TICKS) if is_fine else source.time_base
        context.time_base = self._tick
        context.sample_aspect_ratio = source.pixel_aspect
        self._matrix = "ITU601"
        if pixels.startswith("yuv"):
            is_709 = source.colours.colorspace in (_BT709, *_BT2020)
            self._matrix = "ITU709" if is_709 else "ITU601"
            context.colorspace = _BT709 if is_709 else source.colours.colorspace
            context.color_primaries, context.color_trc = source.colours.primaries, source.colours.transfer

    def write(self, frame: Frame) -> None:
        """Append a frame, and the sound up to it; raises OutputError where FFmpeg cannot, OSError where the disk
        cannot.
        """
        below, right = self.size[0] - frame.pixels.shape[0], self.size[1] - frame.pixels.shape[1]
        pixels = np.pad(frame.pixels, [(0, below), (0, right), (0, 0)], mode="edge") if below or right else frame.pixels
        is_grey = pixels.shape[2] == 1
        with self._named_errors():
            image = av.VideoFrame.from_ndarray(pixels[..., 0] if is_grey else pixels, "gray" if is_grey else "rgb24")
            image = image.reformat(format=self._video.pix_fmt, dst_colorspace=self._matrix)
            image.time_base, image.pts = self._tick, self._pts_of(frame)
            image.duration = 1 if self._is_of_one_rate else round(frame.duration / self._tick)
            self._container.mux(self._video.encode(image))
            self._copy_sound(frame.time)
        self._disk.flush()
        self.frame_count += 1

    def _pts_of(self, frame: Frame) -> int:
        own = round(frame.time / self._tick)
        pts = self.frame_count if self._is_of_one_rate else max(own, self._last_pts + 1)
        self.is_out_of_step |= abs(pts - own) > 1
        self._last_pts = pts
        return pts

    def _copy_sound(self, until: Fraction | None = None) -> None:
        while self._next_sound is not None and (until is None or self._next_sound[0] <= until):
            _, packet = self._next_sound
            packet.stream = self._copies[packet.stream.index]
            self._container.mux(packet)
            self._next_sound = next(self._sound, None)

    def finish(self) -> None:
        """Write what is left; errors as of `write`."""
        with self._named_errors():
            self._container.mux(self._video.encode(None))
            self._copy_sound()
            self._container.close()
        self._disk.flush()

    def close(self) -> None:
        """Let go of the file, whole or not."""
        with suppress(av.FFmpegError, ValueError):
            self._container.close()
        self._disk.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, ValueError) as error:
            raise OutputError(
                f"FFmpeg cannot write {self._codec} to {self._path.suffix} at {self.size[1]}×{self.size[0]}, "
                f"{float(self._fps):g} frames/s ({error}); try another --codec, file type or size"
            ) from error


def _encodable(side: int) -> int:
    return max(side + side % 2, _SMALLEST_SIDE)
