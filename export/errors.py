"""What export raises beside the errors of the runtime, and of training where it reads a checkpoint."""

from runtime.errors import Pix2rtError


class ExportError(Pix2rtError, ValueError):
    """A checkpoint cannot become an engine of the requested form."""


class ParityError(ExportError):
    """The exported engine does not reproduce the checkpoint, so it was not written."""


class NoProgramError(ExportError):
    """A graph computes what the layers of a program cannot."""
