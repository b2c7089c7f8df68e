"""Where an engine's bytes lie: in a file, or in memory."""

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runtime.engines.names import engine_path, hint_of
from runtime.errors import EngineFormatError, InputError, MissingFileError
from runtime.files import is_there, require_file


@dataclass(frozen=True)
class EngineSource:
    """The bytes of an engine.

    Attributes:
        path: the file, None where the bytes are in memory.
        data: the bytes, None where they are in a file.
    """

    path: Path | None = None
    data: bytes | None = None

    @classmethod
    def of(cls, engine: object) -> "EngineSource":
        """What a caller calls an engine: a path, a name of `runtime.engines.names`, or the bytes of an .onnx file.

        Raises:
            MissingFileError: nothing is there, or a directory is; no engine has this name.
            InputError: something else was given.
        """
        if isinstance(engine, EngineSource):
            return engine
        if isinstance(engine, bytes | bytearray | memoryview):
            return cls(data=bytes(engine))
        if isinstance(engine, str | os.PathLike):
            return cls(path=_require_engine(engine_path(engine)))
        raise InputError(f"engine is a {type(engine).__name__}, expected a path, a name, or the bytes of an .onnx file")

    def __str__(self) -> str:
        """As messages name it."""
        return f"of {len(self.data)} bytes in memory" if self.data is not None else str(self.path)

    @property
    def suffix(self) -> str:
        """Of the file; bytes in memory are ONNX."""
        return self.path.suffix.lower() if self.path else ".onnx"

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data) if self.data is not None else self._path.stat().st_size

    def open(self) -> BinaryIO:
        """A stream of the bytes; raises EngineFormatError where the file cannot be read."""
        if self.data is not None:
            return io.BytesIO(self.data)
        try:
            return self._path.open("rb")
        except OSError as error:
            raise EngineFormatError(f"engine {self} cannot be read: {error.strerror or error}") from error

    @property
    def _path(self) -> Path:
        assert self.path  # one of the two is there
        return self.path

    def absolute(self) -> "EngineSource":
        """The same, for a process that works in another folder."""
        return EngineSource(self.path.absolute() if self.path else None, self.data)


def _require_engine(path: Path) -> Path:
    try:
        return require_file(path, "engine")
    except MissingFileError as error:
        if is_there(path):
            raise
        raise MissingFileError(f"{error}{hint_of(path)}") from None
