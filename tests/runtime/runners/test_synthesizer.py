"""`Synthesizer.run` on engines whose output encodes their input: what the engine and what the caller gets."""

import threading

import numpy as np
import pytest

from runtime import Synthesizer
from runtime.errors import DeviceError, InputError
from tests.runtime import tiny_engines

HEIGHT, WIDTH = tiny_engines.SIZE


def random_ids(high, *shape, seed=0, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, high, shape, dtype=dtype)


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    make = tiny_engines.synthesizer
    return {
        "plain": make(folder / "plain.onnx"),
        "inst": make(folder / "inst.onnx", inst=True),
        "styled": make(folder / "styled.onnx", styles=True),
        "styled_k5": make(folder / "k5.onnx", styles=True, instances=5),
        "dynamic": make(folder / "dynamic.onnx", inst=True, size=None, batch="N"),
        "dynamic_styled": make(folder / "dynamic_styled.onnx", styles=True, size=None, batch="N", instances="K"),
        "batch3": make(folder / "batch3.onnx", styles=True, batch=3),
    }


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64, np.uint64])
def test_label_ids_of_every_integer_dtype_reach_the_engine(engines, dtype):
    labels = random_ids(4, HEIGHT, WIDTH).astype(dtype)
    image = Synthesizer(engines["plain"]).run(labels)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image[..., 0], labels)
    assert not image[..., 1:].any()


def test_labels_and_device_are_attributes(engines):
    synthesizer = Synthesizer(engines["plain"], device="cpu", threads=1)
    assert synthesizer.labels == tiny_engines.LABELS
    assert synthesizer.device == "cpu"
    assert synthesizer.spec.size == tiny_engines.SIZE


def test_an_engine_without_features_gets_the_instance_ids_themselves(engines):
    ids = random_ids(200, HEIGHT, WIDTH, dtype=np.uint16)
    image = Synthesizer(engines["inst"]).run(np.zeros((HEIGHT, WIDTH), np.uint8), ids)
    np.testing.assert_array_equal(image[..., 1], ids)


