"""Walks a protocol buffer in a file by seeking: bounded in work and memory, whatever the bytes say."""

from collections.abc import Iterator
from typing import BinaryIO

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types of the encoding
MAX_FIELDS = 1_000_000  # of all messages that one reader visits: seconds; an engine has up to some ten thousands


class ProtobufError(ValueError):
    """The bytes are not the protocol buffer they should be."""


class ProtobufReader:
    """A file that holds one message; messages inside it are ranges of the same file.

    Args:
        stream: seekable.
        size: of the file in bytes.
    """

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self.size = size
        self._stream = stream
        self._fields_left = MAX_FIELDS

    def fields(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """(field number, wire type, offset and length of the content) of the message from `start` to `end`.

        Raises:
            ProtobufError: the message is none, or ends early.
        """
        position = start
        while position != end:
            if not self._fields_left:
                raise ProtobufError(f"it has more than {MAX_FIELDS} fields")
            self._fields_left -= 1
            tag, position = self._varint(position, end)
            field, wire = tag >> 3, tag & 7
            if not field:
                raise ProtobufError("field number 0 (another kind of file?)")
            content, length = self._content(position, wire, end)
            position = content + length
            if position > end:
                raise ProtobufError(f"field {field} needs {position - end} bytes beyond the end (truncated?)")
            yield field, wire, content, length

    def number(self, offset: int, length: int) -> int:
        """The whole number, 0 to 2^70, that takes `length` bytes from `offset` on."""
        return self._varint(offset, offset + length)[0]

    def numbers(self, offset: int, length: int) -> list[int]:
        """Likewise, several one after the other."""
        found = []
        position = offset
        while position != offset + length:
            number, position = self._varint(position, offset + length)
            found.append(number)
        return found

    def text(self, offset: int, length: int) -> str:
        """UTF-8."""
        self._stream.seek(offset)
        try:
            return self._stream.read(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ProtobufError(f"an entry is not text ({error.reason})") from error

    def _content(self, position: int, wire: int, end: int) -> tuple[int, int]:
        """Offset and length of a field's content, whose tag ends at `position`."""
        if wire == BYTES:
            length, content = self._varint(position, end)
            return content, length
        if wire == VARINT:
            return position, self._varint(position, end)[1] - position
        if wire in (FIXED32, FIXED64):
            return position, 4 if wire == FIXED32 else 8
        raise ProtobufError(f"wire type {wire} (another kind of file?)")

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        """The number at `position`, and where it ends."""
        self._stream.seek(position)
        value = 0
        for index, byte in enumerate(self._stream.read(min(10, end - position))):
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                return value, position + index + 1
        if end - position < 10:
            raise ProtobufError("it ends inside a number (truncated?)")
        raise ProtobufError("a number is longer than ten bytes (another kind of file?)")
