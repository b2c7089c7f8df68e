"""ONNX Runtime on a real GPU: `python -m pytest -m gpu tests/runtime -rA -n 0`."""

import threading
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import onnxruntime
import pytest

from runtime import SketchCompleter, StyleEncoder, Synthesizer, Translator
from runtime.commands import ASSETS
from runtime.engines.backend import Device
from runtime.engines.onnx_cuda_engine import OnnxCudaEngine
from runtime.engines.onnx_metadata import read_spec
from runtime.errors import DeviceError
from tests.runtime import tiny_completers, tiny_translators
from tests.runtime.engines.test_onnx_engine import inputs as search_inputs

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        "CUDAExecutionProvider" not in onnxruntime.get_available_providers(),
        reason="this onnxruntime has no CUDA; runs where onnxruntime-gpu and a GPU are",
    ),
]
GPU = Device("cuda")


@pytest.fixture
def used_bytes():
    """A function: of the GPU's memory."""
    if not find_spec("cuda"):
        pytest.skip("cuda-bindings is not installed: pip install cuda-bindings")
    library = import_module("cuda.bindings.runtime")

    def used():
        status, free, total = library.cudaMemGetInfo()
        assert int(status) == 0
        return total - free

    return used


def shipped(name, **options):
    path = ASSETS / f"{name}.onnx"
    return OnnxCudaEngine(path, read_spec(path), GPU, **options)


@pytest.mark.parametrize(
    ("runner", "name", "size"),
    [(Synthesizer, "street", None), (Translator, "edges2photo", (256, 256)), (Translator, "edges2photo", (128, 192))],
)
def test_images_are_those_of_the_cpu_with_and_without_graphs(runner, name, size):
    example = runner.example(read_spec(ASSETS / f"{name}.onnx"), size)
    expected = runner(ASSETS / f"{name}.onnx", "cpu").run(**example).astype(int)
    for options in ({}, {"use_graphs": False}, {"use_pinned_memory": False}):
        engine = shipped(name, **options)
        assert engine.has_graphs == options.get("use_graphs", True), engine.skipped
        assert engine.has_pinned_memory == options.get("use_pinned_memory", bool(find_spec("cuda"))), engine.skipped
        for _ in range(3):
            assert np.abs(runner(engine).run(**example).astype(int) - expected).max() <= 1
        engine.close()


def test_a_replayed_graph_sees_the_new_input():
    path = ASSETS / "edges2photo.onnx"
    cpu, gpu = Translator(path, "cpu"), Translator(path, "cuda")
    rng = np.random.default_rng(0)
    for _ in range(4):
        drawing = rng.integers(0, 256, (128, 128, 1), np.uint8)
        assert np.abs(gpu.run(drawing).astype(int) - cpu.run(drawing)).max() <= 1


def test_styles_are_those_of_the_cpu():
    path = ASSETS / "street.encoder.onnx"
    example = StyleEncoder.example(read_spec(path))
    styles = [StyleEncoder(path, device).run(**example) for device in ("cpu", "cuda")]
    assert styles[0].keys() == styles[1].keys()
    for key, style in styles[0].items():
        np.testing.assert_allclose(styles[1][key], style, atol=1e-3)


def test_searches_are_those_of_the_cpu_and_their_scalars_are_read_anew():
    completers = [SketchCompleter(ASSETS / "faces.onnx", device) for device in ("cpu", "cuda")]
    joint = completers[0].joint(SketchCompleter.example(completers[0].spec)["image"])
    for options in ({}, {"learning_rate": 0.02, "momentum": 0.3, "perceptual_weight": 0.5, "z_limit": 0.4}):
        cpu, gpu = (c.complete(*joint, iterations=20, stop_early=False, **options) for c in completers)
        np.testing.assert_allclose(gpu.contextual_loss, cpu.contextual_loss, rtol=0.01)


def test_threads_share_an_engine_and_memory_stays(tmp_path, used_bytes):
    """Eight threads, 200 calls each, of three shapes. What every thread captures is taken before the first look."""
    path = tiny_translators.translator(tmp_path / "e.onnx", size=None)
    spec = read_spec(path)
    engine, cpu, wrong, seen = OnnxCudaEngine(path, spec, GPU), Translator(path, "cpu"), [], []
    images = [np.random.default_rng(i).integers(0, 256, (1, 32 + 8 * (i % 3), 64, 3), np.uint8) for i in range(6)]
    expected = [cpu.run(image).astype(int) for image in images]
    barrier = threading.Barrier(8, action=lambda: seen.append(used_bytes()))

    def work():
        for call in range(200):
            if call == 20:
                barrier.wait()
            index = call % len(images)
            output = engine.run({"image": images[index]})["translation"]
            if np.abs(output.astype(int) - expected[index]).max() > 1:
                wrong.append(index)
        barrier.wait()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert seen[1] - seen[0] <= 8 << 20
    engine.close()


def test_dropped_loops_and_closed_engines_give_memory_back(tmp_path, used_bytes):
    path = tiny_completers.completer(tmp_path / "e.onnx")
    spec, seen = read_spec(path), []
    for turn in range(12):
        engine = OnnxCudaEngine(path, spec, GPU)
        for seed in range(20):
            loop = engine.loop(search_inputs(seed), {"next_z": "z", "next_velocity": "velocity"})
            loop.step()
            assert np.isfinite(loop.fetch("next_z")).all()
        del loop
        engine.close()
        if turn >= 4:
            seen.append(used_bytes())
    assert seen[-1] - seen[0] <= 64 << 20


def test_the_first_gpu_has_two_names_and_the_hundredth_none(tmp_path):
    path = tiny_translators.translator(tmp_path / "e.onnx")
    assert Translator(path, "cuda:0").device == "cuda"
    with pytest.raises(DeviceError):
        Translator(path, "cuda:99")


def test_what_no_gpu_has_room_for_is_told_before_loading(tmp_path):
    from dataclasses import replace

    path = ASSETS / "street.onnx"
    spec = read_spec(path)
    huge = replace(spec, cost=replace(spec.cost, activation_bytes=1 << 50))
    with pytest.raises(DeviceError, match="needs at least .* MB on GPU 0 .* are free"):
        OnnxCudaEngine(path, huge, GPU)
