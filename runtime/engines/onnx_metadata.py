"""Reads the metadata of an ONNX file without its weights: milliseconds and kilobytes, however large the engine.

An ONNX file is a protocol buffer. Only its outermost fields are visited; the graph, which holds the weights, is skipped
with one seek. See ModelProto and StringStringEntryProto in onnx.proto.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from runtime.engines.protobuf import BYTES, VARINT, ProtobufError, ProtobufReader
from runtime.engines.source import EngineSource
from runtime.engines.spec import SPEC_KEY, EngineSpec, parse_spec
from runtime.errors import EngineFormatError

# Fields of ModelProto, and the two of a metadata entry.
_IR_VERSION, GRAPH, _METADATA_PROPS = 1, 7, 14
_KEY, _VALUE = 1, 2

MAX_METADATA_BYTES = 64 * 2**20  # a style bank of 256 classes is below 1 MB; more than this is an attack

Found = TypeVar("Found")


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
    return walk(engine, _metadata)


def walk(engine: str | Path | EngineSource, find: Callable[[ProtobufReader], Found]) -> Found:
    """What `find` finds in an engine's bytes; errors as in `read_metadata`."""
    source = EngineSource.of(engine)
    try:
        with source.open() as stream:
            return find(ProtobufReader(stream, source.size))
    except ProtobufError as error:
        raise EngineFormatError(f"engine {source} is no whole ONNX file: {error}; copy or export it again") from error
    except OSError as error:
        raise EngineFormatError(f"engine {source} cannot be read: {error.strerror or error}") from error


def _metadata(reader: ProtobufReader) -> dict[str, str]:
    metadata: dict[str, str] = {}
    seen = set()
    budget = MAX_METADATA_BYTES
    for field, wire, content, length in reader.fields(0, reader.size):
        seen.add((field, wire))
        if (field, wire) != (_METADATA_PROPS, BYTES):
            continue
        budget -= length
        if budget < 0:
            raise ProtobufError(f"its metadata is larger than {MAX_METADATA_BYTES >> 20} MiB")
        key, value = _entry(reader, content, content + length)
        metadata[key] = value
    if (_IR_VERSION, VARINT) not in seen or (GRAPH, BYTES) not in seen:
        raise ProtobufError(
            "it has no ONNX version or no graph (another kind of file?)" if reader.size else "it is empty"
        )
    return metadata


def _entry(reader: ProtobufReader, start: int, end: int) -> tuple[str, str]:
    """Key and value of the metadata entry from `start` to `end`."""
    texts = {_KEY: "", _VALUE: ""}
    for field, wire, content, length in reader.fields(start, end):
        if field in texts and wire == BYTES:
            texts[field] = reader.text(content, length)
    return texts[_KEY], texts[_VALUE]
