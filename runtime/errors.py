"""The root of the error hierarchy, and the errors of the runtime; training and export have theirs beside them.

Every error also derives from the builtin that fits, so `except ValueError` works as expected. A message names the
tensor or file, what was received, what was expected and what to do next.
"""


class Pix2rtError(Exception):
    """Base of every error that this project raises on purpose.

    Attributes:
        exit_code: of a command that it ends: 2 where the user can mend it, 1 where a run failed.
    """

    exit_code = 2


class InputError(Pix2rtError, ValueError):
    """An array or option of the caller does not fit what the engine takes."""


class StyleError(InputError):
    """A style was asked for that the engine, the class or the label map does not have."""


class MissingFileError(Pix2rtError, FileNotFoundError):
    """A file that the caller named is not there, or is a directory."""


class ImageFileError(Pix2rtError, ValueError):
    """A file is not the image or map it should be: corrupt, a palette picture, a JPEG of labels, …"""


class PictureSizeError(ImageFileError):
    """A picture has more pixels than are read."""


class OutputError(Pix2rtError, OSError):
    """A result cannot be written where the caller wants it."""


class EngineFormatError(Pix2rtError, ValueError):
    """An engine file is truncated, foreign, tampered with or of a newer format."""


class PlanError(Pix2rtError, ValueError):
    """TensorRT cannot build a plan of an engine."""


class SessionError(Pix2rtError, ValueError):
    """An editing session's file is damaged, of a newer format, or of an engine with other classes."""


class UnknownProgramError(EngineFormatError):
    """An engine's program for the native kernels is of a newer format, or has layers that this version lacks."""


class DeviceError(Pix2rtError, RuntimeError):
    """The device, provider or library that the caller named is not available."""


class MissingExtraError(Pix2rtError, ImportError):
    """A library of an extra that was not installed."""


class ClosedError(Pix2rtError, ValueError):
    """A runner or engine was called after its `close`."""
