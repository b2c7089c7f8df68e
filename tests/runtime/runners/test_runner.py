"""What all runners share, asked of each of them."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import runtime
from runtime.engines.engine import open_engine
from runtime.errors import ClosedError, DeviceError, EngineFormatError, InputError, MissingFileError
from tests.paths import ROOT
from tests.runtime import tiny_completers, tiny_engines, tiny_inpainters, tiny_translators

RUNNERS = {
    "synthesizer": (runtime.Synthesizer, lambda path: tiny_engines.synthesizer(path, styles=True, instances=70)),
    "translator": (runtime.Translator, tiny_translators.translator),
    "inpainter": (runtime.Inpainter, tiny_inpainters.inpainter),
    "restyler": (runtime.Inpainter, lambda path: tiny_inpainters.inpainter(path, style=True)),
    "sketch_completer": (runtime.SketchCompleter, tiny_completers.completer),
    "style_encoder": (runtime.StyleEncoder, tiny_engines.style_encoder),
}
OPTIONS = {"sketch_completer": {"iterations": 20}}


@pytest.fixture(scope="module", params=RUNNERS)
def kind(request, tmp_path_factory):
    """(class, path, options of `run`) of every runner."""
    runner, write = RUNNERS[request.param]
    return runner, write(tmp_path_factory.mktemp("engines") / "e.onnx"), OPTIONS.get(request.param, {})


def answer(runner, options, seed=0):
    """What it makes of its example, as one array."""
    result = runner.run(**runner.example(runner.spec, noise=True, seed=seed), **options)
    return np.stack(list(result.values())) if isinstance(result, dict) else result


def test_an_engine_by_path_by_bytes_and_open(kind):
    runner, path, options = kind
    expected = answer(runner(path), options)
    for engine in (str(path), path.read_bytes(), bytearray(path.read_bytes()), open_engine(path)):
        np.testing.assert_array_equal(answer(runner(engine), options), expected)


def test_what_is_no_engine(kind):
    runner, path, _ = kind
    with pytest.raises(MissingFileError):
        runner(path.with_name("no.onnx"))
    with pytest.raises(EngineFormatError, match=r"engine of 5 bytes in memory"):
        runner(b"12345")
    with pytest.raises(EngineFormatError, match="expected"):
        runner(open_engine(tiny_engines.baseline(path.with_name("b.onnx"))))
    for wrong in (None, 5, 1.5):
        with pytest.raises(InputError, match="expected a path, a name, or the bytes"):
            runner(wrong)


def test_closing(kind):
    runner, path, options = kind
    with runner(path) as opened:
        answer(opened, options)
    with pytest.raises(ClosedError, match=r"e\.onnx was closed; open it again"):
        answer(opened, options)
    opened.close()
    with pytest.raises(ValueError, match="closed"):  # as of a file
        opened.warm_up()


def test_warming_up(kind):
    runner, path, options = kind
    cold, warm = runner(path), runner(path)
    warm.warm_up()
    np.testing.assert_array_equal(answer(warm, options), answer(cold, options))


def test_examples_have_the_size_that_was_asked_for(kind):
    runner, path, _ = kind
    spec = runner(path).spec
    for size in ((16, 32), (5, 7)):
        for noise in (False, True):
            arrays = runner.example(spec, size, noise=noise)
            assert {array.shape[:2] for array in arrays.values()} == {size}
    blocks, noise = (next(iter(runner.example(spec, (16, 32), noise=noise).values())) for noise in (False, True))
    assert (blocks[0] == blocks[1]).all()
    assert (noise[0] != noise[1]).any()


def test_another_thread_gets_what_it_would_get_alone(kind):
    runner, path, options = kind
    opened = runner(path, threads=1)
    alone = [answer(opened, options, seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            together = list(threads.map(lambda seed: answer(opened, options, seed), range(12)))
            for one, other in zip(alone, together, strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_copy_by_pickle(kind, tmp_path, monkeypatch):
    """Opens the same file with the same options, wherever it works."""
    runner, path, options = kind
    monkeypatch.chdir(path.parent)
    original = runner(path.name, "cpu", backend="onnxruntime", threads=1)
    text = pickle.dumps(original)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(answer(pickle.loads(text), options), answer(original, options))
    (tmp_path / "runner.pickle").write_bytes(text)
    code = (
        "import pickle, pathlib, numpy as np\n"
        "runner = pickle.loads(pathlib.Path('runner.pickle').read_bytes())\n"
        f"result = runner.run(**runner.example(runner.spec, noise=True), **{options!r})\n"
        "np.save('result.npy', np.stack(list(result.values())) if isinstance(result, dict) else result)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "result.npy"), answer(original, options))


def test_what_pickle_cannot_copy(kind):
    runner, path, _ = kind
    with pytest.raises(TypeError, match="make it from a path"):
        pickle.dumps(runner(open_engine(path)))
    copied = pickle.loads(pickle.dumps(runner(path.read_bytes())))
    assert copied.spec == runner(path).spec


def test_backends(kind):
    runner, path, _ = kind
    assert runner(path, backend="onnxruntime").backend == "onnxruntime"
    with pytest.raises(InputError, match="backend 'magic' is unknown; give one of auto, "):
        runner(path, backend="magic")
    with pytest.raises(InputError, match="device 'cuda:x' is unknown; give auto, cpu, cuda or cuda:1"):
        runner(path, device="cuda:x")
    with pytest.raises(InputError, match="cpu:1"):
        runner(path, device="cpu:1")
    with pytest.raises(DeviceError, match="cuda:3"):
        runner(path, device="cuda:3", backend="onnxruntime")


def test_a_runner_says_what_it_is(tmp_path):
    path = tiny_translators.translator(tmp_path / "e.onnx")
    translator = runtime.Translator(path, device="cpu", backend="onnxruntime")
    assert repr(translator) == f"<Translator {path}: pix2pix, any size, fp32, onnxruntime on cpu>"
    assert repr(runtime.Translator(path.read_bytes())).startswith("<Translator of ")
