"""Reads the metadata of an ONNX file without its weights: milliseconds and kilobytes, however large the engine.

An ONNX file is a protocol buffer. Only its outermost fields are visited; the graph, which holds the weights, is skipped
with one seek. See ModelProto and StringStringEntryProto in onnx.proto.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from runtime.engines.source import EngineSource
from runtime.engines.spec import SPEC_KEY, EngineSpec, parse_spec
from runtime.errors import EngineFormatError

# Fields of ModelProto, and the two of a metadata entry.
_IR_VERSION, _GRAPH, _METADATA_PROPS = 1, 7, 14
_KEY, _VALUE = 1, 2
# Wire types of the encoding.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

MAX_METADATA_BYTES = 64 * 2**20  # a style bank of 256 classes is below 1 MB; more than this is an attack
_MAX_FIELDS = 100_000  # outermost fields; a real file has some dozens


def read_spec(engine: str | Path | EngineSource) -> EngineSpec:
    """The specification inside an engine.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        EngineFormatError: not an ONNX file, truncated, without a specification, or with a damaged or newer one.
    """
    source = EngineSource.of(engine)
    metadata = read_metadata(source)
    if SPEC_KEY not in metadata:
        raise EngineFormatError(
            f"engine {source}: this ONNX has no pix2rt specification (metadata entry {SPEC_KEY!r}); "
            "export it from a checkpoint with `python -m export onnx`"
        )
    return parse_spec(metadata[SPEC_KEY], str(source))


def read_metadata(engine: str | Path | EngineSource) -> dict[str, str]:
    """`metadata_props` of an ONNX file.

    Raises:
        MissingFileError: nothing is there, or a directory is.
        EngineFormatError: not an ONNX file, or truncated.
    """
    source = EngineSource.of(engine)
    try:
        with source.open() as stream:
            return _metadata(stream, source.size)
    except _ProtobufError as error:
        raise EngineFormatError(f"engine {source} is no whole ONNX file: {error}; copy or export it again") from error
    except OSError as error:
        raise EngineFormatError(f"engine {source} cannot be read: {error.strerror or error}") from error


class _ProtobufError(ValueError):
    """The bytes are not the protocol buffer they should be."""


def _metadata(stream: BinaryIO, size: int) -> dict[str, str]:
    metadata: dict[str, str] = {}
    seen = set()
    budget = MAX_METADATA_BYTES
    for field, wire, length in _fields(stream, size):
        seen.add((field, wire))
        if (field, wire) != (_METADATA_PROPS, _BYTES):
            continue
        budget -= length
        if budget < 0:
            raise _ProtobufError(f"its metadata is larger than {MAX_METADATA_BYTES >> 20} MiB")
        key, value = _entry(stream, stream.tell() + length)
        metadata[key] = value
    if (_IR_VERSION, _VARINT) not in seen or (_GRAPH, _BYTES) not in seen:
        raise _ProtobufError(
            "it is empty" if not size else "it has no ONNX version or no graph (another kind of file?)"
        )
    return metadata


def _fields(stream: BinaryIO, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (field number, wire type, content length) up to offset `end`, the stream standing at the content."""
    position = stream.tell()
    for _ in range(_MAX_FIELDS):
        if position == end:
            return
        stream.seek(position)
        tag = _varint(stream, end)
        field, wire = tag >> 3, tag & 7
        length = _content_length(stream, wire, end)
        position = stream.tell() + length
        if not field:
            raise _ProtobufError("field number 0 at its outermost level (another kind of file?)")
        if position > end:
            raise _ProtobufError(f"field {field} needs {position - end} bytes beyond the end (truncated?)")
        yield field, wire, length
    raise _ProtobufError(f"it has more than {_MAX_FIELDS} outermost fields")


def _content_length(stream: BinaryIO, wire: int, end: int) -> int:
    if wire == _BYTES:
        return _varint(stream, end)
    if wire == _VARINT:
        start = stream.tell()
        _varint(stream, end)
        length = stream.tell() - start
        stream.seek(start)
        return length
    if wire in (_FIXED32, _FIXED64):
        return 4 if wire == _FIXED32 else 8
    raise _ProtobufError(f"wire type {wire} (another kind of file?)")


def _varint(stream: BinaryIO, end: int) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1) if stream.tell() < end else b""
        if not byte:
            raise _ProtobufError("it ends inside a number (truncated?)")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise _ProtobufError("a number is longer than ten bytes (another kind of file?)")


def _entry(stream: BinaryIO, end: int) -> tuple[str, str]:
    """Key and value of the metadata entry that ends at offset `end`."""
    texts = {_KEY: "", _VALUE: ""}
    for field, wire, length in _fields(stream, end):
        if field in texts and wire == _BYTES:
            try:
                texts[field] = stream.read(length).decode("utf-8")
            except UnicodeDecodeError as error:
                raise _ProtobufError(f"a metadata entry is not text ({error.reason})") from error
    return texts[_KEY], texts[_VALUE]
