"""Memory that is used up, as Python's own error."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_WORDS = ("out of memory", "can't allocate memory", "not enough memory")


@contextmanager
def memory_errors(advice: str) -> Iterator[None]:
    """Raise MemoryError, with `advice`, where torch finds no memory on any device."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if not isinstance(error, torch.OutOfMemoryError) and not any(word in text for word in _WORDS):
            raise
        raise MemoryError(f"{text.strip().splitlines()[0]} {advice}") from error
