"""Videos through a translator, with OpenCV: decoding, translation and encoding overlap. The only module with cv2."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DeviceError, ImageFileError, InputError, OutputError
from runtime.files import atomic_path
from runtime.media.pipeline import run_pipeline
from runtime.runners.translator import Translator

# Read by OpenCV when it is loaded: what goes wrong becomes an error of ours, and no stream fetches another one.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file")

try:
    import cv2
except ImportError as error:
    raise DeviceError('videos need OpenCV, which is not installed: pip install "pix2rt[video]"') from error

CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
_USUAL_FPS = 25.0
_SMALLEST_SIDE = 16  # OpenCV's encoders overrun their memory on some narrower frames


class VideoReader:
    """Decodes a video.

    Attributes:
        fps: frames per second; None where the file does not say.
        frame_count: frames that the file's header promises, 0 where it does not say.
    """

    def __init__(self, path: Path) -> None:
        """Raises ImageFileError where the file is no video."""
        self._path = path
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise ImageFileError(
                f"video {path} is corrupt, empty, without frames, or in a format that this OpenCV does not read; "
                "convert it to an MP4"
            )
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and fps > 0 else None
        frame_count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.frame_count = int(frame_count) if math.isfinite(frame_count) and frame_count > 0 else 0

    def frames(self, input_nc: int) -> Iterator[NDArray[np.uint8]]:
        """Every frame, turned upright, as uint8 [H, W, 3] in RGB or [H, W, 1] in grey.

        Raises:
            ImageFileError: not a single frame can be decoded, or their size changes.
        """
        code = cv2.COLOR_BGR2RGB if input_nc == 3 else cv2.COLOR_BGR2GRAY
        size: tuple[int, int] | None = None
        while (frame := self._next()) is not None:
            size = size or (frame.shape[0], frame.shape[1])
            if frame.shape[:2] != size:
                raise ImageFileError(
                    f"video {self._path} changes from {size[1]}×{size[0]} to {frame.shape[1]}×{frame.shape[0]} pixels; "
                    "cut it there and translate the parts"
                )
            pixels = np.asarray(cv2.cvtColor(frame, code), np.uint8)
            yield pixels if pixels.ndim == 3 else pixels[..., None]
        if size is None:
            raise ImageFileError(f"video {self._path} holds no frame that can be decoded; convert it to an MP4")

    def _next(self) -> NDArray[np.uint8] | None:
        try:
            there, frame = self._capture.read()
        except cv2.error as error:
            raise ImageFileError(f"video {self._path} cannot be decoded ({error.err}); convert it to an MP4") from error
        return np.asarray(frame, np.uint8) if there else None

    def count_frames(self) -> int:
        """How many frames can be decoded from here to the end, whatever the header promises."""
        count = 0
        while self._capture.grab():
            count += 1
        return count

    def close(self) -> None:
        self._capture.release()


class VideoWriter:
    """Encodes a video; sides are extended to even ones of at least 16 pixels by repeating the last row and column.

    Attributes:
        size: (H, W) of the frames as they are written.
    """

    def __init__(self, path: Path, codec: str, fps: float, size: tuple[int, int]) -> None:
        """Raises OutputError where this OpenCV cannot write such a file."""
        self.size = (_encodable(size[0]), _encodable(size[1]))
        self._path = path
        with _silent_stderr():
            self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, self.size[::-1])
        if not self._writer.isOpened():
            raise OutputError(
                f"this OpenCV cannot write codec {codec} to {path.suffix} at {self.size[1]}×{self.size[0]}, {fps:g} "
                "frames/s; try --codec MJPG into an .avi, or another size"
            )

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append a frame, uint8 [H, W, 3] in RGB or [H, W, 1] in grey; raises OutputError where OpenCV cannot."""
        code = cv2.COLOR_RGB2BGR if frame.shape[2] == 3 else cv2.COLOR_GRAY2BGR
        below, right = self.size[0] - frame.shape[0], self.size[1] - frame.shape[1]
        try:
            pixels = cv2.cvtColor(frame, code)
            if below or right:
                pixels = cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_REPLICATE)
            self._writer.write(pixels)
        except cv2.error as error:
            raise OutputError(f"cannot write {self._path}: {error.err}") from error

    def close(self) -> None:
        self._writer.release()


