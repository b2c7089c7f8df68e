"""Files that are no weights are named as what they are, with what to do."""

import io
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.junyanz_networks import UNet
from training.errors import CheckpointError
from training.imports.detection import import_checkpoint

UNET = UNet(3, 3, 5, 2, "batch")


def zip_of(**entries: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def repacked(compression: int, folder: str) -> bytes:
    source, stream = io.BytesIO(), io.BytesIO()
    torch.save(UNET.state_dict(), source)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(stream, "w", compression) as new:
        for name in old.namelist():
            new.writestr(folder + name.partition("/")[2], old.read(name))
    return stream.getvalue()


def torchscript() -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # torch calls it deprecated
        torch.jit.save(torch.jit.trace(nn.Conv2d(3, 3, 1), torch.zeros(1, 3, 4, 4)), stream)
    return stream.getvalue()


def numpy_file() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


OTHERS: dict[str, tuple[bytes, str]] = {
    "web page": (b"\n<!DOCTYPE html><html><title>Sign in</title></html>", "a web page or XML (“Sign in”)"),
    "web page with a mark": (b"\xef\xbb\xbf<html></html>", "a web page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
    "annex": (b"/annex/objects/SHA256E-s12--ab.pth\n", "git annex get"),
    "json": (b'{"error": "not found"}', "JSON text"),
    "text": (b"Too many users have viewed this file.", "text (Too many users"),
    "empty": (b"", "empty; copy or download"),
    "t7 in binary": (b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1\x11\0\0\0nn.Sequential", "Lua Torch"),
    "t7 in ascii": (b"4\n1\n3\nV 1\n13\nnn.Sequential\n", "Lua Torch"),
    "keras": (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
    "gzip": (b"\x1f\x8b\x08" + bytes(64), "gzip"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(64), "PNG"),
    "numpy": (numpy_file(), "numpy array"),
    "torchscript": (torchscript(), "TorchScript"),
    "zip of a checkpoint": (zip_of(**{"latest_net_G.pth": b"x", "opt.txt": b"y"}), "latest_net_G.pth, opt.txt"),
    "repacked, compressed": (repacked(zipfile.ZIP_DEFLATED, "archive/"), "compressed again"),
    "repacked without its folder": (repacked(zipfile.ZIP_STORED, ""), "packed again"),
    "repacked too deep": (repacked(zipfile.ZIP_STORED, "out/archive/"), "packed again"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_another_kind_is_named(name: str, tmp_path: Path) -> None:
    content, message = OTHERS[name]
    (tmp_path / "latest_net_G.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"latest_net_G\.pth was not loaded: it is .*{re.escape(message)}"):
        import_checkpoint(tmp_path / "latest_net_G.pth")


def test_suffixes_speak_where_bytes_do_not(tmp_path: Path) -> None:
    for name, message in (("net.t7", "Lua Torch"), ("net.onnx", "ONNX")):
        (tmp_path / name).write_bytes(b"\x08\x0a\x12" + bytes(100))
        with pytest.raises(CheckpointError, match=message):
            import_checkpoint(tmp_path / name)


def test_a_repacked_file_in_one_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "G.pth").write_bytes(repacked(zipfile.ZIP_STORED, "another_name/"))
    assert import_checkpoint(tmp_path / "G.pth").family == "pix2pix"
