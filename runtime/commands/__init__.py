"""The commands of `python -m runtime`, one module each."""

from runtime.engines.names import ASSETS

__all__ = ["ASSETS"]
