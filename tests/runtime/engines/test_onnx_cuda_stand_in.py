"""ONNX Runtime on a pretended GPU: graphs, pinned memory, threads, and every failure."""

import gc
import inspect
import threading
from contextlib import suppress

import numpy as np
import onnxruntime
import pytest

from runtime import SketchCompleter
from runtime.engines import bound_session
from runtime.engines.backend import Device
from runtime.engines.onnx_cuda_engine import OnnxCudaEngine
from runtime.engines.onnx_engine import OnnxEngine
from runtime.engines.onnx_metadata import read_spec
from runtime.errors import DeviceError
from tests.runtime import tiny_completers, tiny_translators
from tests.runtime.engines.stand_in import onnxruntime_cuda
from tests.runtime.engines.test_onnx_engine import inputs as search_inputs

GPU = Device("cuda")
CARRIED = {"next_z": "z", "next_velocity": "velocity"}


@pytest.fixture
def sessions(machine, monkeypatch):
    with onnxruntime_cuda.cuda_sessions(monkeypatch) as sessions:
        yield sessions


@pytest.fixture
def translator(tmp_path):
    """Path of an engine of any size, and what it gives."""
    path = tiny_translators.translator(tmp_path / "e.onnx", size=None)
    plain = OnnxEngine(path, read_spec(path), "cpu", 1)
    return path, lambda given: plain.run(given)["translation"]


def image(seed=0, shape=(1, 32, 64, 3)):
    return {"image": np.random.default_rng(seed).integers(0, 256, shape, np.uint8)}


def engine_of(path, **options):
    return OnnxCudaEngine(path, read_spec(path), GPU, 1, **options)


@pytest.mark.parametrize("use_pinned_memory", [True, False])
@pytest.mark.parametrize("use_graphs", [True, False])
def test_images_are_those_of_the_cpu(translator, sessions, use_graphs, use_pinned_memory):
    path, expected = translator
    with_engine = engine_of(path, use_graphs=use_graphs, use_pinned_memory=use_pinned_memory)
    assert (with_engine.has_graphs, with_engine.has_pinned_memory) == (use_graphs, use_pinned_memory)
    assert with_engine.skipped == ()
    for seed, side in enumerate((16, 24, 16, 32, 24)):
        given = image(seed, (1, side, 32, 3))
        np.testing.assert_array_equal(with_engine.run(given)["translation"], expected(given))
    with_engine.close()


def test_one_launch_a_call_once_a_shape_is_captured(translator, sessions, machine):
    path, _ = translator
    engine = engine_of(path)
    for seed in range(10):
        engine.run(image(seed))
    assert (sessions.last.captures, sessions.last.launches) == (1, 11)
    waits = machine.calls["cudaStreamSynchronize"]
    engine.run(image())
    assert machine.calls["cudaStreamSynchronize"] == waits + 1
    engine.close()


def test_outputs_share_nothing_with_pinned_memory(translator, sessions, machine):
    path, expected = translator
    engine = engine_of(path)
    first = engine.run(image(1))["translation"]
    engine.run(image(2))
    assert not machine.owns(first)
    np.testing.assert_array_equal(first, expected(image(1)))
    engine.close()


def test_more_shapes_than_graphs(translator, sessions):
    path, expected = translator
    engine = engine_of(path)
    sides = range(16, 16 + 8 * (bound_session.MOST_GRAPHS + 4), 8)
    for side in (*sides, *sides):
        given = image(side, (1, side, 16, 3))
        np.testing.assert_array_equal(engine.run(given)["translation"], expected(given))
    assert sessions.last.captures == bound_session.MOST_GRAPHS
    engine.close()


def test_memory_does_not_grow(translator, sessions, machine):
    path, _ = translator
    engine = engine_of(path)
    engine.run(image())
    before = machine.allocated("device"), machine.allocated("pinned"), len(machine.handles)
    for seed in range(300):
        engine.run(image(seed))
    assert (machine.allocated("device"), machine.allocated("pinned"), len(machine.handles)) == before
    engine.close()


SEARCHES = ({}, {"learning_rate": 0.01, "momentum": 0.2, "z_limit": 0.3}, {"restarts": 3})


def searched(engine):
    completer = SketchCompleter(engine)
    joint = completer.joint(SketchCompleter.example(completer.spec)["image"])
    return [completer.complete(*joint, iterations=20, stop_early=False, **options) for options in SEARCHES]


@pytest.fixture
def completer(tmp_path):
    """Path of an engine, and what searches find on the CPU."""
    path = tiny_completers.completer(tmp_path / "e.onnx")
    return path, searched(OnnxEngine(path, read_spec(path), "cpu", 1))


def test_a_search_is_that_of_the_cpu_and_its_scalars_are_read_anew(completer, sessions):
    path, expected = completer
    engine = engine_of(path)
    for one, two in zip(expected, searched(engine), strict=True):
        np.testing.assert_array_equal(one.contextual_loss, two.contextual_loss)
        np.testing.assert_array_equal(one.image, two.image)
    engine.close()


def test_the_state_of_a_loop_never_meets_the_host(tmp_path, sessions, machine):
    path = tiny_completers.completer(tmp_path / "e.onnx")
    engine = engine_of(path)
    loop = engine.loop(search_inputs(), CARRIED)
    loop.step()
    before = machine.allocated("pinned")
    calls = machine.calls["cudaMemcpyAsync"]
    for _ in range(10):
        loop.step()
    assert machine.calls["cudaMemcpyAsync"] == calls + 10 * len(CARRIED)
    assert machine.allocated("pinned") == before
    del loop
    engine.close()


