"""A step of the search for ẑ in native kernels: every layer against numpy, loops, and hostile programs."""

import json
import random

import numpy as np
import pytest

from runtime import SketchCompleter
from runtime.commands import ASSETS
from runtime.engines.engine import open_engine
from runtime.engines.native_engine import NativeEngine
from runtime.engines.onnx_engine import OnnxEngine
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.program import PROGRAM_KEY
from runtime.errors import ClosedError, EngineFormatError
from runtime.media.images import read_drawing
from tests.runtime import tiny_search
from tests.runtime.native.programs import SETS, needs_kernels, open_native, worst
from tests.runtime.program_reference import run_program
from tests.runtime.tiny_search import CARRIED, Sizes
from tests.tolerances import COMPLETION

pytestmark = needs_kernels
SIZES = [Sizes(), Sizes(1, 1, 2), Sizes(7, 16, 4), Sizes(33, 130, 10), Sizes(100, 17, 22)]


def step_of(engine, inputs):
    """Outputs of one step of a loop, and of a second one."""
    loop = engine.loop(inputs, CARRIED)
    steps = []
    for _ in range(2):
        loop.step()
        steps.append({tensor.name: loop.fetch(tensor.name) for tensor in engine.spec.outputs})
    return steps


def assert_close(received, expected):
    for name, value in received.items():
        if name == "image":
            difference = np.abs(value.astype(int) - expected[name])
            assert difference.max() <= 1
            assert np.mean(difference > 0) < 0.02
        else:
            assert worst(value, expected[name]) < 2e-5, name


@pytest.mark.parametrize("count", [1, 2, 16])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_step_is_that_of_numpy(tmp_path, sizes, count):
    path, inputs = tiny_search.engine(tmp_path / "e.onnx", sizes), tiny_search.inputs(sizes, count)
    expected = run_program(tiny_search.program(sizes), tiny_search.weights(sizes), inputs)
    moved = expected["next_velocity"] - np.float32(0.9) * inputs["velocity"]
    assert np.abs(moved).max() > 1e-2
    for kernels in SETS:
        results = [open_native(path, threads, kernels).run(inputs) for threads in (1, 2, 8)]
        assert all(np.array_equal(results[0][name], other[name]) for other in results[1:] for name in other)
        assert_close(results[0], expected)


def test_the_references_gradient_is_the_slope_of_its_losses():
    """Central differences in float64."""
    sizes, inputs = Sizes(), tiny_search.inputs(count=1)
    program, weights = tiny_search.program(sizes), tiny_search.weights(sizes)
    inputs["momentum"][0], inputs["learning_rate"][0] = 0, 1
    inputs = {name: value if value.dtype == np.uint8 else value.astype(np.float64) for name, value in inputs.items()}

    def loss(z):
        values = run_program(program, weights, inputs | {"z": z})
        return float((values["contextual"] + inputs["perceptual_weight"] * values["perceptual"]).item())

    gradient = run_program(program, weights, inputs)["by z"].ravel()
    for i, expected in enumerate(gradient):
        away = np.zeros_like(inputs["z"])
        away[0, i] = 1e-6
        slope = (loss(inputs["z"] + away) - loss(inputs["z"] - away)) / 2e-6
        assert abs(slope - expected) < 1e-6 * max(1, abs(expected))


@pytest.mark.parametrize("sizes", SIZES[::3], ids=str)
def test_a_loop_goes_on_from_what_it_made(tmp_path, sizes):
    """Packed weights stay, z and velocity come in again; other loops of the engine do not disturb it."""
    path, inputs = tiny_search.engine(tmp_path / "e.onnx", sizes), tiny_search.inputs(sizes, 1)
    program, weights = tiny_search.program(sizes), tiny_search.weights(sizes)
    for kernels in SETS:
        engine = open_native(path, 2, kernels)
        loop, other = engine.loop(inputs, CARRIED), engine.loop(tiny_search.inputs(sizes, 1, seed=5), CARRIED)
        state = dict(inputs)
        for _ in range(3):
            loop.step()
            other.step()
            expected = run_program(program, weights, state)
            assert_close({tensor.name: loop.fetch(tensor.name) for tensor in engine.spec.outputs}, expected)
            state |= {name: loop.fetch(output) for output, name in CARRIED.items()}


def test_what_a_loop_was_given_stays_as_it_is(tmp_path):
    inputs = tiny_search.inputs()
    before = {name: value.copy() for name, value in inputs.items()}
    engine = open_native(tiny_search.engine(tmp_path / "e.onnx"))
    step_of(engine, inputs)
    assert all(np.array_equal(inputs[name], value) for name, value in before.items())


