"""Plans on a pretended GPU, whose stand-in punishes what real ones do not forgive: bytes, graphs, threads, memory."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from runtime.engines.backend import Device
from runtime.engines.engine import engine_spec, open_engine
from runtime.engines.plan import Profile, json_path
from runtime.engines.plan_builder import build_plan_file
from runtime.errors import ClosedError, DeviceError, EngineFormatError, InputError
from tests.runtime import tiny_completers, tiny_engines
from tests.runtime.engines.stand_in import plans

FLAVORS = ("tensorrt", "tensorrt-rtx")
CARRIED = {"next_z": "z", "next_velocity": "velocity"}
SMALL = Profile((1, 8, 8), (1, 16, 32), (2, 64, 64))


def plan(tmp_path, flavor="tensorrt", **options):
    """(path of the plan, path of its ONNX)."""
    onnx = tiny_engines.synthesizer(tmp_path / "e.onnx", inst=True, **options)
    profile = None if options.get("size", 1) else SMALL
    return build_plan_file(onnx, tmp_path / "e.engine", flavor=flavor, profile=profile).path, onnx


def maps(height=16, width=32, batch=1, seed=0):
    rng = np.random.default_rng(seed)
    shape = (batch, height, width)
    return {
        "label_map": rng.integers(0, 4, shape, np.uint8),
        "inst_map": rng.integers(0, 1000, shape, np.int32),
    }


def sketches(seed=0, rows=1):
    rng = np.random.default_rng(seed)
    side = tiny_completers.SIDE
    arrays = {
        "observed": rng.integers(0, 256, (1, side, 2 * side, 3), np.uint8),
        "known_mask": np.full((1, side, 2 * side), 255, np.uint8),
        "z": rng.uniform(-1, 1, (rows, 3)).astype(np.float32),
        "velocity": np.zeros((rows, 3), np.float32),
    }
    scalars = {"learning_rate": 0.1, "momentum": 0.9, "perceptual_weight": 0.0, "z_limit": 1.0}
    return arrays | {name: np.array([value], np.float32) for name, value in scalars.items()}


def sketch_plan(tmp_path, flavor="tensorrt"):
    onnx = tiny_completers.completer(tmp_path / "s.onnx")
    profile = Profile((1, 8, 8), (1, 8, 8), (16, 8, 8))
    return build_plan_file(onnx, tmp_path / "s.engine", flavor=flavor, profile=profile).path, onnx


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("size", [(16, 32), None])
def test_bytes_and_one_launch_a_call(machine, tmp_path, flavor, size):
    """The first call of a shape runs and is captured; every later one is one graph launch and one wait."""
    path, onnx = plan(tmp_path, flavor, size=size)
    reference = open_engine(onnx, "cpu", backend="onnxruntime")
    engine = open_engine(path)
    assert (engine.backend, engine.device, engine.skipped) == ("tensorrt", "cuda", ())
    engine.run(maps())
    machine.calls.clear()
    for seed in range(20):
        given = maps(seed=seed)
        found = engine.run(given)["image"]
        np.testing.assert_array_equal(found, reference.run(given)["image"])
        assert not machine.owns(found)
        assert found.flags.owndata
    assert dict(machine.calls) == {"cudaSetDevice": 20, "cudaGraphLaunch": 20, "cudaStreamSynchronize": 20}
    engine.close()


def test_every_shape_that_was_met_is_a_graph(machine, tmp_path):
    """And as many stay as the bound says; the one met least recently goes."""
    path, onnx = plan(tmp_path, size=None, batch="N")
    reference = open_engine(onnx, "cpu", backend="onnxruntime")
    engine = open_engine(path)
    sizes = [(8 * rows, 8 * columns, count) for rows in (1, 2, 3) for columns in (1, 2) for count in (1, 2)]
    for _ in range(2):
        for size in sizes:
            given = maps(*size)
            np.testing.assert_array_equal(engine.run(given)["image"], reference.run(given)["image"])
    assert machine.leaks()["IExecutionContext"] == machine.leaks()["GraphExec"] == 8
    machine.calls.clear()
    for size in sizes[-8:]:
        engine.run(maps(*size))
    assert machine.calls["cudaGraphLaunch"] == 8
    assert machine.calls["execute_async_v3"] == 0
    engine.close()


def test_many_threads_with_many_shapes(machine, tmp_path):
    path, onnx = plan(tmp_path, size=None, batch="N")
    reference = open_engine(onnx, "cpu", backend="onnxruntime", threads=1)
    engine = open_engine(path)
    cases = [maps(8 * rows, 16, count, seed=rows) for rows in (1, 2, 3) for count in (1, 2)]
    expected = [reference.run(given)["image"] for given in cases]

    def work(thread):
        for call in range(200):
            index = (thread + call) % len(cases)
            if not np.array_equal(engine.run(cases[index])["image"], expected[index]):
                return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8)))
    assert machine.leaks()["Stream"] <= 4
    engine.close()


def test_thousands_of_calls_do_not_grow(machine, tmp_path):
    path, _ = plan(tmp_path)
    engine = open_engine(path)
    given = maps()
    engine.run(given)
    before = machine.leaks()
    for _ in range(10_000):
        engine.run(given)
    assert machine.leaks() == before
    engine.close()


@pytest.mark.parametrize("flavor", FLAVORS)
def test_loops_stay_on_the_device(machine, tmp_path, flavor):
    path, onnx = sketch_plan(tmp_path, flavor)
    reference = open_engine(onnx, "cpu", backend="onnxruntime")
    engine = open_engine(path)
    pairs = [[one.loop(sketches(seed), CARRIED) for seed in range(6)] for one in (engine, reference)]
    for _ in range(5):
        for ours, theirs in zip(*pairs, strict=True):
            ours.step()
            theirs.step()
            for name in ("next_z", "next_velocity", "contextual_loss", "image"):
                np.testing.assert_array_equal(ours.fetch(name), theirs.fetch(name))
    first = pairs[0][0].fetch("next_z")
    kept = first.copy()
    machine.calls.clear()
    pairs[0][0].step()
    assert machine.calls["cudaGraphLaunch"] == 1
    assert machine.calls["execute_async_v3"] == 0
    pairs[0][0].fetch("next_z")
    np.testing.assert_array_equal(first, kept)
    assert not machine.owns(first)
    engine.close()
    pairs[0][1].step()  # what still runs ends as it would
    with pytest.raises(ClosedError, match="was closed"):
        engine.loop(sketches(), CARRIED)


def test_closing(machine, tmp_path):
    path, _ = plan(tmp_path)
    engine = open_engine(path)
    engine.run(maps())
    engine.close()
    engine.close()
    assert machine.leaks() == {}
    with pytest.raises(ClosedError, match="was closed; open it again"):
        engine.run(maps())


def test_forgotten_engines_give_all_back(machine, tmp_path):
    path, _ = plan(tmp_path)
    for _ in range(3):
        open_engine(path).run(maps())


def test_what_cannot_be_captured_runs_as_it_is(machine, tmp_path):
    path, onnx = plan(tmp_path)
    header, graph = plans.unpack(path.read_bytes())
    header.is_capturable = False
    rewrite(path, plans.pack(header, graph))
    engine = open_engine(path)
    reference = open_engine(onnx, "cpu", backend="onnxruntime")
    for seed in range(6):
        given = maps(seed=seed)
        np.testing.assert_array_equal(engine.run(given)["image"], reference.run(given)["image"])
    assert machine.calls["cudaStreamBeginCapture"] == 3  # it is not tried for ever
    assert machine.calls["cudaGraphLaunch"] == 0
    engine.close()


def test_a_capture_that_another_thread_breaks_is_made_again(machine, tmp_path):
    path, _ = plan(tmp_path)
    engine = open_engine(path)
    machine.fail("cudaStreamEndCapture", code=901)
    for _ in range(4):
        engine.run(maps())
    assert machine.calls["cudaStreamBeginCapture"] == 2
    assert machine.calls["cudaGraphLaunch"] == 2
    engine.close()


def rewrite(path, data, **changes):
    """Other bytes of a plan, with the JSON that fits them."""
    path.write_bytes(data)
    document = json.loads(json_path(path).read_text())
    document["tensorrt"] |= {"plan_sha256": hashlib.sha256(data).hexdigest(), **changes}
    json_path(path).write_text(json.dumps(document))


SHAPES = {
    "static": ((16, 32), maps(16, 40), r"label_map is \[1, 16, 40\], the plan takes \[1, 16, 32\]"),
    "large": (None, maps(128, 32), r"label_map is \[1, 128, 32\], the plan takes \[1, 8, 8\] to \[2, 64, 64\].*--max"),
}


@pytest.mark.parametrize("case", SHAPES)
def test_a_shape_outside_the_profile(machine, tmp_path, case):
    size, given, message = SHAPES[case]
    path, _ = plan(tmp_path, size=size, batch=1 if size else "N")
    engine = open_engine(path)
    with pytest.raises(InputError, match=message):
        engine.run(given)
    engine.run(maps())
    engine.close()


def test_other_arrays_than_the_specification_says(machine, tmp_path):
    path, _ = plan(tmp_path)
    engine = open_engine(path)
    with pytest.raises(DeviceError, match="was given label_map, expected label_map, inst_map"):
        engine.run({"label_map": maps()["label_map"]})
    with pytest.raises(DeviceError, match="inst_map is int64, expected int32"):
        engine.run(maps() | {"inst_map": maps()["inst_map"].astype(np.int64)})
    engine.close()


def test_the_specification_comes_from_the_json(machine, tmp_path):
    path, onnx = plan(tmp_path)
    assert engine_spec(path) == engine_spec(onnx)


FILES = {
    "no json": (lambda path: json_path(path).unlink(), EngineFormatError, r"no specification beside it.*pix2rt build"),
    "json of another": (
        lambda path: rewrite_json(path, plan_sha256="0" * 64),
        EngineFormatError,
        r"truncated, was tampered with, or belongs to another",
    ),
    "json of nothing": (lambda path: json_path(path).write_text("{}"), EngineFormatError, "format_version"),
    "json that is none": (lambda path: json_path(path).write_bytes(b"\xff"), EngineFormatError, "cannot be read"),
    "json without origin": (lambda path: drop_origin(path), EngineFormatError, "does not say how the plan was built"),
    "other tensors": (lambda path: other_tensors(path), EngineFormatError, "does not match its specification"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-1]), EngineFormatError, "is truncated"),
    "tampered": (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"!"), EngineFormatError, "tampered"),
    "empty": (lambda path: path.write_bytes(b""), EngineFormatError, "is truncated"),
    "another version": (
        lambda path: rewrite_json(path, version="10.0.0"),
        DeviceError,
        r"plan of tensorrt 10\.0\.0, here is 11\.4.*build it again",
    ),
    "a flavour not installed": (lambda path: rewrite_json(path, flavor="openvino"), DeviceError, "openvino is unknown"),
    "another gpu": (
        lambda path: rewrite_json(path, gpu="NVIDIA H100"),
        DeviceError,
        r"was built on NVIDIA H100, GPU 0",
    ),
    "no plan": (lambda path: rewrite(path, b"x" * 100), DeviceError, r"does not load on cuda.*magicTag.*pix2rt build"),
}


def rewrite_json(path, **changes):
    document = json.loads(json_path(path).read_text())
    document["tensorrt"] |= changes
    json_path(path).write_text(json.dumps(document))


def drop_origin(path):
    document = json.loads(json_path(path).read_text())
    del document["tensorrt"]
    json_path(path).write_text(json.dumps(document))


def other_tensors(path):
    document = json.loads(json_path(path).read_text())
    document["inputs"][1]["shape"] = ["N", 16, 32]
    document["inputs"] = document["inputs"][:1]
    json_path(path).write_text(json.dumps(document))


@pytest.mark.parametrize("case", FILES)
def test_files_that_do_not_fit(machine, tmp_path, case):
    damage, error, message = FILES[case]
    path, _ = plan(tmp_path)
    damage(path)
    with pytest.raises(error, match=message):
        open_engine(path).run(maps())


def test_rtx_says_why_a_plan_does_not_run(machine, tmp_path):
    path, _ = plan(tmp_path, "tensorrt-rtx")
    machine.gpus = ["NVIDIA H100 80GB HBM3"]
    with pytest.raises(DeviceError, match="does not run on this GPU with TensorRT-RTX 1.7.1.116: unsupported cc"):
        open_engine(path)


MACHINES = {
    "no driver": (lambda world: setattr(world, "driver", False), "cuda", r"error 35.*no NVIDIA driver, or one older"),
    "no gpu": (lambda world: world.gpus.clear(), "cuda", r"error 100 .*finds no GPU"),
    "not that gpu": (lambda world: None, "cuda:1", r"GPU 1 does not exist: this machine has 1"),
    "full": (
        lambda world: setattr(world, "used_bytes", world.total_bytes),
        "cuda",
        r"needs 0 MB for its weights on GPU 0, of whose 8,590 MB 0 MB are free; end other programs",
    ),
}


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("case", MACHINES)
def test_machines_that_do_not_fit(machine, tmp_path, case, flavor):
    change, device, message = MACHINES[case]
    path, _ = plan(tmp_path, flavor)
    change(machine)
    with pytest.raises(DeviceError, match=message):
        open_engine(path, device)


def test_memory_that_only_one_caller_finds(machine, tmp_path):
    """What does not fit twice is not made twice: the second caller waits for the first."""
    path, onnx = plan(tmp_path)
    engine = open_engine(path)
    engine.run(maps())
    machine.used_bytes = machine.total_bytes - machine.allocated("device")
    expected = open_engine(onnx, "cpu", backend="onnxruntime").run(maps())["image"]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: engine.run(maps())["image"], range(40)))
    assert all(np.array_equal(one, expected) for one in found)
    assert machine.leaks()["Stream"] == 1
    engine.close()


def test_the_second_gpu_is_used_from_every_thread(machine, tmp_path):
    machine.gpus = machine.gpus * 2
    path, _ = plan(tmp_path)
    engine = open_engine(path, "cuda:1")
    assert engine.device == str(Device("cuda", 1))
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: engine.run(maps()), range(9)))
    engine.close()
