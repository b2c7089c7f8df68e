"""What every test process needs, before it imports anything of ours."""

import gc
import os
import signal

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several of them share the cores: threads of the numerical libraries would only be in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell's background jobs ignore Ctrl-C, those of nohup SIGHUP, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Files of few but long tests come first: the last one would run while all other processes wait.
LONG = (
    "test_cluster.py",
    "test_sanitizers.py",
    "test_onnx_from_checkpoint.py",
    "test_program.py",
    "test_studio_browser.py",
    "test_ray_serve.py",
    "test_inpainting.py",
    "test_pix2pix.py",
    "test_engine_from_onnx.py",
    "test_loop.py",
    "test_recipes.py",
    "test_one_name.py",
    "test_readme.py",
    "test_faults.py",
    "test_editor_sequences.py",
)


def pytest_collection_finish() -> None:
    """What all modules of all tests brought along stays: collecting garbage among it takes a second each time."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
