"""The engine for CUDA, with the CPU as its device: the same calls of onnxruntime, the same buffers, without a GPU."""

import gc
import threading
from collections import Counter

import numpy as np
import onnxruntime
import pytest

from runtime import SketchCompleter, Synthesizer, Translator
from runtime.commands import ASSETS
from runtime.engines import bound_session, onnx_cuda_engine
from runtime.engines.backend import Device
from runtime.engines.onnx_cuda_engine import OnnxCudaEngine
from runtime.engines.onnx_engine import OnnxEngine
from runtime.engines.onnx_metadata import read_spec
from runtime.errors import ClosedError, DeviceError
from tests.runtime import tiny_completers, tiny_engines, tiny_translators
from tests.runtime.engines.test_onnx_engine import inputs as search_inputs

CPU = Device("cpu")
CARRIED = {"next_z": "z", "next_velocity": "velocity"}


def engine_of(path, **options):
    return OnnxCudaEngine(path, read_spec(path), CPU, 1, **options)


@pytest.fixture
def searcher(tmp_path):
    return engine_of(tiny_completers.completer(tmp_path / "e.onnx"))


@pytest.fixture
def opened(monkeypatch):
    """How many sessions were opened."""
    count = Counter()
    original = bound_session.open_session

    def counted(*arguments, **options):
        count["sessions"] += 1
        return original(*arguments, **options)

    monkeypatch.setattr(bound_session, "open_session", counted)
    return count


@pytest.mark.parametrize("size", [None, (32, 64)])
def test_images_are_those_of_the_plain_session(tmp_path, size):
    """Also where sizes are free: every shape has buffers of its own."""
    path = tiny_translators.translator(tmp_path / "e.onnx", size=size)
    plain, bound = OnnxEngine(path, read_spec(path), "cpu", 1), engine_of(path)
    rng = np.random.default_rng(0)
    shapes = [(1, 32, 64, 3)] * 3 if size else [(1, 32, 64, 3), (2, 16, 24, 3), (1, 32, 64, 3), (1, 24, 16, 3)]
    for shape in shapes:
        given = {"image": rng.integers(0, 256, shape, np.uint8)}
        expected = plain.run(given)
        for _ in range(2):
            for name, value in bound.run(given).items():
                np.testing.assert_array_equal(value, expected[name])


def test_shipped_engines_give_the_bytes_of_the_plain_session():
    path = ASSETS / "edges2photo.onnx"
    drawing = Translator.example(read_spec(path), (64, 64))["image"]
    expected = Translator(OnnxEngine(path, read_spec(path))).run(drawing)
    np.testing.assert_array_equal(Translator(engine_of(path)).run(drawing), expected)


def test_outputs_are_the_callers(tmp_path):
    path = tiny_translators.translator(tmp_path / "e.onnx", size=(32, 64))
    engine, rng, shape = engine_of(path), np.random.default_rng(0), (1, 32, 64, 3)
    first = engine.run({"image": rng.integers(0, 256, shape, np.uint8)})["translation"]
    kept = first.copy()
    assert first.flags.owndata
    engine.run({"image": rng.integers(0, 256, shape, np.uint8)})
    np.testing.assert_array_equal(first, kept)


def test_a_search_is_that_of_the_plain_session(tmp_path):
    path = tiny_completers.completer(tmp_path / "e.onnx")
    image = SketchCompleter.example(read_spec(path))["image"]
    expected = SketchCompleter(OnnxEngine(path, read_spec(path), "cpu", 1))
    bound = SketchCompleter(engine_of(path))
    options = {"iterations": 30, "restarts": 3, "stop_early": False}
    first = expected.complete(*expected.joint(image), **options)
    second = bound.complete(*bound.joint(image), **options)
    np.testing.assert_array_equal(first.contextual_loss, second.contextual_loss)
    np.testing.assert_array_equal(first.image, second.image)


def test_loops_keep_their_state_apart_and_share_no_call(searcher):
    loops = [searcher.loop(search_inputs(seed), CARRIED) for seed in range(3)]
    alone = []
    for seed in range(3):
        loop = searcher.loop(search_inputs(seed), CARRIED)
        for _ in range(5):
            loop.step()
        alone.append(loop.fetch("next_z"))
    for _ in range(5):
        for loop in loops:
            loop.step()
            searcher.run(search_inputs(9))
    for loop, expected in zip(loops, alone, strict=True):
        np.testing.assert_array_equal(loop.fetch("next_z"), expected)


