"""Statuses and truth values that notice whether anybody reads them: an ignored one is a violation."""

import itertools

from tests.runtime.engines.stand_in.world import current

ERRORS = {
    0: "cudaSuccess",
    1: "cudaErrorInvalidValue",
    2: "cudaErrorMemoryAllocation",
    35: "cudaErrorInsufficientDriver",
    100: "cudaErrorNoDevice",
    101: "cudaErrorInvalidDevice",
    400: "cudaErrorInvalidResourceHandle",
    401: "cudaErrorIllegalState",
    600: "cudaErrorNotReady",
    700: "cudaErrorIllegalAddress",
    900: "cudaErrorStreamCaptureUnsupported",
    901: "cudaErrorStreamCaptureInvalidated",
    999: "cudaErrorUnknown",
}
_numbers = itertools.count()


class _Noticed(int):
    def __new__(cls, value, what):
        self = super().__new__(cls, value)
        self.world, self.number = current(), next(_numbers)
        self.world.unread[self.number] = what
        return self

    def _read(self):
        self.world.unread.pop(self.number, None)

    def __int__(self):
        self._read()
        return int.__int__(self)

    def __bool__(self):
        self._read()
        return int.__int__(self) != 0

    def __eq__(self, other):
        self._read()
        return int.__int__(self) == other

    def __ne__(self, other):
        return not self == other

    __hash__ = int.__hash__


class Status(_Noticed):
    """Of a CUDA call."""

    @property
    def name(self):
        return ERRORS[int(self)]


class Truth(_Noticed):
    """Of a TensorRT call."""
