"""How content is damaged: bytes, JSON documents, and what lies behind a checksum or in a container."""

import copy
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from random import Random

_HOSTILE_BYTES = (
    b"\x00",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\xff" * 8,
    b"\x00" * 64,
    b"%s%n",
    b"(" * 300,
)
_HOSTILE_VALUES = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        255,
        256,
        65_535,
        65_536,
        100_000,
        2**31 - 1,
        2**31,
        2**40,
        2**63,
        2**64,
        -(2**63),
    ),
    *(10**400, 0.5, -0.0, 1e-320, 1e308, float("inf"), float("-inf"), float("nan")),
    *("", " ", "0", "-1", "\x00", "ä→😀", "\ud800", "../../x", "%s%n", "x" * 100_000),
    *([], {}, [[]], [0] * 1000, [None], ["H", "W"], {"": 0}, [1, 2, 3, 4, 5, 6, 7, 8, 9], [2**31, 2**31]),
)
_PNG_SIGNATURE = 8
_Change = Callable[[Random, bytearray, bytes], None]


def _flip(rng: Random, data: bytearray, other: bytes) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(rng: Random, data: bytearray, other: bytes) -> None:
    hostile = rng.choice(_HOSTILE_BYTES)
    at = rng.randrange(len(data))
    data[at : at + len(hostile)] = hostile


def _set_number(rng: Random, data: bytearray, other: bytes) -> None:
    """A length, an offset, a size: 16 to 64 bits in either order."""
    code = rng.choice("HIQ")
    number = rng.choice((0, 1, 0x7F, 0x80, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, len(data)))
    packed = struct.pack(rng.choice("<>") + code, number % (1 << 8 * struct.calcsize(code)))
    at = rng.randrange(len(data))
    data[at : at + len(packed)] = packed


def _truncate(rng: Random, data: bytearray, other: bytes) -> None:
    del data[rng.randrange(len(data)) :]


def _cut(rng: Random, data: bytearray, other: bytes) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 2, 4, 16, 256))]


def _repeat(rng: Random, data: bytearray, other: bytes) -> None:
    at = rng.randrange(len(data))
    piece = bytes(data[at : at + rng.choice((1, 4, 16, 256, 4096))])
    data[at:at] = piece * rng.choice((1, 1, 2, 50))


def _splice(rng: Random, data: bytearray, other: bytes) -> None:
    """The beginning of this and a piece of another."""
    at, begin = rng.randrange(len(data)), rng.randrange(max(len(other), 1))
    data[at : at + rng.choice((8, 64, 1024, len(data)))] = other[begin : begin + rng.choice((8, 64, 1024, len(other)))]


_CHANGES: tuple[_Change, ...] = (_flip, _flip, _overwrite, _set_number, _set_number, _truncate, _cut, _repeat, _splice)


def mutate_bytes(rng: Random, content: bytes, other: bytes = b"") -> bytes:
    """One to four changes anywhere; half of them near the beginning, where headers are. `other` is for splices."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        head = rng.choice((len(data), len(data), 64, 512))
        part = data[:head]
        if part:
            rng.choice(_CHANGES)(rng, part, other)
        data[:head] = part
    return bytes(data)


def mutate_json(rng: Random, text: str) -> str:
    """One to three fields changed; now and then the text itself."""
    if rng.random() < 0.1:
        return mutate_bytes(rng, text.encode(), text.encode()).decode("utf-8", "replace")
    document = json.loads(text)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(document))
        if not places:
            break
        _change_field(rng, *rng.choice(places))
    return json.dumps(document)


def _places(value: object):
    """(container, key) of every field, however deep."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys):
        yield value, key
        yield from _places(value[key])


def _change_field(rng: Random, container, key) -> None:
    value = container[key]
    choice = rng.randrange(6)
    if choice == 0:
        del container[key]
    elif choice == 1 and isinstance(container, dict):
        container[f"{key}x"] = container.pop(key)
    elif choice == 1:
        container.extend([value] * rng.choice((1, 5, 300)))
    elif choice == 2 and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        container[key] = value * rng.choice((-1, 2, 1000, 2**20)) + rng.choice((-1, 0, 1, 0.5))
    elif choice == 3:
        container[key] = [value]
    else:
        container[key] = copy.deepcopy(rng.choice(_HOSTILE_VALUES))  # later changes go into it


def mutate_png(rng: Random, content: bytes, other: bytes = b"") -> bytes:
    """A chunk with its checksum put right, or of image data the pixels behind the compression."""
    at, chunks = _PNG_SIGNATURE, []
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    index = rng.randrange(len(chunks))
    kind, payload = chunks[index]
    if kind == b"IDAT" and rng.random() < 0.5:
        payload = zlib.compress(mutate_bytes(rng, zlib.decompress(payload)))
    else:
        payload = mutate_bytes(rng, payload or b"\x00", other)
    chunks[index] = (kind, payload)
    if rng.random() < 0.2:
        chunks.insert(rng.randrange(len(chunks)), rng.choice(chunks))
    written = (len(p).to_bytes(4, "big") + k + p + zlib.crc32(k + p).to_bytes(4, "big") for k, p in chunks)
    return content[:_PNG_SIGNATURE] + b"".join(written)


def mutate_zip(rng: Random, content: bytes, other: bytes = b"") -> bytes:
    """A member of an archive, with sizes and checksum put right; most often the smallest, which says what is what."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as archive:
        members = sorted(source.infolist(), key=lambda member: not member.filename.endswith("data.pkl"))
        chosen = members[0] if rng.random() < 0.8 else rng.choice(members)
        for member in source.infolist():
            data = source.read(member)
            if member is chosen:
                data = mutate_bytes(rng, data or b"\x00", other)
            archive.writestr(zipfile.ZipInfo(member.filename), data)  # with no time of day: cases can be repeated
    return target.getvalue()


def mutate_safetensors(rng: Random, content: bytes, other: bytes = b"") -> bytes:
    """The header's fields, and of ours the document in its metadata, with the length put right."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    metadata = header.get("__metadata__", {})
    if metadata and rng.random() < 0.6:
        name = rng.choice(list(metadata))
        metadata[name] = mutate_json(rng, metadata[name]) if metadata[name][:1] == "{" else rng.choice(("", "x", "{}"))
        text = json.dumps(header)
    else:
        text = mutate_json(rng, json.dumps(header))
    encoded = text.encode("utf-8", "surrogatepass")
    return len(encoded).to_bytes(8, "little") + encoded + content[8 + length :]
