"""Where an engine's weights lie in its file, so that they are read, or mapped into memory, without an ONNX library.

See GraphProto and TensorProto in onnx.proto.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.onnx_metadata import GRAPH, walk
from runtime.engines.protobuf import BYTES, VARINT, ProtobufError, ProtobufReader
from runtime.engines.source import EngineSource
from runtime.errors import EngineFormatError

_INITIALIZER = 5  # of GraphProto
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 8, 9, 13, 14  # of TensorProto
_FLOAT = 1  # data type
_MAX_AXES = 8
_MAX_ELEMENTS = 2**31


@dataclass(frozen=True)
class Initializer:
    """A float32 constant of the graph, little-endian in the engine's bytes.

    Attributes:
        name: of the initializer.
        offset: of its first byte in the file; a multiple of nothing.
        dims: sizes, all at least 1.
    """

    name: str
    offset: int
    dims: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """How many bytes of the file it takes."""
        return 4 * math.prod(self.dims)

    def read(self, file: Any) -> NDArray[np.float32]:
        """Its values, a read-only view of `file`, the engine's bytes in any buffer."""
        return np.frombuffer(file, "<f4", math.prod(self.dims), self.offset).reshape(self.dims)


def find_initializers(engine: str | Path | EngineSource, names: Collection[str]) -> dict[str, Initializer]:
    """Find the float32 initializers `names` in an engine; nothing of them is read.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        EngineFormatError: truncated or tampered with; one is missing, of another type, twice there, or outside of the
            file.
    """
    source = EngineSource.of(engine)
    found = walk(source, lambda reader: _initializers(reader, set(names)))
    missing = sorted(set(names) - found.keys())
    if missing:
        raise EngineFormatError(
            f"engine {source} was tampered with: its program names {missing[0]!r}, which is none of the graph's "
            "initializers; export it again"
        )
    return found


def _initializers(reader: ProtobufReader, names: set[str]) -> dict[str, Initializer]:
    graphs = [
        (at, length) for field, wire, at, length in reader.fields(0, reader.size) if (field, wire) == (GRAPH, BYTES)
    ]
    if len(graphs) != 1:
        raise ProtobufError(f"it has {len(graphs)} graphs, expected one")
    ((start, length),) = graphs
    found: dict[str, Initializer] = {}
    for field, wire, at, size in reader.fields(start, start + length):
        if (field, wire) != (_INITIALIZER, BYTES):
            continue
        tensor = _Tensor(reader, at, size)
        if tensor.name in found:
            raise ProtobufError(f"it has two initializers {tensor.name[:100]!r}")
        if tensor.name in names:
            found[tensor.name] = tensor.located()
    return found


class _Tensor:
    """What a TensorProto says of itself."""

    def __init__(self, reader: ProtobufReader, start: int, size: int) -> None:
        self.name = ""
        self._dims: list[int] = []
        self._data_type = 0
        self._raw: tuple[int, int] | None = None
        for field, wire, at, length in reader.fields(start, start + size):
            self._take(reader, field, wire, at, length)

    def _take(self, reader: ProtobufReader, field: int, wire: int, at: int, length: int) -> None:
        if field == _DIMS and wire in (VARINT, BYTES):
            self._dims += reader.numbers(at, length)
        elif (field, wire) == (_DATA_TYPE, VARINT):
            self._data_type = reader.number(at, length)
        elif (field, wire) == (_NAME, BYTES):
            self.name = reader.text(at, length)
        elif (field, wire) == (_RAW_DATA, BYTES):
            self._raw = at, length
        elif field == _EXTERNAL_DATA or ((field, wire) == (_DATA_LOCATION, VARINT) and reader.number(at, length)):
            raise ProtobufError("weights lie in another file, but an engine is one file")

    def located(self) -> Initializer:
        """The initializer, if its raw data are float32 and as many as its sizes say."""
        name = repr(self.name[:100])
        if self._data_type != _FLOAT or self._raw is None:
            raise ProtobufError(f"initializer {name} is not raw float32 data")
        if len(self._dims) > _MAX_AXES or not all(0 < axis <= _MAX_ELEMENTS for axis in self._dims):
            raise ProtobufError(f"initializer {name} has impossible sizes")
        elements = math.prod(self._dims)
        offset, length = self._raw
        if length != 4 * elements or elements > _MAX_ELEMENTS:
            raise ProtobufError(f"initializer {name} of {self._dims} has {length} bytes")
        return Initializer(self.name, offset, tuple(self._dims))
