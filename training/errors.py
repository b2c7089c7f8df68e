"""What training raises beside the errors of the runtime; export raises CheckpointError of files that it reads, too."""

from runtime.errors import Pix2rtError


class CheckpointError(Pix2rtError, ValueError):
    """A checkpoint is truncated, foreign, of a newer format, or does not fit its architecture."""


class DataError(Pix2rtError, ValueError):
    """A training data folder is empty, or its files do not match or cannot be read."""


class TrainingError(Pix2rtError, RuntimeError):
    """Training cannot start or go on: options that make no sense, or contradict the run folder."""


class DivergenceError(TrainingError):
    """Losses are no longer finite."""

    exit_code = 1
