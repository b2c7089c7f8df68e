"""The file of an editing session: one .npz of numbers and a JSON document, nothing pickled, every field checked."""

import json
import lzma
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from runtime.engines.document import Document, integer, number
from runtime.engines.labels import MAX_CLASSES, LabelSpec
from runtime.engines.spec import MAX_SIDE, EngineSpec
from runtime.errors import SessionError
from runtime.files import atomic_path, require_file
from runtime.runners.edit_history import Change, History, unpack
from runtime.runners.edit_maps import EditMaps
from runtime.runners.edit_styles import Feature, StyleChoice
from runtime.runners.runner import Notify
from runtime.runners.strokes import Box

SessionFile = str | os.PathLike[str] | BinaryIO

FORMAT_VERSION = 1
_HIGHEST_ID = 2**31 - 1
_MOST_CHANGES = 10_000_000
_MOST_INSTANCES = 10_000_000
_MOST_FEATURES = 4096
_HEADER = 4096  # bytes of a .npy member beside its numbers, and more than enough
# Members and the most bytes each may unpack to: a small archive may claim anything.
_MEMBERS = {"label_map": 2**28, "inst_map": 2**30, "history": 2**31, "document": 2**26}
# What zipfile and numpy raise for damaged archives and headers.
_DAMAGED = (
    *(OSError, ValueError, LookupError, TypeError, SyntaxError, EOFError, OverflowError, MemoryError, RuntimeError),
    *(tokenize.TokenError, struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


@dataclass(frozen=True)
class Session:
    """All that an editor knows, and the specification of the engine that it is for."""

    spec: EngineSpec
    maps: EditMaps
    styles: StyleChoice
    history: History


def write_session(target: SessionFile, session: Session) -> None:
    """Write it, a file atomically; the same session gives the same bytes. Raises OutputError where it cannot."""
    if not isinstance(target, str | os.PathLike):
        _write(target, session)
        return
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        _write(stream, session)


def _write(stream: BinaryIO, session: Session) -> None:
    changes = [*session.history.done, *reversed(session.history.undone)]
    choices: list[StyleChoice] = []
    positions: dict[int, int] = {}
    for choice in (session.styles, *(change.styles for change in changes)):
        if id(choice) not in positions:
            positions[id(choice)] = len(choices)
            choices.append(choice)
    document = {
        "format_version": FORMAT_VERSION,
        "checkpoint_sha256": session.spec.checkpoint_sha256,
        "classes": list(session.maps.labels.names),
        "feat_num": _feat_num(session.spec),
        "things": sorted(session.maps.things),
        "position": len(session.history.done),
        "changes": [
            {
                "box": list(asdict(change.box).values()),
                "bytes": len(change.pixels),
                "styles": positions[id(change.styles)],
                "replaces_styles": change.replaces_styles,
            }
            for change in changes
        ],
        "styles": [_to_json(choice) for choice in choices],
    }
    np.savez_compressed(
        stream,
        label_map=session.maps.label_map,
        inst_map=session.maps.inst_map,
        history=np.frombuffer(b"".join(change.pixels for change in changes), np.uint8),
        document=np.frombuffer(json.dumps(document).encode(), np.uint8),
    )


def _to_json(choice: StyleChoice) -> dict[str, Any]:
    return {
        "seed": choice.seed,
        "instances": [[key, list(feature)] for key, feature in choice.instances.items()],
        "classes": [[key, list(feature)] for key, feature in choice.classes.items()],
    }


def read_session(source: SessionFile, spec: EngineSpec, history_bytes: int, notify: Notify) -> Session:
    """Read what `write_session` wrote, for an engine of `spec`; arguments and errors as in `Editor.open`."""
    file = require_file(source, "session") if isinstance(source, str | os.PathLike) else source
    history = History(history_bytes)
    try:
        arrays = _read_arrays(file)
        document = Document.parse(arrays["document"].tobytes().decode(), "the session")
        version = document.integer("format_version", 1, 2**31)
        if version > FORMAT_VERSION:
            raise ValueError(f"it has format {version}, this pix2rt reads up to {FORMAT_VERSION}; upgrade pix2rt")
        assert spec.labels  # every synthesizer has classes
        _require_classes(document, spec.labels)
        maps = _maps(arrays, document, spec.labels)
        feat_num = _feat_num(spec) if _keeps_styles(document, spec, notify) else None
        choices = [_choice(Document.of(one, "styles"), feat_num) for one in document.list("styles", _MOST_CHANGES, 1)]
        changes = _changes(document, arrays["history"].tobytes(), maps, choices)
        position = document.integer("position", 0, len(changes))
    except _DAMAGED as error:
        raise SessionError(
            f"session {file if isinstance(file, Path) else 'file'} cannot be opened: {error or type(error).__name__}"
        ) from error
    history.restore(changes[:position], changes[position:][::-1])
    return Session(spec, maps, choices[0], history)


def _read_arrays(file: Path | BinaryIO) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(file) as archive:
        members = {member.filename: member.file_size for member in archive.infolist()}
    if set(members) != {f"{name}.npy" for name in _MEMBERS}:
        raise ValueError("it is not a session that Editor.save wrote")
    for name, most in _MEMBERS.items():
        if members[f"{name}.npy"] > most + _HEADER:
            raise ValueError(f"its {name} takes {members[f'{name}.npy']} bytes, expected up to {most}")
    if not isinstance(file, Path):
        file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in _MEMBERS}
    for name, dtype, ndim in (
        ("label_map", "u1", 2),
        ("inst_map", "<i4", 2),
        ("history", "u1", 1),
        ("document", "u1", 1),
    ):
        if not isinstance(arrays[name], np.ndarray):  # numpy gives the bytes of what is no .npy member
            raise ValueError(f"its {name} is no array")
        if arrays[name].dtype != np.dtype(dtype) or arrays[name].ndim != ndim:
            raise ValueError(f"its {name} is {arrays[name].dtype} {list(arrays[name].shape)}")
    return arrays


def _require_classes(document: Document, labels: LabelSpec) -> None:
    classes = document.list("classes", MAX_CLASSES, 1)
    if classes != list(labels.names):
        theirs, ours = (", ".join(map(str, names[:6])) for names in (classes, labels.names))
        raise ValueError(
            f"its engine has {len(classes)} classes ({theirs}, …), this one has {labels.label_nc} ({ours}, …); open it "
            "with an engine of the same classes"
        )


def _maps(arrays: dict[str, NDArray[Any]], document: Document, labels: LabelSpec) -> EditMaps:
    label_map, inst_map = arrays["label_map"], arrays["inst_map"].astype(np.int32)
    if label_map.shape != inst_map.shape or not label_map.size or max(label_map.shape) > MAX_SIDE:
        raise ValueError(f"its maps are {list(label_map.shape)} and {list(inst_map.shape)}")
    _require_ids(label_map, inst_map, labels)
    things = [integer(one, "things", 0, labels.label_nc - 1) for one in document.list("things", MAX_CLASSES)]
    return EditMaps(np.ascontiguousarray(label_map), np.ascontiguousarray(inst_map), labels, frozenset(things))


def _require_ids(label_map: NDArray[np.uint8], inst_map: NDArray[np.int32], labels: LabelSpec) -> None:
    if label_map.max() >= labels.label_nc or inst_map.min() < 0:
        raise ValueError("its maps hold ids that are none")


def _keeps_styles(document: Document, spec: EngineSpec, notify: Notify) -> bool:
    """Whether its features mean anything to this engine; says so where another engine made them."""
    if document.text("checkpoint_sha256") == spec.checkpoint_sha256:
        return True
    feat_num = document.integer("feat_num", 0, _MOST_FEATURES)
    fits = feat_num == _feat_num(spec)
    kept = (
        "its styles were taken over and may look otherwise"
        if fits
        else "its styles are of no use here and were left out"
    )
    notify(f"the session was made with another engine of the same classes; {kept}")
    return fits


def _feat_num(spec: EngineSpec) -> int:
    """How many values a style has; 0 where the engine has none."""
    tensor = spec.input("styles")
    return int(tensor.shape[2]) if tensor else 0


def _choice(document: Document, feat_num: int | None) -> StyleChoice:
    seed = document.integer("seed", 0, 2**64)
    if feat_num is None:
        return StyleChoice(seed)
    most = {"instances": _MOST_INSTANCES, "classes": MAX_CLASSES}
    return StyleChoice(seed, *(_features(document.list(name, count), feat_num) for name, count in most.items()))


def _features(entries: Sequence[Any], feat_num: int) -> dict[int, Feature]:
    features = {}
    for entry in entries:
        if not isinstance(entry, list) or len(entry) != len(("id", "feature")) or not isinstance(entry[1], list):
            raise ValueError("a style is no pair of an id and a feature")
        key = integer(entry[0], "an id", 0, _HIGHEST_ID)
        features[key] = tuple(number(value, "a feature") for value in entry[1])
        if len(features[key]) != feat_num:
            raise ValueError(f"a style has {len(features[key])} values, this engine's have {feat_num}")
    return features


def _changes(document: Document, history: bytes, maps: EditMaps, choices: Sequence[StyleChoice]) -> list[Change]:
    changes, start = [], 0
    height, width = maps.size
    for entry in document.list("changes", _MOST_CHANGES):
        one = Document.of(entry, "a change")
        box = Box(*one.integers("box", 4, 0, MAX_SIDE))
        if not (box.top < box.bottom <= height and box.left < box.right <= width):
            raise ValueError(f"a change has the box {box}, which is not within the maps")
        length = one.integer("bytes", 0, len(history) - start)
        pixels = history[start : start + length]
        if pixels:
            _require_ids(*unpack(pixels, box), maps.labels)
        styles = choices[one.integer("styles", 0, len(choices) - 1)]
        changes.append(Change(box, pixels, styles, one.value("replaces_styles") is True))
        start += length
    return changes