@pytest.mark.parametrize("kind", ["styled", "styled_k5"])
def test_an_engine_with_features_gets_compact_indices_and_their_rows(engines, kind):
    labels = np.repeat([0, 2, 2, 3], WIDTH // 4).astype(np.uint8)[None].repeat(HEIGHT, 0)
    ids = np.repeat([0, 26001, 26000, 2**31 - 1], WIDTH // 4)[None].repeat(HEIGHT, 0)
    image = Synthesizer(engines[kind]).run(labels, ids, styles={26001: 0, 26000: (8, 5), "person": 1})
    columns = image[0, :: WIDTH // 4]
    np.testing.assert_array_equal(columns, [[0, 0, 0], [2, 2, 12], [2, 1, 85], [3, 3, 91]])


def test_labels_serve_as_instances_when_asked(engines):
    labels = random_ids(4, HEIGHT, WIDTH)
    image = Synthesizer(engines["inst"]).run(labels, edges_from_labels=True)
    np.testing.assert_array_equal(image[..., 1], labels)
    plain = Synthesizer(engines["plain"]).run(labels, edges_from_labels=True)
    np.testing.assert_array_equal(plain[..., 0], labels)


def test_unknown_replaces_every_foreign_id(engines):
    labels = random_ids(4, HEIGHT, WIDTH).astype(np.int16)
    labels[0, :3] = 255, -1, 26001
    image = Synthesizer(engines["plain"]).run(labels, unknown=3)
    expected = labels.copy()
    expected[0, :3] = 3
    np.testing.assert_array_equal(image[..., 0], expected)


@pytest.mark.parametrize("kind", ["inst", "dynamic", "styled", "dynamic_styled", "batch3"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_batch_equals_single_calls(engines, kind, count):
    synthesizer = Synthesizer(engines[kind])
    labels = random_ids(4, count, HEIGHT, WIDTH)
    ids = random_ids(9, count, HEIGHT, WIDTH, seed=1, dtype=np.int32) * 300 + labels
    batch = synthesizer.run(labels, ids, seed=5)
    singles = [synthesizer.run(labels[i], ids[i], seed=5) for i in range(count)]
    assert batch.shape == (count, HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(batch, np.stack(singles))


def test_padding_repeats_the_border_and_is_cropped_away(tmp_path, engines):
    labels, ids = random_ids(4, 11, 29), random_ids(50, 11, 29, dtype=np.int32)
    for kind in ("inst", "dynamic"):
        image = Synthesizer(engines[kind]).run(labels, ids, pad=True)
        assert image.shape == (11, 29, 3)
        assert image.flags.c_contiguous
        np.testing.assert_array_equal(image[..., 0], labels)
        np.testing.assert_array_equal(image[..., 1], ids)


def test_what_the_engine_sees_of_a_padded_map(tmp_path):
    from runtime.runners.checks import pad_to

    padded = pad_to(np.array([[1, 2], [3, 4]], np.uint8), (3, 4))
    np.testing.assert_array_equal(padded, [[1, 2, 2, 2], [3, 4, 4, 4], [3, 4, 4, 4]])
    np.testing.assert_array_equal(pad_to(padded, (4, 4))[3], padded[2])
    np.testing.assert_array_equal(pad_to(padded, (3, 5))[:, 4], padded[:, 3])
    assert pad_to(padded, (3, 4)) is padded


def test_dynamic_engines_take_every_multiple(engines):
    synthesizer = Synthesizer(engines["dynamic"])
    for size in ((8, 8), (24, 40), (8, 64)):
        labels = random_ids(4, *size)
        np.testing.assert_array_equal(synthesizer.run(labels, labels)[..., 0], labels)


def test_views_in_any_memory_order(engines):
    labels, ids = random_ids(4, WIDTH, HEIGHT, 2), random_ids(200, WIDTH, HEIGHT, 2, dtype=np.int32)
    image = Synthesizer(engines["inst"]).run(labels[::-1, :, 1].T, ids[::-1, :, 1].T)
    np.testing.assert_array_equal(image[..., 0], labels[::-1, :, 1].T)
    np.testing.assert_array_equal(image[..., 1], ids[::-1, :, 1].T)


def test_results_are_fresh_arrays(engines):
    synthesizer = Synthesizer(engines["plain"])
    labels = random_ids(4, HEIGHT, WIDTH)
    first = synthesizer.run(labels)
    kept = first.copy()
    second = synthesizer.run(3 - labels)
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(synthesizer.run(labels), kept)


def test_four_threads_get_the_bytes_of_serial_calls(engines):
    synthesizer = Synthesizer(engines["styled"])
    scenes = [(random_ids(4, HEIGHT, WIDTH, seed=i), random_ids(30, HEIGHT, WIDTH, seed=i + 99)) for i in range(40)]
    serial = [synthesizer.run(labels, ids, seed=i) for i, (labels, ids) in enumerate(scenes)]
    results = [None] * len(scenes)

    def work(start):
        for i in range(start, len(scenes), 4):
            results[i] = synthesizer.run(*scenes[i], seed=i)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(np.stack(results), np.stack(serial))


def test_inputs_are_left_alone(engines):
    labels = random_ids(4, 11, 29).astype(np.int16)
    labels[0, 0] = 255
    ids = random_ids(9, 11, 29)
    before = labels.copy(), ids.copy()
    Synthesizer(engines["styled"]).run(labels, ids, pad=True, unknown=0)
    np.testing.assert_array_equal(labels, before[0])
    np.testing.assert_array_equal(ids, before[1])


def test_more_instances_than_the_engine_takes(engines):
    ids = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 6
    with pytest.raises(InputError, match="6 instances, this engine takes up to 5"):
        Synthesizer(engines["styled_k5"]).run(np.zeros((HEIGHT, WIDTH), np.uint8), ids)


def test_as_many_instances_as_the_engine_takes(engines):
    ids = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 5
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    wide = Synthesizer(engines["styled"]).run(labels, ids)
    np.testing.assert_array_equal(Synthesizer(engines["styled_k5"]).run(labels, ids), wide)


def test_a_batch_of_maps_with_different_numbers_of_instances(tmp_path):
    """Where the number is open, the largest of the batch decides."""
    path = tiny_engines.synthesizer(tmp_path / "e.onnx", styles=True, batch=3)
    labels, ids = np.full((3, HEIGHT, WIDTH), 2, np.uint8), np.zeros((3, HEIGHT, WIDTH), np.int32)
    ids[1], ids[2, :3] = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 7, 4
    with Synthesizer(path) as synthesizer:
        single = [synthesizer.run(labels[i], ids[i], seed=3) for i in range(3)]
        np.testing.assert_array_equal(synthesizer.run(labels, ids, seed=3), single)


@pytest.mark.parametrize(
    ("device", "error"), [("cuda", DeviceError), ("tpu", InputError), ("", InputError), (None, InputError)]
)
def test_devices_that_are_not_there(engines, device, error):
    onnxruntime = pytest.importorskip("onnxruntime")
    if device == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine's onnxruntime has CUDA")
    with pytest.raises(
        error, match=r"has no CUDA.*pip install onnxruntime-gpu" if device == "cuda" else "auto, cpu, cuda"
    ):
        Synthesizer(engines["plain"], device=device)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_cuda_that_is_listed_but_does_not_start(engines, monkeypatch):
    """The CPU build told to claim CUDA: who asks for it gets an error, "auto" the CPU and the reason."""
    onnxruntime = pytest.importorskip("onnxruntime")
    available = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" in available:
        pytest.skip("this machine's onnxruntime has CUDA")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", *available])
    monkeypatch.setattr("runtime.engines.backends.onnx_runtime._is_installed", lambda name: True)
    with pytest.raises(DeviceError, match=r"cuda.*device='cpu'"):
        Synthesizer(engines["plain"], device="cuda")
    found = Synthesizer(engines["plain"])
    assert found.device == "cpu"
    assert [reason.split(":")[0] for reason in found.skipped] == ["onnxruntime on cuda"]
    assert "cannot start it" in found.skipped[0]


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_impossible_thread_counts(engines, threads):
    with pytest.raises(InputError, match="threads"):
        Synthesizer(engines["plain"], threads=threads)
