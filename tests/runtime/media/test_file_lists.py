"""Lists of files in the place of folders."""

import numpy as np
import pytest
from PIL import Image

from runtime.errors import InputError, MissingFileError
from runtime.media.file_lists import files_in
from runtime.media.input_files import find_images, find_label_maps
from runtime.media.mates import match_instances, match_masks
from tests.runtime import tiny_engines
from tests.runtime.commands.test_command_line import run


def test_a_text_list_names_files_in_its_order(tmp_path):
    (tmp_path / "list.txt").write_text("b/2.png\n\n  a/10.png \r\n/elsewhere/x.png\n")
    found = files_in(tmp_path / "list.txt", "image")
    assert [str(path) for path in found] == [str(tmp_path / "b/2.png"), str(tmp_path / "a/10.png"), "/elsewhere/x.png"]
    assert find_images([tmp_path / "list.txt"], (".png",), ".png") == found
    assert find_label_maps([tmp_path / "list.txt"]) == found


def test_a_parquet_list(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="the extra ray is not installed; CI's own environment has it")
    from pyarrow import parquet

    table = pyarrow.table({"weather": ["dry", "wet"], "path": ["a.png", "b/c.png"]})
    parquet.write_table(table, tmp_path / "list.parquet")
    assert files_in(tmp_path / "list.parquet", "image") == [tmp_path / "a.png", tmp_path / "b/c.png"]
    for wrong in ({"file": ["a.png"]}, {"path": [1]}, {"path": ["a.png", None]}, {"path": [""]}):
        parquet.write_table(pyarrow.table(wrong), tmp_path / "wrong.parquet")
        with pytest.raises(InputError, match="'path'"):
            files_in(tmp_path / "wrong.parquet", "image")
    (tmp_path / "damaged.parquet").write_bytes((tmp_path / "list.parquet").read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        files_in(tmp_path / "damaged.parquet", "image")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\n \n", "names no image"), (b"\xff\xfe\n", "no text in UTF-8"), (b"a.png\0b.png", "is no text")],
)
def test_what_is_no_list_is_refused(tmp_path, content, message):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        files_in(tmp_path / "list.txt", "image")


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(MissingFileError, match=r"list of images .*list.txt does not exist"):
        find_images([tmp_path / "list.txt"], (".png",), ".png")


def test_mates_may_be_listed_too(tmp_path):
    (tmp_path / "labels.txt").write_text("x/one_labelIds.png\ny/two_labelIds.png\n")
    (tmp_path / "instances.txt").write_text("p/two_instanceIds.png\nq/one_instanceIds.png\nq/three_instanceIds.png\n")
    mates = match_instances(find_label_maps([tmp_path / "labels.txt"]), tmp_path / "instances.txt")
    assert mates == [tmp_path / "q/one_instanceIds.png", tmp_path / "p/two_instanceIds.png"]
    (tmp_path / "photos.txt").write_text("x/one.png\ny/two.png\n")
    (tmp_path / "masks.txt").write_text("m/two_mask.png\nm/one.png\n")
    for name in ("x/one.png", "y/two.png", "m/one.png", "m/two_mask.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    photos = find_images([tmp_path / "photos.txt"], (".png",), ".png")
    assert match_masks(photos, tmp_path / "masks.txt") == [tmp_path / "m/one.png", tmp_path / "m/two_mask.png"]


def test_a_command_goes_through_a_list(tmp_path):
    """What is missing is told at the end; the others are made."""
    engine = tiny_engines.synthesizer(tmp_path / "tiny.onnx")
    for name in ("a/1", "b/2"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir()
        Image.fromarray(np.zeros(tiny_engines.SIZE, np.uint8)).save(path)
    (tmp_path / "list.txt").write_text("a/1.png\nb/2.png\nb/3.png\n")
    result = run("synthesize", engine, tmp_path / "list.txt", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "1 of 3 images failed" in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.png", "2.png"]
