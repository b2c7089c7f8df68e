"""What pages ask of an editor: JSON messages, checked here, and what they need to know to draw a scene."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from runtime.engines.document import Document
from runtime.engines.labels import MAX_CLASSES
from runtime.errors import InputError
from runtime.runners.editor import Editor
from runtime.runners.strokes import Region, flood, line, polygon, rectangle
from runtime.server.inference import Worker

_MOST_POINTS = 100_000
_FARTHEST = 1_000_000
_HIGHEST_ID = 2**31 - 1


def apply(editor: Editor, message: Mapping[str, Any]) -> Any:
    """Do what a page asks for; raises InputError where it makes no sense."""
    name = message.get("op")
    if not isinstance(name, str) or name not in _OPERATIONS:
        raise InputError(f"operation {name!r} is unknown; reload the page")
    try:
        return _OPERATIONS[name](editor, Document(message, name))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error


def _paint(editor: Editor, message: Document) -> int:
    return editor.paint(_shape(editor, message), _class(message), message.fields.get("instance"))


def _fill(editor: Editor, message: Document) -> int:
    x, y = _point(message)
    editor.instance_at(x, y)
    alike = editor.inst_map.astype(np.int64) * MAX_CLASSES + editor.label_map  # a window ends where its wall begins
    return editor.paint(flood(alike, x, y), _class(message), message.fields.get("instance"))


def _move(editor: Editor, message: Document) -> None:
    editor.move_object(_id(message), _offset(message, "dx"), _offset(message, "dy"))


def _duplicate(editor: Editor, message: Document) -> int:
    return editor.duplicate(_id(message), _offset(message, "dx"), _offset(message, "dy"))


def _restyle(editor: Editor, message: Document) -> None:
    names = editor.synthesizer.labels.names
    target = _id(message) if "instance" in message.fields else names[message.integer("class", 0, len(names) - 1)]
    editor.restyle(target, message.integer("style", 0, _HIGHEST_ID))


_OPERATIONS: Mapping[str, Callable[[Editor, Document], Any]] = {
    "paint": _paint,
    "erase": lambda editor, message: editor.erase(_shape(editor, message)),
    "fill": _fill,
    "relabel": lambda editor, message: editor.relabel(_id(message), _class(message)),
    "remove": lambda editor, message: editor.remove_object(_id(message)),
    "move": _move,
    "duplicate": _duplicate,
    "restyle": _restyle,
    "shuffle": lambda editor, message: editor.shuffle_styles(message.integer("seed", 0, _HIGHEST_ID)),
    "undo": lambda editor, _: editor.undo(),
    "redo": lambda editor, _: editor.redo(),
}


def _shape(editor: Editor, message: Document) -> Region:
    shape = message.object("shape", 3)
    kind = shape.text("kind")
    points = [_pair(one) for one in shape.list("points", _MOST_POINTS, 1)]
    if kind == "line":
        radius = shape.value("radius")
        return line(points, radius, editor.size)
    if kind == "polygon":
        return polygon(points, editor.size)
    if kind == "rectangle" and len(points) == len(("start", "end")):
        return rectangle(points[0], points[1], editor.size)
    raise ValueError(f"shape {kind!r} of {len(points)} points, expected a line, polygon or rectangle")


def _pair(value: Any) -> tuple[float, float]:
    numbers = value if isinstance(value, list) else []
    if len(numbers) != len("xy") or not all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in numbers
    ):
        raise ValueError("a point is not two numbers")
    return numbers[0], numbers[1]


def _point(message: Document) -> tuple[int, int]:
    x, y = message.integers("point", 2, 0, _FARTHEST)
    return x, y


def _class(message: Document) -> int:
    return message.integer("class", 0, 255)


def _id(message: Document) -> int:
    return message.integer("instance", 0, _HIGHEST_ID)


def _offset(message: Document, name: str) -> int:
    return message.integer(name, -_FARTHEST, _FARTHEST)


def describe(editor: Editor, session: str, worker: Worker) -> dict[str, Any]:
    """All that a page needs to know of a scene beside its maps."""
    labels, spec = editor.synthesizer.labels, editor.synthesizer.spec
    done, undone = editor.steps
    return {
        "type": "scene",
        "session": session,
        "engine": worker.name,
        "height": editor.size[0],
        "width": editor.size[1],
        "classes": [
            {
                "name": name,
                "colour": list(labels.palette[class_id]),
                "isThing": editor.has_instances(class_id),
                "isPart": class_id in labels.parts,
                "styles": len(spec.styles.centres.get(class_id, ())) if spec.styles else 0,
            }
            for class_id, name in enumerate(labels.names)
        ],
        "hasEncoder": editor.encoder is not None,
        "canDraft": spec.size is None,
        "undo": done,
        "redo": undone,
    }


def chosen_style(editor: Editor, instance: int) -> int | None:
    """The number of the style that an instance has, if it is one of its class's."""
    feature, styles = editor.style_of(instance), editor.synthesizer.spec.styles
    centres = styles.centres.get(editor.instances[instance].class_id, ()) if styles else ()
    rounded = [tuple(np.asarray(centre, np.float32).tolist()) for centre in centres]
    return rounded.index(feature) if feature in rounded else None
