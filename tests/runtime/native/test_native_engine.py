"""The engine around the kernels: shipped files, threads, memory, closing, damaged files, a missing library."""

import random
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime.engines import native_engine
from runtime.engines.backend import Device
from runtime.engines.backends import backends
from runtime.engines.engine import open_engine, why_not
from runtime.engines.onnx_engine import OnnxEngine
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.program import PROGRAM_KEY
from runtime.engines.program_layers import Conv, Upsample
from runtime.engines.source import EngineSource
from runtime.errors import ClosedError, DeviceError, EngineFormatError, InputError, UnknownProgramError
from runtime.native import library
from tests.paths import ROOT
from tests.runtime import tiny_programs
from tests.runtime.native.programs import NONE, ONE, needs_kernels, open_native, save_images
from tests.runtime.native.test_labels import maps

pytestmark = needs_kernels
ASSETS = ROOT / "runtime/assets"


def shipped_inputs(spec):
    rng = np.random.default_rng(4)
    height, width = spec.size or (spec.size_multiple, 2 * spec.size_multiple)
    inputs = {}
    for tensor in spec.inputs:
        shape = [{"N": 1, "H": height, "W": width}.get(axis, axis) for axis in tensor.shape]
        if tensor.dtype == "float32":
            inputs[tensor.name] = rng.normal(0, 1, shape).astype(np.float32)
        else:  # areas of one class or instance, or any byte
            most = {"image": 256, "hole_mask": 2}.get(tensor.name, 30)
            values = rng.integers(0, most, [-(-side // 32) if side > 4 else side for side in shape])
            for axis, side in enumerate(shape):
                values = values.repeat(32, axis).take(range(side), axis) if side > 4 else values
            inputs[tensor.name] = values.astype(tensor.dtype)
    return inputs


@pytest.mark.parametrize("name", ["edges2photo.onnx", "inpaint.onnx", "street.encoder.onnx", "street.onnx"])
def test_shipped_engines_do_what_they_do_in_onnx_runtime(name):
    spec = read_spec(ASSETS / name)
    inputs = shipped_inputs(spec)
    expected = OnnxEngine(ASSETS / name, spec).run(inputs)
    received = open_native(ASSETS / name, None).run(inputs)
    assert received.keys() == expected.keys()
    for output, values in expected.items():
        assert received[output].dtype == values.dtype
        difference = np.abs(received[output].astype(float) - values)
        assert difference.max() <= (1 if values.dtype == np.uint8 else 1e-3 * np.abs(values).max())


def test_auto_takes_native_kernels():
    engine = open_engine(ASSETS / "edges2photo.onnx", "cpu")
    assert (engine.backend, engine.device, engine.skipped) == ("native", "cpu", ())


def test_several_threads_at_once_get_their_own_results(tmp_path):
    engine = open_native(tiny_programs.engine(tmp_path / "e.onnx"), threads=3)
    jobs = [maps("random", n=n) for n in (1, 2, 3)] * 8
    expected = [engine.run(job)["image"] for job in jobs[:3]] * 8
    with ThreadPoolExecutor(6) as pool:
        received = list(pool.map(lambda job: engine.run(job)["image"], jobs))
    assert all(np.array_equal(one, other) for one, other in zip(received, expected, strict=True))
    assert len({result.ctypes.data for result in received}) == len(received)


def test_workers_sleep_between_calls(tmp_path):
    """The library starts at most the workers asked for, whose processor time stands still afterwards."""
    engine = open_native(tiny_programs.engine(tmp_path / "e.onnx"), threads=4)
    before = threading.active_count()
    inputs = maps("random")
    for _ in range(3):
        engine.run(inputs)
    assert threading.active_count() == before
    start = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - start < 0.1


def test_where_time_goes(tmp_path):
    engine = open_native(tiny_programs.engine(tmp_path / "e.onnx"))
    given = maps("random")
    outputs, timings = engine.profile(given)
    np.testing.assert_array_equal(outputs["image"], engine.run(given)["image"])
    assert timings[0].step.startswith("codes")
    convolutions = [timing for timing in timings if timing.products]
    assert all(timing.step.startswith("conv") for timing in convolutions)
    # Transposed, from 8 channels to 4, 3×3, of 2 images of half the size in each axis that is strided.
    (up,) = [timing for timing in timings if timing.step.startswith("conv_transpose")]
    assert up.products % (9 * 8 * 4 * 2) == 0
    assert all(0 <= timing.seconds < 1 for timing in timings)
    assert engine.peak() > 1e8


def test_closed(tmp_path):
    engine = open_native(tiny_programs.engine(tmp_path / "e.onnx"))
    inputs = maps("random")
    engine.run(inputs)
    engine.close()
    engine.close()
    with pytest.raises(ClosedError, match="closed"):
        engine.run(inputs)
    with pytest.raises(ClosedError, match="closed"):
        engine.loop(inputs, {})


def test_of_bytes_in_memory(tmp_path):
    path = tiny_programs.engine(tmp_path / "e.onnx")
    inputs = maps("areas")
    engine = open_engine(path.read_bytes(), backend="native")
    assert np.array_equal(engine.run(inputs)["image"], open_native(path).run(inputs)["image"])


def test_memory_that_is_not_there_is_named_before_anything_runs(tmp_path):
    image = np.zeros((1, 1024, 1024, 4), np.uint8)
    layers = [Conv(("floats",), "a", ("w",), None, ONE, ONE, NONE, "zero")]
    layers += [Upsample((before,), after, 2, "nearest") for before, after in zip("abcd", "bcde", strict=True)]
    weights = {"w": np.ones((16, 4, 1, 1), np.float32)}
    _, path = save_images(tmp_path / "large.onnx", layers, weights, image, 16)
    script = f"""
import resource
from pathlib import Path
import numpy as np
from runtime.engines.native_engine import NativeEngine
from runtime.engines.onnx_metadata import read_spec
from runtime.errors import DeviceError
engine = NativeEngine(Path({str(path)!r}), read_spec({str(path)!r}))
resource.setrlimit(resource.RLIMIT_AS, (30 * 2**30, 30 * 2**30))
try:
    engine.run({{"image": np.zeros((1, 1024, 1024, 4), np.uint8)}})
except (DeviceError, MemoryError) as error:
    print(type(error).__name__, error)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert re.match(r"DeviceError engine .* needs \d{5} MB", result.stdout), result.stdout


def test_a_kernel_beyond_these_kernels_is_no_damage(tmp_path):
    image = np.zeros((1, 40, 40, 1), np.uint8)
    layers = [Conv(("floats",), "a", ("w",), None, ONE, ONE, NONE, "zero")]
    weights = {"w": np.ones((1, 1, 33, 33), np.float32)}
    _, path = save_images(tmp_path / "huge.onnx", layers, weights, image, 1)
    with pytest.raises(UnknownProgramError, match="33"):
        open_native(path).run({"image": image})


def test_damaged_files_raise_and_never_crash(tmp_path):
    """Bits of the program and of the graph flip, the file ends early: an error of ours, or a picture."""
    path = tiny_programs.engine(tmp_path / "e.onnx")
    content = path.read_bytes()
    document = content.index(b'"format": 1')
    spec = read_spec(path)
    inputs = maps("random")
    rng = random.Random(0)
    outcomes = {"ran": 0, "refused": 0}
    for index in range(1500):
        changed = bytearray(content)
        for _ in range(rng.randint(1, 3)):
            near = rng.random() < 0.7
            at = (
                rng.randrange(document - 20, min(len(content), document + 4000))
                if near
                else rng.randrange(len(content))
            )
            changed[at] ^= 1 << rng.randrange(8)
        if index % 20 == 0:
            del changed[rng.randrange(len(changed)) :]
        damaged = tmp_path / f"damaged{index % 2}.onnx"
        damaged.unlink(missing_ok=True)
        damaged.write_bytes(changed)
        try:
            engine = native_engine.NativeEngine(damaged, spec, 2)
            image = engine.run(inputs)["image"]
            assert image.shape == (2, *tiny_programs.SIZE, 3)
            outcomes["ran"] += 1
        except (EngineFormatError, InputError):
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 50, outcomes


def test_no_program(tmp_path):
    path = tiny_programs.engine(tmp_path / "e.onnx", document="{}")
    with pytest.raises(EngineFormatError, match="format"):
        open_native(path)
    assert PROGRAM_KEY in path.read_bytes().decode("latin-1")


def test_a_missing_library_is_named_and_onnx_runtime_runs(tmp_path):
    script = f"""
from pathlib import Path
from runtime.native import library
library.PATH = Path({str(tmp_path / "none.so")!r})
from runtime.engines.engine import open_engine
print(library.missing_reason())
print(open_engine({str(ASSETS / "edges2photo.onnx")!r}, "cpu").backend)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    reason, backend = result.stdout.splitlines()
    assert "C compiler" in reason
    assert backend == "onnxruntime"


def test_kernels_can_be_forced(tmp_path, monkeypatch):
    path = tiny_programs.engine(tmp_path / "e.onnx")
    monkeypatch.setenv("PIX2RT_CPU", "generic")
    assert open_native(path).instruction_set == "generic"
    monkeypatch.setenv("PIX2RT_CPU", "avx1024")
    with pytest.raises(DeviceError, match=r"avx1024.*generic"):
        open_native(path)
    assert library.instruction_sets()[-1] == "generic"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_weights_are_shared_with_the_page_cache(tmp_path):
    """They stay file-backed pages: the second process that opens the engine adds no private copy."""
    weights = {"w": np.ones((512, 512, 3, 3), np.float32), "v": np.ones((512, 3, 1, 1), np.float32)}
    layers = [
        Conv(("floats",), "a", ("v",), None, ONE, ONE, NONE, "zero"),
        Conv(("a",), "b", ("w",), None, ONE, ONE, (1, 1, 1, 1), "zero"),
    ]
    image = np.zeros((1, 8, 8, 3), np.uint8)
    _, path = save_images(tmp_path / "w.onnx", layers, weights, image, 512)
    engine = open_native(path, threads=1)
    engine.run({"image": image})
    entries = Path("/proc/self/smaps").read_text("utf-8").split("VmFlags:")
    mapped = [dict(re.findall(r"^(\w+): +(\d+) kB", entry, re.MULTILINE)) for entry in entries if str(path) in entry]
    assert max(int(figures["Rss"]) for figures in mapped) > 9000
    assert all(int(figures["Anonymous"]) == 0 for figures in mapped)


def test_auto_leaves_engines_that_are_mostly_weights_to_others():
    """Fewer multiply-adds a byte of weights than pay: unless native kernels are asked for."""
    backend, source = backends()["native"], EngineSource.of(ASSETS / "street.onnx")
    spec = read_spec(source)
    assert backend.shuns(source, spec) is None
    heavy = replace(spec, cost=replace(spec.cost, macs=19 * spec.cost.weight_bytes))
    reason = why_not(backend, source, heavy, Device("cpu"))
    assert reason
    assert "so only where backend='native' asks for it" in reason
    assert why_not(backend, source, heavy, Device("cpu"), is_named=True) is None
    assert backend.shuns(source, replace(heavy, cost=replace(heavy.cost, macs=20 * heavy.cost.weight_bytes))) is None
