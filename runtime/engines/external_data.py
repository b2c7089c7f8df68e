"""Refuses an ONNX file whose tensors lie in other files: an engine is one file, and a foreign one names no others.

Every tensor is visited, wherever a graph may hold one; their contents are skipped. See onnx.proto.
"""

from runtime.engines.onnx_metadata import walk
from runtime.engines.protobuf import BYTES, ProtobufError, ProtobufReader
from runtime.engines.source import EngineSource

# Message → field → the message that it holds, as far as there are tensors in it.
_HOLDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of TensorProto
_MAX_DEPTH = 32


def require_one_file(engine: EngineSource) -> None:
    """Raise EngineFormatError where a tensor of the engine lies in another file."""
    walk(engine, lambda reader: _visit(reader, "model", 0, reader.size, 0))


def _visit(reader: ProtobufReader, message: str, start: int, end: int, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ProtobufError(f"its graphs are nested more than {_MAX_DEPTH} deep")
    holds = _HOLDS[message]
    for field, wire, at, length in reader.fields(start, end):
        inner = holds.get(field)
        if inner is None or wire != BYTES:
            continue
        if inner == "tensor":
            _require_data(reader, at, at + length)
        else:
            _visit(reader, inner, at, at + length, depth + 1)


def _require_data(reader: ProtobufReader, start: int, end: int) -> None:
    for field, wire, at, length in reader.fields(start, end):
        if field == _EXTERNAL_DATA or (field == _DATA_LOCATION and wire != BYTES and reader.number(at, length)):
            raise ProtobufError("a tensor lies in another file, but an engine is one file")