def test_a_closed_engine_ends_its_loops(tmp_path):
    engine = open_native(tiny_search.engine(tmp_path / "e.onnx"))
    loop = engine.loop(tiny_search.inputs(), CARRIED)
    engine.close()
    with pytest.raises(ClosedError, match="open it again"):
        loop.step()
    with pytest.raises(ClosedError, match=r"e\.onnx.*open it again"):
        engine.loop(tiny_search.inputs(), CARRIED)


@pytest.mark.nightly
def test_500_steps_of_the_shipped_search_are_those_of_onnx_runtime():
    """Small steps, for large ones part from each other after step 20: ONNX Runtime itself does where its start is
    moved by a millionth, just as far."""
    found = []
    for backend in ("native", "onnxruntime"):
        completer = SketchCompleter(ASSETS / "faces.onnx", "cpu", backend=backend, threads=2)
        joint = completer.joint(read_drawing(ASSETS / "faces_sketch.png"))
        found.append(completer.complete(*joint, iterations=500, stop_early=False, learning_rate=0.02))
    ours, theirs = found
    assert ours.contextual_loss.shape == (501, 1)
    for name in ("contextual_loss", "perceptual_loss"):
        tolerance = COMPLETION["500 native steps"]
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=tolerance, atol=tolerance)
    assert np.abs(ours.made.astype(int) - theirs.made).max() <= 2


def test_auto_searches_natively():
    engine = open_engine(ASSETS / "faces.onnx", "cpu")
    assert (engine.backend, engine.skipped) == ("native", ())


def test_an_engine_without_a_program_runs_as_it_did(tmp_path):
    path, inputs = tiny_search.engine(tmp_path / "e.onnx"), tiny_search.inputs()
    content = path.read_bytes().replace(PROGRAM_KEY.encode(), b"pix2rt.nothing")
    assert len(content) == len(path.read_bytes())
    path.write_bytes(content)
    engine = open_engine(path, "cpu")
    assert engine.backend == "onnxruntime"
    expected = run_program(tiny_search.program(Sizes()), tiny_search.weights(Sizes()), inputs)
    for name, value in engine.run(inputs).items():
        assert np.abs(value - expected[name].astype(float)).max() <= (1 if name == "image" else 1e-3)


def test_onnx_runtime_agrees_with_the_reference(tmp_path):
    path, inputs = tiny_search.engine(tmp_path / "e.onnx"), tiny_search.inputs()
    received = OnnxEngine(path, read_spec(path), "cpu", threads=1).run(inputs)
    assert_close(received, run_program(tiny_search.program(Sizes()), tiny_search.weights(Sizes()), inputs))


def test_damaged_steps_raise_and_never_crash(tmp_path):
    """Bits of the program, its inputs exchanged, its numbers others: EngineFormatError, or an image."""
    path = tiny_search.engine(tmp_path / "e.onnx")
    content, inputs, spec = path.read_bytes(), tiny_search.inputs(), read_spec(path)
    text = tiny_search.program(Sizes()).to_json()
    at = content.index(text.encode())
    rng = random.Random(0)
    names = [layer["output"] for layer in json.loads(text)["layers"]] + list(inputs)
    outcomes = {"ran": 0, "refused": 0}
    for index in range(1500):
        changed = bytearray(content)
        if index % 3 == 0:
            changed[at + rng.randrange(len(text))] ^= 1 << rng.randrange(8)
        else:
            document = json.loads(text)
            layer = rng.choice(document["layers"])
            if index % 3 == 1:
                layer["inputs"][rng.randrange(len(layer["inputs"]))] = rng.choice(names)
            else:
                layer |= rng.choice([{"weight": "head"}, {"weight": "project"}, {"shape": [1, 2, 3]}, {"op": "expand"}])
            other = json.dumps(document)
            if len(other) > len(text):
                continue
            changed[at : at + len(text)] = other.ljust(len(text)).encode()
        damaged = tmp_path / f"damaged{index % 2}.onnx"
        damaged.unlink(missing_ok=True)
        damaged.write_bytes(changed)
        try:
            engine = NativeEngine(damaged, spec, 2)
            assert engine.run(inputs)["image"].shape == (2, 6, 12, 3)
            assert step_of(engine, inputs)[1]["next_z"].shape == inputs["z"].shape
            outcomes["ran"] += 1
        except EngineFormatError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 30, outcomes
