"""Session files: written whole, and opened only where they make sense."""

import io
import json
import struct
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from runtime import Editor, Synthesizer
from runtime.engines.labels import LabelSpec
from runtime.errors import InputError, MissingFileError, OutputError, SessionError
from tests.runtime import tiny_engines

SIZE = tiny_engines.SIZE


@pytest.fixture(scope="module")
def synthesizer(tmp_path_factory):
    with Synthesizer(tiny_engines.synthesizer(tmp_path_factory.mktemp("a") / "tiny.onnx", styles=True)) as runner:
        yield runner


@pytest.fixture
def saved(synthesizer, tmp_path):
    editor = Editor(synthesizer, seed=3)
    mask = np.zeros(SIZE, bool)
    mask[9:12, 4:10] = True
    editor.add_object("car", mask)
    editor.restyle(2000, 1)
    editor.restyle("car", 2)
    editor.undo()
    editor.save(tmp_path / "scene.npz")
    return tmp_path / "scene.npz"


def other_engine(folder, **changes):
    spec = replace(tiny_engines.synthesizer_spec(styles=True), **changes)
    return Synthesizer(tiny_engines.save(folder / "other.onnx", spec, *tiny_engines.synthesizer_graph(spec)))


def test_a_session_goes_on_where_it_stopped(saved, synthesizer):
    notes = []
    editor = Editor.open(saved, synthesizer, notify=notes.append)
    assert notes == []
    assert editor.seed == 3
    assert editor.steps == (2, 1)
    assert editor.scene()["styles"] == {2000: (3.0, 4.0)}
    assert editor.redo()
    assert editor.undo()
    assert editor.undo()
    assert editor.scene()["styles"] == {}


def test_it_is_a_plain_archive_of_numbers(saved):
    with np.load(saved, allow_pickle=False) as archive:
        assert archive["label_map"].shape == archive["inst_map"].shape == SIZE
        assert json.loads(archive["document"].tobytes())["checkpoint_sha256"] == "0" * 64


def test_another_engine_of_the_same_classes_is_told(saved, tmp_path):
    notes = []
    with other_engine(tmp_path, checkpoint_sha256="1" * 64) as other:
        editor = Editor.open(saved, other, notify=notes.append)
    assert notes == [
        "the session was made with another engine of the same classes; its styles were taken over and may look "
        "otherwise"
    ]
    assert editor.scene()["styles"] == {2000: (3.0, 4.0)}


def test_styles_of_another_length_are_left_out_in_all_of_history(saved, tmp_path):
    notes = []
    with Synthesizer(tiny_engines.synthesizer(tmp_path / "plain.onnx")) as plain:
        same = replace(plain.spec, checkpoint_sha256="1" * 64)
        plain.spec = same
        editor = Editor.open(saved, plain, notify=notes.append)
        assert notes == [
            "the session was made with another engine of the same classes; its styles are of no use here and were left "
            "out"
        ]
        while editor.redo():
            pass
        while editor.undo():
            pass
        assert editor.render().shape == (*SIZE, 3)


def test_an_engine_of_other_classes_is_refused(saved, tmp_path):
    labels = LabelSpec(("sky", "road", "tram", "person"), tiny_engines.LABELS.palette)
    with other_engine(tmp_path, labels=labels) as other, pytest.raises(SessionError, match="sky, road, tram"):
        Editor.open(saved, other)


def test_an_engine_of_another_size_is_refused(saved, tmp_path):
    with (
        Synthesizer(tiny_engines.synthesizer(tmp_path / "large.onnx", styles=True, size=(32, 32))) as large,
        pytest.raises(InputError, match="exactly 32×32"),
    ):
        Editor.open(saved, large)


def test_a_smaller_bound_forgets_what_is_oldest(saved, synthesizer):
    assert Editor.open(saved, synthesizer, history_bytes=0).steps == (0, 0)


def test_a_file_that_cannot_be_written_leaves_the_old_one(saved, synthesizer):
    with pytest.raises(OutputError):
        Editor(synthesizer).save(saved / "below.npz")
    with pytest.raises(OutputError):
        Editor(synthesizer).save(saved.parent)
    assert Editor.open(saved, synthesizer).steps == (2, 1)


def test_every_truncation_is_refused(saved, synthesizer):
    content = saved.read_bytes()
    for length in (0, 1, 100, len(content) // 2, len(content) - 1):
        saved.write_bytes(content[:length])
        with pytest.raises(SessionError, match=f"session {saved}"):
            Editor.open(saved, synthesizer)
    with pytest.raises(MissingFileError):
        Editor.open(saved.with_name("none.npz"), synthesizer)


@pytest.mark.parametrize(
    "header",
    [
        *(b"{'descr': '|u1', 'shape': ((((", b"{'descr': '|u1', 'shape", b"{]", b"\x00", b"[] + 1", b"{'descr': ()}"),
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (9" + b"9" * 20 + b",)}",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 10000000)}",
        b"{'descr': '|V0', 'fortran_order': False, 'shape': (4, 4)}",
    ],
)
@pytest.mark.parametrize("member", ["label_map", "document"])
def test_a_damaged_header_of_an_array(saved, synthesizer, header, member):
    """numpy reads it with Python's own parser, and lets out whatever that raises."""
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    with_member(saved, f"{member}.npy", content)
    with pytest.raises(SessionError, match="cannot be opened"):
        Editor.open(saved, synthesizer)


