"""Skipped where the studio's extra is not installed, as with the oldest versions; the whole suite has it."""

import pytest

pytest.importorskip("websockets", reason="the extra studio is not installed; the whole suite has it")
pytest.importorskip("starlette", reason="the extra studio is not installed; the whole suite has it")
