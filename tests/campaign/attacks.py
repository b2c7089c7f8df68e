"""Where each kind of file is damaged: mostly behind what guards it, so that what comes after is reached."""

import io
import zipfile
from pathlib import Path
from random import Random

import numpy as np
import onnx

from tests.campaign.mutations import (
    mutate_bytes,
    mutate_json,
    mutate_png,
    mutate_safetensors,
    mutate_zip,
)

_ANYWHERE = 0.3  # the share of cases that are damaged just anywhere


def on_engine(rng: Random, path: Path, other: bytes) -> bytes:
    """The bytes, or a node, initialiser or tensor of the graph, so that the file still parses."""
    content = path.read_bytes()
    if rng.random() < 0.6:
        return mutate_bytes(rng, content, other)
    model = onnx.load_from_string(content)
    lists = [model.graph.node, model.graph.initializer, model.graph.input, model.graph.output, model.opset_import]
    messages = rng.choice([messages for messages in lists if len(messages)])
    message = messages[rng.randrange(len(messages))]
    choice = rng.randrange(4)
    if choice == 0:
        messages.remove(message)
    elif choice == 1:
        messages.add().CopyFrom(message)
    else:
        try:
            message.ParseFromString(mutate_bytes(rng, message.SerializeToString(), other))
        except Exception:  # noqa: BLE001  half of the damage is no message any more; then it is emptied
            message.Clear()
    return model.SerializeToString()


def on_metadata(key: str, rng: Random, path: Path, other: bytes) -> bytes:
    """The JSON of the metadata entry `key`."""
    model = onnx.load_from_string(path.read_bytes())
    for entry in model.metadata_props:
        if entry.key == key:
            entry.value = mutate_json(rng, entry.value).encode("utf-8", "replace").decode()
    return model.SerializeToString()


def on_json(rng: Random, path: Path, other: bytes) -> bytes:
    return mutate_json(rng, path.read_text()).encode("utf-8", "replace")


def on_session(rng: Random, path: Path, other: bytes) -> bytes:
    """The archive, or a member of it, or the JSON document inside the smallest."""
    if rng.random() < _ANYWHERE:
        return mutate_bytes(rng, path.read_bytes(), other)
    if rng.random() < _ANYWHERE:
        return mutate_zip(rng, path.read_bytes(), other)
    with np.load(path) as archive:
        members = dict(archive)
    text = mutate_json(rng, members["document"].tobytes().decode())
    members["document"] = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
    stream = io.BytesIO()
    np.savez(stream, **members)
    return stream.getvalue()


def on_image(rng: Random, path: Path, other: bytes) -> bytes:
    if path.suffix == ".png" and rng.random() > _ANYWHERE:
        return mutate_png(rng, path.read_bytes(), other)
    return mutate_bytes(rng, path.read_bytes(), other)


def on_checkpoint(rng: Random, path: Path, other: bytes) -> bytes:
    content = path.read_bytes()
    if rng.random() > _ANYWHERE:
        if path.suffix == ".safetensors":
            return mutate_safetensors(rng, content, other)
        if zipfile.is_zipfile(path):
            return mutate_zip(rng, content, other)
    return mutate_bytes(rng, content, other)