def test_a_member_that_is_no_array_or_encrypted(saved, synthesizer):
    with_member(saved, "history.npy", b"no array")
    with pytest.raises(SessionError, match="its history is no array"):
        Editor.open(saved, synthesizer)
    content = bytearray(saved.read_bytes())
    begin = content.rindex(b"PK\x01\x02")
    content[begin + 8] |= 1  # the flag of an encrypted member
    saved.write_bytes(content)
    with pytest.raises(SessionError, match="cannot be opened"):
        Editor.open(saved, synthesizer)


def with_member(path, name, content):
    """The archive with a member replaced."""
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()} | {name: content}
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def rewritten(path, **arrays):
    with np.load(path) as archive:
        content = {name: archive[name] for name in archive.files} | arrays
    np.savez(path, **{name: value for name, value in content.items() if value is not None})


def document_of(path):
    with np.load(path) as archive:
        return json.loads(archive["document"].tobytes())


def as_array(document):
    return np.frombuffer(json.dumps(document).encode(), np.uint8)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format_version", 2, "reads up to 1; upgrade pix2rt"),
        ("format_version", True, "format_version"),
        ("position", 4, "position is 4"),
        ("position", -1, "position is -1"),
        ("things", [4], "things is 4"),
        ("styles", [], "expected a list of 1"),
        ("styles", [{"seed": -1, "instances": [], "classes": []}], "seed is -1"),
        ("styles", [{"seed": 0, "instances": [[2000, [1.0]]], "classes": []}], "a style has 1 values"),
        ("styles", [{"seed": 0, "instances": [[2000, [1e999, 1]]], "classes": []}], "a feature"),
        ("styles", [{"seed": 0, "instances": [7], "classes": []}], "no pair"),
        ("changes", [{"box": [0, 0, 17, 4], "bytes": 0, "styles": 0, "replaces_styles": True}], "not within the maps"),
        ("changes", [{"box": [3, 0, 3, 4], "bytes": 0, "styles": 0, "replaces_styles": True}], "not within the maps"),
        ("changes", [{"box": [0, 0, 1, 1], "bytes": 9, "styles": 0, "replaces_styles": True}], "a change"),
        ("changes", [{"box": [0, 0, 1, 1], "bytes": 10**6, "styles": 0, "replaces_styles": True}], "bytes is"),
        ("changes", [{"box": [0, 0, 1, 1], "bytes": 0, "styles": 9, "replaces_styles": True}], "styles is 9"),
        ("changes", 5, "changes is 5"),
        ("checkpoint_sha256", None, "checkpoint_sha256"),
        ("classes", "sky", "classes"),
    ],
)
def test_a_document_that_makes_no_sense(saved, synthesizer, field, value, message):
    rewritten(saved, document=as_array(document_of(saved) | {field: value}))
    with pytest.raises(SessionError, match=message):
        Editor.open(saved, synthesizer)


def objects():
    return np.array([{"never": "unpickled"}], dtype=object)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"label_map": np.full(SIZE, 4, np.uint8)}, "ids that are none"),
        ({"label_map": np.zeros(SIZE, np.int64)}, "its label_map is int64"),
        ({"label_map": np.zeros((4, 4), np.uint8)}, r"its maps are \[4, 4\] and"),
        ({"inst_map": np.full(SIZE, -1, np.int32)}, "ids that are none"),
        ({"inst_map": np.full(SIZE, 5, np.int32)}, "the instance 5 has pixels of 'sky', 'road'"),
        ({"history": np.zeros(10, np.uint8)}, "bytes is|damaged"),
        ({"history": None}, "not a session that Editor.save wrote"),
        ({"more": np.zeros(1)}, "not a session that Editor.save wrote"),
        ({"document": np.zeros(9, np.uint8)}, "cannot be opened"),
        ({"document": as_array([])}, "expected an object"),
        ({"label_map": objects()}, "cannot be opened"),
    ],
)
def test_arrays_that_make_no_sense(saved, synthesizer, arrays, message):
    rewritten(saved, **arrays)
    with pytest.raises(SessionError, match=message):
        Editor.open(saved, synthesizer)


def test_a_small_archive_that_claims_gigabytes_takes_no_memory(saved, synthesizer):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**15, 2**14)})
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, header.getvalue() + bytes(2**29) if name == "label_map.npy" else content)
    with pytest.raises(SessionError, match="its label_map takes 536871040 bytes, expected up to 268435456"):
        Editor.open(saved, synthesizer)


def test_a_change_that_unpacks_to_more_than_its_box(saved, synthesizer):
    document = document_of(saved)
    document["changes"][0]["box"] = [0, 0, 1, 1]
    rewritten(saved, document=as_array(document))
    with pytest.raises(SessionError, match="a change holds 6 bytes, expected 5"):
        Editor.open(saved, synthesizer)