def test_a_loop_that_is_dropped_frees_its_call(searcher, monkeypatch):
    made = Counter()
    original = bound_session.Call.__init__

    def counted(self, *arguments, **options):
        made["calls"] += 1
        original(self, *arguments, **options)

    monkeypatch.setattr(bound_session.Call, "__init__", counted)
    for seed in range(8):
        searcher.loop(search_inputs(seed), CARRIED).step()
        gc.collect()
    assert made["calls"] <= 2


def test_idle_calls_are_bounded(tmp_path):
    path = tiny_translators.translator(tmp_path / "e.onnx", size=None)
    engine = engine_of(path)
    for side in range(16, 16 + 8 * 30, 8):
        engine.run({"image": np.zeros((1, side, 16, 3), np.uint8)})
    with engine.opened({}) as session:
        assert len(session._idle) == bound_session.MOST_IDLE


def test_threads_take_turns(tmp_path):
    path = tiny_translators.translator(tmp_path / "e.onnx", size=None)
    plain, bound = OnnxEngine(path, read_spec(path), "cpu", 1), engine_of(path)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(20):
            side = 16 + 8 * int(rng.integers(3))
            given = {"image": rng.integers(0, 256, (1, side, 32, 3), np.uint8)}
            if not np.array_equal(bound.run(given)["translation"], plain.run(given)["translation"]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "given",
    [
        {"strange": np.zeros(1, np.float32)},
        {"z": np.zeros((1, 5), np.float32)},
        {"z": np.zeros((1, 3), np.float64)},
        {"known_mask": np.zeros(3, np.uint8)},
    ],
)
def test_what_does_not_fit_is_refused_and_ends_no_session(searcher, opened, given):
    for refused in (searcher.run, lambda arrays: searcher.loop(arrays, CARRIED)):
        with pytest.raises(DeviceError, match=r"failed on cpu for .*expected observed uint8 \[1, 16, 32, 3\]"):
            refused(search_inputs() | given)
    assert opened["sessions"] == 0


def test_after_a_failure_the_session_is_new_and_older_loops_say_so(searcher, opened, monkeypatch):
    loop = searcher.loop(search_inputs(), CARRIED)
    loop.step()
    expected = searcher.run(search_inputs(3))["image"]
    with monkeypatch.context() as patch:

        def failing(self, *_):
            raise RuntimeError("CUDA failure 700: an illegal memory access was encountered ; GPU=0")

        patch.setattr(onnxruntime.InferenceSession, "run_with_iobinding", failing)
        with pytest.raises(DeviceError, match=r"failed on cpu for .*CUDA failure 700: an illegal memory access"):
            searcher.run(search_inputs())
    np.testing.assert_array_equal(searcher.run(search_inputs(3))["image"], expected)
    assert opened["sessions"] == 1
    with pytest.raises(DeviceError, match="the state of this loop is lost; start it anew"):
        loop.step()
    assert opened["sessions"] == 1


def test_a_closed_engine_says_so(searcher):
    loop = searcher.loop(search_inputs(), CARRIED)
    searcher.close()
    searcher.close()
    for call in (lambda: searcher.run(search_inputs()), loop.step, lambda: searcher.loop(search_inputs(), CARRIED)):
        with pytest.raises(ClosedError):
            call()


def test_a_named_gpu_that_is_not_there_is_an_error(tmp_path):
    path = tiny_engines.synthesizer(tmp_path / "e.onnx")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA; the GPU's own tests say what happens there")
    with pytest.raises(DeviceError, match="device 'cuda' is not available"):
        Synthesizer(path, "cuda")


def test_memory_is_estimated_before_weights_are_loaded(tmp_path):
    path = tiny_engines.synthesizer(tmp_path / "e.onnx")
    spec = read_spec(path)

    class Full:
        index = 0

        def memory(self):
            return spec.cost.weight_bytes + spec.cost.activation_bytes - 1, 80_000_000_000

    with pytest.raises(DeviceError, match=r"needs at least .* MB on GPU 0 .* of whose 80,000 MB"):
        onnx_cuda_engine._require_memory(bound_session.EngineSource.of(path), spec, Full())
