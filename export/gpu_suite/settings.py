"""What every stage of the suite is told."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from export.errors import ExportError


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        device: "cuda"; or "cpu" for a dry run, which shows that every stage works and says nothing of speed.
        folder: where the stages find what `networks` makes.
        is_small: images and networks of a dry run.
        seconds: of each measurement.
    """

    device: str
    folder: str
    is_small: bool = False
    seconds: float = 0.7

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        return cls(**json.loads(text))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of pix2pixHD's images."""
        return (64, 128) if self.is_small else (1024, 2048)

    def path(self, name: str) -> Path:
        """Of a file that `networks` makes."""
        return Path(self.folder) / name

    def wait_for(self, name: str, seconds: float = 240) -> Path:
        """The same, once it is there.

        Raises:
            ExportError: it is not made.
        """
        path, end = self.path(name), time.monotonic() + seconds
        while not path.is_file():
            if self.path("networks.end").is_file() or time.monotonic() > end:
                raise ExportError(f"{name} was not made; see the stage 'networks'")
            time.sleep(0.2)
        return path