def test_threads_take_turns_and_capture_once_each(translator, sessions, machine):
    path, expected = translator
    engine, wrong = engine_of(path), []
    wanted = [expected(image(seed)) for seed in range(8)]

    def work(seed):
        for _ in range(25):
            if not np.array_equal(engine.run(image(seed))["translation"], wanted[seed]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sessions.last.captures <= 8
    assert engine.has_graphs
    engine.close()


def test_what_cannot_be_captured_is_queued_and_says_so(translator, sessions, monkeypatch):
    path, expected = translator
    monkeypatch.setattr(sessions, "can_capture", False)
    monkeypatch.setattr(sessions, "on_cpu", ("Pad", "Loop", "Pad"))
    engine = engine_of(path)
    np.testing.assert_array_equal(engine.run(image())["translation"], expected(image()))
    assert not engine.has_graphs
    graph, cpu = engine.skipped
    assert graph.startswith("CUDA graph: calls are queued node by node, for they cannot be captured (")
    assert "cannot use the graph capture feature" in graph
    assert cpu == "nodes on the CPU: onnxruntime runs 3 there: Pad ×2, Loop ×1"
    engine.close()


@pytest.mark.parametrize("kind", ["run", "loop"])
def test_a_capture_that_fails_leaves_the_calls(tmp_path, sessions, machine, kind):
    path = tiny_completers.completer(tmp_path / "e.onnx")
    engine = engine_of(path)
    machine.fail("capture")
    if kind == "run":
        assert "image" in engine.run(search_inputs())
    else:
        loop = engine.loop(search_inputs(), CARRIED)
        loop.step()
        assert np.isfinite(loop.fetch("next_z")).all()
        del loop
    assert not engine.has_graphs
    assert sessions.opened == 2
    assert "CUDA failure 901" in engine.skipped[0]
    engine.close()


@pytest.mark.parametrize("function", ["run_with_iobinding", "cudaMemcpyAsync", "cudaStreamSynchronize"])
def test_after_a_failure_the_session_is_new(translator, sessions, machine, function):
    path, expected = translator
    engine = engine_of(path)
    engine.run(image())
    machine.fail(function, code=700)
    with pytest.raises(DeviceError, match=r"failed on cuda.*700"):
        engine.run(image(1))
    np.testing.assert_array_equal(engine.run(image(1))["translation"], expected(image(1)))
    assert sessions.opened == 2
    assert engine.has_graphs
    engine.close()


@pytest.mark.parametrize("function", ["cudaMemcpyAsync", "cudaHostAlloc", "OrtValue", "cudaStreamSynchronize"])
def test_the_first_call_may_fail_anywhere(translator, sessions, machine, function):
    path, expected = translator
    for skip in range(3):
        engine = engine_of(path)
        machine.fail(function, skip=skip, code=2)
        with suppress(DeviceError):  # or it fails while it captures, which leaves the call
            engine.run(image())
        machine.faults.clear()
        np.testing.assert_array_equal(engine.run(image())["translation"], expected(image()))
        engine.close()
        del engine
        gc.collect()


def test_opening_may_fail_anywhere(translator, sessions, machine):
    path, _ = translator
    for function in ("cudaMemGetInfo", "cudaStreamCreateWithFlags"):
        for _ in range(2):  # without graphs it is tried again
            machine.fail(function)
        with pytest.raises(DeviceError, match=function):
            engine_of(path)
        machine.faults.clear()


def test_without_a_driver_there_is_no_pinned_memory_and_a_note(translator, sessions, machine):
    path, _ = translator
    machine.driver = False
    engine = engine_of(path)
    assert not engine.has_pinned_memory
    assert engine.skipped[0].startswith("pinned memory: CUDA error 35")
    engine.close()
    machine.driver = True


def test_too_little_memory_is_told_before_loading(translator, sessions, machine):
    path, _ = translator
    machine.used_bytes = machine.total_bytes
    with pytest.raises(DeviceError, match=r"needs at least .* on GPU 0 .* of whose 8,590 MB 0 MB are free"):
        engine_of(path)
    assert sessions.opened == 0


OWN = {"InferenceSession": {"run", "last"}, "RunOptions": {"has_run_config_entry_no_wait"}}
LATER = {"get_provider_graph_assignment_info"}  # older versions lack it; the runtime looks before it calls


@pytest.mark.parametrize("name", ["OrtValue", "IOBinding", "InferenceSession", "RunOptions"])
def test_every_name_and_parameter_is_the_librarys(name):
    """What the stand-in has, onnxruntime has, called in the same way."""
    theirs, ours, compared = getattr(onnxruntime, name), getattr(onnxruntime_cuda, name), 0
    for method in vars(ours):
        if method.startswith("_") or method in OWN.get(name, ()) or not callable(getattr(ours, method)):
            continue
        if method in LATER and not hasattr(theirs, method):
            continue
        real = getattr(theirs, method)
        compared += 1
        if not inspect.isfunction(real) and not inspect.ismethod(real):
            continue  # of C++: the name is all there is
        wanted, given = parameters(theirs, method), parameters(ours, method)
        assert len(given) <= len(wanted), method
        for mine, their in zip(given, wanted, strict=False):  # a name that no caller may give has no say
            assert mine.name == their.name or mine.kind is inspect.Parameter.POSITIONAL_ONLY, method
    assert compared


def parameters(owner, method):
    """That a caller gives: without self or cls. A class method of one version is a static method of another."""
    function, given = getattr(owner, method), list(inspect.signature(getattr(owner, method)).parameters.values())
    is_static = any(isinstance(vars(base).get(method), staticmethod) for base in owner.__mro__)
    return given[1:] if inspect.isfunction(function) and not is_static else given
