"""The commands of `python -m runtime`, one module each."""

from pathlib import Path

ASSETS = Path(__file__).resolve().parents[1] / "assets"
