"""Videos through a translator: decoding, translation and encoding overlap."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from runtime.errors import InputError
from runtime.files import atomic_path
from runtime.media.pipeline import run_pipeline
from runtime.media.video_reader import USUAL_FPS, Frame, SoundReader, VideoReader, pixel_aspect
from runtime.media.video_writer import VideoWriter, require_target
from runtime.runners.translator import Translator

Notify = Callable[[str], None]


def translate_video(
    source: Path,
    target: Path,
    translator: Translator,
    *,
    seed: int | None = None,
    codec: str | None = None,
    notify: Notify = lambda sentence: None,
    started: Callable[[int], None] = lambda frame_count: None,
    progress: Callable[[], None] = lambda: None,
) -> int:
    """Translate every frame of a video into another: same times, pixel aspect and sound.

    Args:
        source: the video.
        target: the new one; see `require_target`.
        translator: of one or three channels in and out.
        seed: of every frame, so that what is random does not flicker.
        codec: encoder as FFmpeg names it; None for the usual one of the suffix.
        notify: called with a sentence for what the user should know.
        started: called with the number of frames that the header promises, 0 where it does not.
        progress: called after each frame.

    Returns:
        The number of frames.

    Raises:
        ImageFileError: the source is no video, or not a frame of it can be decoded.
        InputError: the frames do not fit the engine, or the engine's channels no video.
        OutputError: the codec is not there, or the result cannot be written; nothing is left under its name.
        DeviceError: the device fails.
    """
    if not {translator.input_nc, translator.output_nc} <= {1, 3}:
        raise InputError(
            f"this engine turns {translator.input_nc} channels into {translator.output_nc}; a video has 1 or 3: give "
            ".npy files"
        )
    codec = require_target(target, codec)
    reader, sound = VideoReader(source), SoundReader(source)
    try:
        if reader.fps is None:
            notify(f"{source} does not say its frame rate; {float(USUAL_FPS):g} frames/s are written")
        started(reader.frame_count)
        with atomic_path(target) as temporary:
            writer = _translate_frames(reader, sound, temporary, translator, seed, codec, progress)
            _tell(writer, reader, source, target, pixel_aspect(temporary), notify)
    finally:
        reader.close()
        sound.close()
    return writer.frame_count


def _translate_frames(
    reader: VideoReader,
    sound: SoundReader,
    temporary: Path,
    translator: Translator,
    seed: int | None,
    codec: str,
    progress: Callable[[], None],
) -> VideoWriter:
    writers: list[VideoWriter] = []

    def translated(frame: Frame) -> Frame:
        return replace(frame, pixels=translator.run(frame.pixels, seed=seed))

    def write(frame: Frame) -> None:
        if not writers:
            writers.append(VideoWriter(temporary, codec, reader, sound, frame.pixels.shape))
        writers[0].write(frame)
        progress()

    try:
        run_pipeline(reader.frames(translator.input_nc), translated, write)
        writers[0].finish()
    finally:
        for writer in writers:
            writer.close()
    return writers[0]


def _tell(
    writer: VideoWriter, reader: VideoReader, source: Path, target: Path, aspect: Fraction, notify: Notify
) -> None:
    """What of the source is not in the result."""
    if writer.size != reader.size:
        notify(
            f"this encoder wants even sides of at least 16: {reader.size[1]}×{reader.size[0]} is written as "
            f"{writer.size[1]}×{writer.size[0]}, the last row and column repeated"
        )
    if writer.is_out_of_step:
        notify(
            f"the frame rate of {source} varies, an {target.suffix} has only one: its average of "
            f"{float(reader.fps or USUAL_FPS):.6g} frames/s is written"
        )
    if writer.mute_tracks:
        notify(f"an {target.suffix} cannot hold this sound ({', '.join(writer.mute_tracks)}); an .mkv can")
    if aspect != reader.pixel_aspect:
        notify(
            f"the pixels of {source} are {reader.pixel_aspect.numerator}:{reader.pixel_aspect.denominator}, which this "
            "file cannot say; write an .mp4, or show it so"
        )
    if reader.is_damaged:
        notify(f"{source} is cut off or damaged: {writer.frame_count} frames could be decoded")
