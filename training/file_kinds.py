"""What a file that should hold weights is instead, told by its first bytes, so that a message can say what to do."""

import re
import zipfile
from pathlib import Path

_HEAD = 4096
_SHOWN = 3
# The first bytes, what such a file is, and what to do.
_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself; fetch that with `git lfs pull`"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes it; weights of PyTorch are needed"),
    (b"GGUF", "a GGUF file; weights of PyTorch are needed"),
    (b"\x93NUMPY", "a numpy array; give the …_net_G.pth of the run"),
    (b"\x89PNG", "a PNG picture; give the …_net_G.pth of the run"),
    (b"\xff\xd8\xff", "a JPEG picture; give the …_net_G.pth of the run"),
    (b"\x1f\x8b", "a gzip archive; unpack it and give the file inside"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it and give the file inside"),
    (b"Rar!", "a RAR archive; unpack it and give the file inside"),
    (b"\xfd7zXZ", "an xz archive; unpack it and give the file inside"),
    (b"BZh", "a bzip2 archive; unpack it and give the file inside"),
    (b"\x08\x00\x12\x00", "a TensorFlow model; weights of PyTorch are needed"),
)
_LUA = (
    "a file of Lua Torch (.t7), which PyTorch has not read since its version 1.0; convert it with a PyTorch older than "
    "that (torch.utils.serialization.load_lua), or train with junyanz' pytorch-CycleGAN-and-pix2pix"
)
_LUA_HEADS = (b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1", b"\x03\0\0\0\x01\0\0\0", b"4\n1\n3\nV 1", b"3\n1\n")
_TORCHSCRIPT = (
    "a TorchScript archive, a program and not only weights; where you trust it, save its weights: "
    "torch.save(torch.jit.load(FILE).state_dict(), 'net_G.pth')"
)


def other_kind(path: Path) -> str | None:
    """What the file is, and what to do, as the end of "… it is"; None where it may be a file of weights.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    if not head:
        return "empty; copy or download it again"
    if path.suffix == ".t7" or head.startswith(_LUA_HEADS):
        return _LUA
    for start, what in _KINDS:
        if head.startswith(start):
            return what
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<"):
        return f"a web page or XML{_title(text)}, not the file that was to be downloaded; download it in a browser"
    if text.startswith((b"{", b"[")):
        return f"JSON text ({_line(text)}), not weights; download the file itself"
    if re.match(rb"[./]*(\.git/annex/|annex/|/annex/objects/)", text):
        return "a pointer of git-annex, not the file itself; fetch that with `git annex get`"
    if path.suffix == ".onnx":
        return "an ONNX model, which holds no checkpoint; give the weights that it was made from"
    if head.startswith(b"PK"):
        return _kind_of_zip(path)
    if not any(byte < 9 or 13 < byte < 32 for byte in head[:512]) and _is_text(head):
        return f"text ({_line(text)}), not weights; copy or download the file again"
    return None


def _kind_of_zip(path: Path) -> str | None:
    """PyTorch's own files are ZIP archives too: NAME/data.pkl, stored, and TorchScript's have NAME/constants.pkl."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return None
    names = [entry.filename for entry in entries]
    if any(re.fullmatch(r"[^/]+/constants\.pkl", name) for name in names):
        return _TORCHSCRIPT
    pickles = [entry for entry in entries if re.fullmatch(r"(.*/)?data\.pkl", entry.filename)]
    if any(re.fullmatch(r"[^/]+/data\.pkl", entry.filename) for entry in pickles):
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            return "a PyTorch file that was unpacked and compressed again; give the file as PyTorch wrote it"
        return None
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    if pickles:
        return f"a PyTorch file that was unpacked and packed again otherwise ({shown}); give it as PyTorch wrote it"
    return f"a ZIP archive of other files ({shown or 'nothing'}); unpack it and give the …_net_G.pth inside"


def _is_text(head: bytes) -> bool:
    try:
        head[:512].decode("ascii")
    except UnicodeDecodeError:
        return False
    return True


def _title(text: bytes) -> str:
    """What the page says first, in quotes."""
    words = " ".join(re.sub(r"<[^>]*>", " ", text.decode("utf-8", "replace")).split())
    return f" (“{words[:60]}”)" if words else ""


def _line(text: bytes) -> str:
    line = text.decode("utf-8", "replace").strip().split("\n", 1)[0][:60]
    return "".join(character if character.isprintable() else "?" for character in line)