def translate_video(
    source: Path,
    target: Path,
    translator: Translator,
    *,
    seed: int | None = None,
    codec: str | None = None,
    notify: Callable[[str], None] = lambda sentence: None,
    started: Callable[[int], None] = lambda frame_count: None,
    progress: Callable[[], None] = lambda: None,
) -> int:
    """Translate every frame of a video into another of the same frame rate; sound is not carried over.

    Args:
        source: the video.
        target: the new one; see `require_target`.
        translator: of one or three channels in and out.
        seed: of every frame, so that what is random does not flicker.
        codec: four letters as FFmpeg knows them; None for the usual one of the suffix.
        notify: called with a sentence for what the user should know.
        started: called with the number of frames that the header promises, 0 where it does not.
        progress: called after each frame.

    Returns:
        The number of frames.

    Raises:
        ImageFileError: the source is no video, or damaged.
        InputError: the frames do not fit the engine, or the engine's channels no video.
        OutputError: the codec is not there, or the result cannot be written; nothing is left under its name.
        DeviceError: the device fails.
    """
    if not {translator.input_nc, translator.output_nc} <= {1, 3}:
        raise InputError(
            f"this engine turns {translator.input_nc} channels into {translator.output_nc}; a video has 1 or 3: give "
            ".npy files"
        )
    codec = codec or require_target(target)
    reader = VideoReader(source)
    try:
        if reader.fps is None:
            notify(f"{source} does not say its frame rate; {_USUAL_FPS:g} frames/s are written")
        started(reader.frame_count)
        with atomic_path(target) as temporary:
            frame_count = _translate_frames(reader, temporary, translator, seed, codec, notify, progress)
            _require_whole(temporary, target, frame_count)
    finally:
        reader.close()
    if frame_count < reader.frame_count:
        notify(
            f"{source} is cut off or damaged: {frame_count} frames could be decoded of the {reader.frame_count} that "
            "its header promises"
        )
    return frame_count


def require_target(target: Path) -> str:
    """The usual codec of the video `target`; raises InputError where its suffix is none that is written."""
    codec = CODECS.get(target.suffix.lower())
    if codec is None:
        raise InputError(f"--output {target} is no name of a video; give a file that ends in {', '.join(CODECS)}")
    return codec


def _translate_frames(
    reader: VideoReader,
    temporary: Path,
    translator: Translator,
    seed: int | None,
    codec: str,
    notify: Callable[[str], None],
    progress: Callable[[], None],
) -> int:
    writer: VideoWriter | None = None
    frame_count = 0

    def write(frame: NDArray[np.uint8]) -> None:
        nonlocal writer, frame_count
        height, width = frame.shape[:2]
        if writer is None:
            writer = VideoWriter(temporary, codec, reader.fps or _USUAL_FPS, (height, width))
            if writer.size != (height, width):
                notify(
                    f"encoders want even sides of at least {_SMALLEST_SIDE}: {width}×{height} is written as "
                    f"{writer.size[1]}×{writer.size[0]}, the last row and column repeated"
                )
        writer.write(frame)
        frame_count += 1
        progress()

    try:
        run_pipeline(reader.frames(translator.input_nc), lambda frame: translator.run(frame, seed=seed), write)
    finally:
        if writer:
            writer.close()
    return frame_count


def _require_whole(temporary: Path, target: Path, frame_count: int) -> None:
    """OpenCV does not tell when writing fails, and the header then still promises all frames: they are counted."""
    try:
        written = VideoReader(temporary)
    except ImageFileError as error:
        raise OutputError(f"cannot write {target}: its file ended up unreadable; is the disk full?") from error
    stored = written.count_frames()
    written.close()
    if stored != frame_count:
        raise OutputError(f"cannot write {target}: {stored} of {frame_count} frames were stored; is the disk full?")


def _encodable(side: int) -> int:
    return max(side + side % 2, _SMALLEST_SIDE)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """OpenCV prints what it thinks of codecs past Python; what matters of it becomes an error."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123  a device, not a path
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
