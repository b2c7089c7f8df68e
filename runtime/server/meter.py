"""What is told of every request; a server that keeps figures listens."""

from typing import NamedTuple

STAGES = ("upload", "decode", "queue", "run", "encode")


class Label(NamedTuple):
    """What a request was for; "" where there is no such engine or operation."""

    engine: str = ""
    operation: str = ""


class Meter:
    """Listens to nothing."""

    def took(self, label: Label, stage: str, seconds: float) -> None:
        """A stage of a request ended."""

    def ended(self, label: Label, status: int) -> None:
        """A request was answered, or its client has gone (499)."""
