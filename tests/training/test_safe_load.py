"""Hostile and damaged files: nothing inside them runs, and only the project's own errors come out."""

import io
import os
import pickle
import pickletools
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runtime.errors import MissingFileError
from tests.paths import GOLDEN, needs_golden
from training.errors import CheckpointError
from training.pickled_arrays import read_pickled_arrays
from training.safe_load import load_pickled_dict, load_state_dict_file

# torch warns of pickle protocols it did not write, and of tensors its own reader makes.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Runs:
    """Pickles to a call of `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def as_npy(payload: bytes, header: bytes = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }") -> bytes:
    padded = header + b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded + payload


def saved_styles(styles: object, path: Path, protocol: int = 4) -> Path:
    path.write_bytes(as_npy(pickle.dumps(np.array(styles, dtype=object), protocol=protocol)))
    return path


STYLES = {3: np.linspace(0, 1, 6).reshape(2, 3), np.int64(26): np.ones((4, 3), np.float32), "7": np.zeros((1, 3))}


# --- style clusters that are as they should be


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_styles_of_every_protocol(tmp_path, protocol):
    """numpy has written protocols 2 (until 1.16), 3 and 4; protocol 2 spells bytes as a call of _codecs.encode."""
    styles = STYLES | {5: np.zeros((0, 3)), 6: np.asfortranarray(STYLES[3]), 8: STYLES[3].astype(">f8")}
    loaded = load_pickled_dict(saved_styles(styles, tmp_path / "s.npy", protocol))
    assert set(loaded) == set(styles)
    for key, centres in styles.items():
        np.testing.assert_array_equal(loaded[key], centres)


def test_styles_as_numpy_save_writes_them(tmp_path):
    np.save(tmp_path / "s.npy", np.array(STYLES), allow_pickle=True)
    loaded = load_pickled_dict(tmp_path / "s.npy")
    assert all(np.array_equal(loaded[key], centres) for key, centres in STYLES.items())


def test_styles_written_by_python_2(tmp_path):
    """Byte strings (BINSTRING) for data and type code, the old module name, integer keys."""
    data = np.array([[1.5, -2.0, 0.25]]).tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01K\x01K\x03\x86cnumpy\ndtype\n"
        b"(U\x02f8K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x18" + data + b"tb"
    )
    outer = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01)cnumpy\ndtype\n"
    outer += b"(U\x02O8K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb\x89]}K\x04" + array + b"satb."
    assert pickle.loads(outer, encoding="latin1").item()[4].tolist() == [
        [1.5, -2.0, 0.25]
    ]  # numpy agrees with the fixture
    (tmp_path / "s.npy").write_bytes(as_npy(outer))
    np.testing.assert_array_equal(load_pickled_dict(tmp_path / "s.npy")[4], [[1.5, -2.0, 0.25]])


@needs_golden
def test_golden_styles_equal_numpys():
    pytest.importorskip("numpy._core", reason="the file is a pickle of numpy 2, which this numpy does not read")
    path = GOLDEN / "pix2pixhd_local_features" / "features_clustered_010.npy"
    reference = np.load(path, allow_pickle=True).item()
    loaded = load_pickled_dict(path)
    assert set(loaded) == set(reference)
    assert all(np.array_equal(loaded[key], centres) for key, centres in reference.items())


# --- hostile pickles


def hostile(flag: Path) -> dict[str, object]:
    command = f"touch {flag}"
    return {
        "os.system": Runs(os.system, command),
        "eval": Runs(eval, f"open({str(flag)!r}, 'w')"),
        "exec": Runs(exec, f"open({str(flag)!r}, 'w')"),
        "open": Runs(open, str(flag), "w"),
        "getattr": Runs(getattr, "text", "upper"),
        "nested": {1: Runs(eval, f"open({str(flag)!r}, 'w')")},
        "in an array": np.array([Runs(os.system, command)], dtype=object),
        "numpy.load": Runs(np.load, str(flag), None, True),
        "runstring": Runs(np.ndarray.tofile, np.zeros(1), str(flag)),
    }


@pytest.mark.parametrize("kind", sorted(hostile(Path("flag"))))
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_hostile_objects_do_not_run(tmp_path, kind, protocol):
    flag = tmp_path / "flag"
    bomb = hostile(flag)[kind]
    (tmp_path / "s.npy").write_bytes(as_npy(pickle.dumps(bomb, protocol=protocol)))
    saved_styles({1: bomb}, tmp_path / "in_dict.npy", protocol)
    torch.save({"model.1.weight": bomb}, tmp_path / "zip.pth")
    torch.save({"model.1.weight": bomb}, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(bomb, protocol=protocol))
    for name in ("s.npy", "in_dict.npy"):
        with pytest.raises(CheckpointError, match="was not loaded"):
            load_pickled_dict(tmp_path / name)
    for name in ("zip.pth", "legacy.pth", "raw.pth"):
        with pytest.raises(CheckpointError):
            load_state_dict_file(tmp_path / name)
    assert not flag.exists()


def test_the_fixture_is_hostile_indeed(tmp_path):
    pickle.loads(pickle.dumps(hostile(tmp_path / "flag")["os.system"]))
    assert (tmp_path / "flag").exists()


DTYPE_OF_OBJECTS = b"cnumpy\ndtype\n(U\x02O8K\x00K\x01tR"
ARRAY = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"


@pytest.mark.parametrize(
    "program",
    [
        b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",  # STACK_GLOBAL
        b"cnumpy._core.multiarray\n_reconstruct.__globals__\n.",  # dotted name
        b"cnumpy._core.multiarray\n_reconstruct\n(cos\nsystem\nK\x00\x85U\x01btR.",  # another class to reconstruct
        b"cnumpy._core.multiarray\n_reconstruct\n}\x8c\x0c__defaults__K\x01sb.",  # BUILD on the function
        b"cnumpy\nndarray\n(J\xff\xff\xff\x7f\x85\x8c\x02f8tR.",  # uninitialised memory
        # Bytes as the pointers of an object array: dtype flags forged to 0, then the same with a forged record type.
        ARRAY + b"(K\x01K\x01\x85" + DTYPE_OF_OBJECTS
        + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08AAAAAAAAtb.",
        ARRAY + b"(K\x01K\x01\x85cnumpy\ndtype\n(U\x02V8K\x00K\x01tR(K\x03U\x01|N(U\x01at}U\x01a"
        + DTYPE_OF_OBJECTS + b"K\x00\x86sK\x08K\x01K\x00tb\x89U\x08AAAAAAAAtb.",
        ARRAY + b"(K\x01J\xff\xff\xff\x7f\x85cnumpy\ndtype\n(U\x02f8tR\x89U\x08AAAAAAAAtb.",  # 16 GB from eight bytes
        ARRAY + b"(K\x01J\xff\xff\xff\xff\x85cnumpy\ndtype\n(U\x02f8tR\x89U\x08AAAAAAAAtb.",  # a negative side
        ARRAY + b".",  # never filled
        b"(K\x01K\x02K\x03d.",  # protocol 0 dictionary
        b"ios\nsystem\n(U\x04truetR.",  # INST
        b"(cos\nsystem\nU\x04trueo.",  # OBJ
        b"cos\nsystem\nU\x04true\x85\x81.",  # NEWOBJ
        b"\x82\x01.",  # EXT1
        b"U\x01aQ.",  # BINPERSID
        b"r\xff\xff\xff\x7f.",  # memo index that would allocate 16 GB, on an empty stack
        b"K\x01r\xff\xff\xff\x7f.",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",  # BINBYTES8 of 2^63 bytes
        b"}K\x01K\x02K\x03u.",  # SETITEMS without a mark
        b"}()" + b"\x86".join([b"2"] * 3) + b".",  # DUP
        b"})K\x01s.",  # a tuple as key
        b"((((.", b"}(K\x01u.", b"0.", b".", b"", b"\x80\x05\x97.",
    ],
)  # fmt: skip
def test_forged_programs_are_refused(program, tmp_path):
    (tmp_path / "s.npy").write_bytes(as_npy(b"\x80\x02" + program))
    with pytest.raises(CheckpointError):
        load_pickled_dict(tmp_path / "s.npy")


def test_nested_tuples_as_key_are_not_hashed():
    doubling = b"\x80\x02})" + b"q\x00h\x00\x86" * 60 + b"K\x01s."
    with pytest.raises(ValueError, match="tuple"):
        read_pickled_arrays(doubling)


def test_the_same_bytes_over_and_over_take_no_memory():
    """16 kB of data, named 300 times by a pickle of 50 kB, would be 5 MB; of the largest file it would be terabytes."""
    size = 2**14
    array = (
        ARRAY + b"(K\x01" + b"J" + size.to_bytes(4, "little") + b"\x85cnumpy\ndtype\n(U\x02u1K\x00K\x01tR\x89h\x00tba"
    )
    begin = b"\x80\x02]B" + size.to_bytes(4, "little") + bytes(size) + b"q\x00a"
    assert len(read_pickled_arrays(begin + 2 * array + b".")) == 3
    with pytest.raises(ValueError, match="larger than the file"):
        read_pickled_arrays(begin + 300 * array + b".")
    encode = b"X" + size.to_bytes(4, "little") + b"a" * size + b"q\x00a"
    once = b"c_codecs\nencode\nh\x00U\x06latin1\x86Ra"
    assert len(read_pickled_arrays(b"\x80\x02]" + encode + once + b".")) == 2
    with pytest.raises(ValueError, match="larger than the file"):
        read_pickled_arrays(b"\x80\x02]" + encode + 300 * once + b".")


def test_deep_nesting_is_no_crash():
    with pytest.raises(ValueError, match="damaged"):
        read_pickled_arrays(b"\x80\x02]" + b"\x85" * 200_000 + b"a.")


# --- damaged files


@pytest.fixture(scope="module")
def good_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    saved_styles(STYLES, folder / "s.npy")
    state = {"a.weight": torch.arange(12.0).reshape(3, 4), "a.bias": torch.ones(3).half()}
    torch.save(state, folder / "zip.pth")
    torch.save(state, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    return folder


def load(path: Path) -> None:
    (load_pickled_dict if path.suffix == ".npy" else load_state_dict_file)(path)


@pytest.mark.parametrize("name", ["s.npy", "zip.pth", "legacy.pth"])
def test_truncation_at_any_length(good_files, name, tmp_path):
    content = (good_files / name).read_bytes()
    load(good_files / name)
    for length in sorted({*range(0, len(content), max(1, len(content) // 150)), len(content) - 1}):
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=name):
            load(tmp_path / name)


@pytest.mark.parametrize("name", ["s.npy", "zip.pth", "legacy.pth"])
@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=4))
@FUZZ
def test_flipped_bytes_give_our_errors_only(good_files, tmp_path, name, flips):
    content = bytearray((good_files / name).read_bytes())
    for position, difference in flips:
        content[position % len(content)] ^= difference
    (tmp_path / name).write_bytes(content)
    with suppress(CheckpointError):
        load(tmp_path / name)


@given(payload=st.binary(max_size=60))
@example(payload=b"\x80\x02.")
@FUZZ
def test_random_pickles_give_our_errors_only(tmp_path, payload):
    (tmp_path / "s.npy").write_bytes(as_npy(payload))
    with pytest.raises(CheckpointError):
        load_pickled_dict(tmp_path / "s.npy")


OPCODES = st.sampled_from([op.code.encode("latin-1") for op in pickletools.opcodes])


@given(program=st.lists(OPCODES | st.just(ARRAY) | st.just(DTYPE_OF_OBJECTS) | st.binary(max_size=3), max_size=12))
@FUZZ
def test_random_opcodes_give_value_errors_only(program):
    with suppress(ValueError):
        read_pickled_arrays(b"\x80\x02" + b"".join(program) + b".")


# --- files of the wrong kind


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "no state dict"),
        ({}, "no state dict"),
        ({"state_dict": {"a": torch.zeros(1)}}, "no state dict"),
        (torch.zeros(1), "no state dict"),
        ({"a": torch.zeros(2, 2).to_sparse()}, "a is no ordinary dense tensor"),
        ({"a": torch.zeros(1).expand(10**12)}, "a is no ordinary dense tensor"),
        ({"a": torch.zeros(3, device="meta")}, "a is no ordinary dense tensor"),
        (torch.nn.Linear(2, 2), "more than tensors"),
    ],
)
def test_pth_of_another_kind(content, message, tmp_path):
    torch.save(content, tmp_path / "G.pth")
    with pytest.raises(CheckpointError, match=message):
        load_state_dict_file(tmp_path / "G.pth")


def test_npy_of_another_kind(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(CheckpointError, match="ordinary array"):
        load_pickled_dict(tmp_path / "array.npy")
    saved_styles([1, 2], tmp_path / "list.npy")
    with pytest.raises(CheckpointError, match=r"list\.npy"):
        load_pickled_dict(tmp_path / "list.npy")
    (tmp_path / "text.npy").write_text("features")
    with pytest.raises(CheckpointError, match=r"no \.npy file"):
        load_pickled_dict(tmp_path / "text.npy")
    with (tmp_path / "huge.npy").open("wb") as stream:
        stream.truncate(2**27)
    with pytest.raises(CheckpointError, match="larger than 64 MiB"):
        load_pickled_dict(tmp_path / "huge.npy")


@pytest.mark.parametrize("function", [load_pickled_dict, load_state_dict_file])
def test_missing_file_and_directory(function, tmp_path):
    with pytest.raises(MissingFileError, match="does not exist"):
        function(tmp_path / "none")
    with pytest.raises(MissingFileError, match="directory"):
        function(tmp_path)


def test_parameters_come_without_gradients(tmp_path):
    torch.save({"a": torch.nn.Parameter(torch.ones(2))}, tmp_path / "G.pth")
    assert not load_state_dict_file(tmp_path / "G.pth")["a"].requires_grad


def test_file_object_pickles_load_the_same():
    stream = io.BytesIO()
    pickle.dump(np.array({1: np.eye(2)}, dtype=object), stream, protocol=4)
    value = read_pickled_arrays(stream.getvalue())
    assert isinstance(value, dict)
    np.testing.assert_array_equal(value[1], np.eye(2))
