"""What the engines of a server can be asked for: for each kind of engine its operations, and what they take.

A new operation is an entry of `OPERATIONS`; its address, its form, its description and its tests' list follow from it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from runtime.errors import InputError
from runtime.media.derived import read_input
from runtime.media.images import read_drawing, read_inst_map, read_label_map, read_photo
from runtime.media.mask_images import read_hint, read_hole_mask, read_weights
from runtime.runners.inpainter import Inpainter
from runtime.runners.runner import Runner
from runtime.runners.search import Search
from runtime.runners.sketch_completer import DIRECTIONS, SketchCompleter
from runtime.runners.style_encoder import StyleEncoder
from runtime.runners.styles import styles_from_json
from runtime.runners.synthesizer import Synthesizer
from runtime.runners.translator import Translator
from runtime.runners.windows import STRATEGIES
from runtime.server.given import Given, Part
from runtime.server.inference import Worker
from runtime.server.watch import Watch

_MOST_STEPS, _MOST_RESTARTS, _MOST_CANDIDATES = 5000, 16, 100  # of a search, so that no request takes an hour
Work = Callable[[Watch], Any]


@dataclass(frozen=True)
class Operation:
    """Something that an engine does.

    Attributes:
        name: the last part of its address.
        what: one sentence.
        runner: of the engines that do it.
        parts: what a request may bring; a body that is no form is the first.
        prepare: decodes a request and gives the work to run in the engine's turn: uint8 [H, W, C], or for JSON a dict.
        answers: "picture" or "json".
        is_watched: whether its progress can be told while it runs.
    """

    name: str
    what: str
    runner: type[Runner]
    parts: tuple[Part, ...]
    prepare: Callable[[Any, Given], Work]
    answers: str = "picture"
    is_watched: bool = False


def _synthesize(runner: Synthesizer, given: Given) -> Work:
    label_map = given.picture("label_map", lambda file, notify: read_label_map(file, runner.labels, notify), "HW")
    inst_map = given.picture("inst_map", read_inst_map, "HW")
    options = dict(given.options)
    if "styles" in options:
        options["styles"] = styles_from_json(options["styles"], "styles")
    return lambda _: runner.run(label_map, inst_map, **options)


def _styles(runner: StyleEncoder, given: Given) -> Work:
    photo, regions = given.picture("photo", read_photo), given.picture("regions", read_inst_map, "HW")
    return lambda _: {"styles": runner.run(photo, regions, **given.options)}


def _translate(runner: Translator, given: Given) -> Work:
    options = dict(given.options)
    derive = options.pop("derive", None)
    if derive and runner.spec.recipe is None:
        raise InputError("derive: this engine does not say how its inputs were made; send the inputs themselves")
    image = given.picture(
        "image", lambda file, notify: read_input(file, runner.spec.recipe, runner.input_nc, derive, 0, notify).pixels
    )
    return lambda _: runner.run(image, **options)


def _inpaint(runner: Inpainter, given: Given) -> Work:
    options = dict(given.options)
    is_inverted = options.pop("invert_mask", False)
    image, style = given.picture("image", read_photo), given.picture("style", read_photo)
    mask = given.picture("mask", lambda file, notify: read_hole_mask(file, notify, is_inverted=is_inverted), "HW")
    return lambda _: runner.run(image, mask, style=style, notify=given.notes.append, **options)


def _complete(runner: SketchCompleter, given: Given) -> Work:
    options = dict(given.options)
    direction = options.pop("given", DIRECTIONS[0])
    for name, most in (("iterations", _MOST_STEPS), ("restarts", _MOST_RESTARTS), ("candidates", _MOST_CANDIDATES)):
        if not 1 <= options.get(name, 1) <= most:
            raise InputError(f"{name} is {options[name]}, a server takes 1 to {most}")
    joint = runner.joint(
        given.picture("image", read_drawing),
        given.picture("known", lambda file, _: read_weights(file), "HW"),
        given.picture("hint", lambda file, _: read_hint(file)),
        given=direction,
        notify=given.notes.append,
    )

    def search(watch: Watch) -> Any:
        sketch, photo = runner.complete(*joint, callback=watch, **options).halves(direction)
        return photo if direction == DIRECTIONS[0] else sketch

    return search


_SEED = Part("seed", "Same seed, same bytes.", "integer", 0)

OPERATIONS = (
    Operation(
        "synthesize",
        "A photo of a label map.",
        Synthesizer,
        (
            Part("label_map", "A label map: class ids, or the colours of the class table.", is_needed=True),
            Part("inst_map", "Instance ids of the same size."),
            Part("styles", 'Looks of classes and instances, JSON: {"car": 2, "26001": 0}.', "string"),
            Part("seed", "Chooses the looks that styles leaves open.", "integer", 0),
            Part("unknown", "Class id to draw ids as that the engine does not know.", "integer"),
            Part("edges_from_labels", "Without inst_map: areas of equal class are the instances.", "boolean", False),
            Part("pad", "Extend the map to a size that the engine takes, crop the result.", "boolean", False),
        ),
        _synthesize,
    ),
    Operation(
        "styles",
        "The look of every region of a photo, for `styles` of synthesize.",
        StyleEncoder,
        (
            Part("photo", "A photo.", is_needed=True),
            Part("regions", "Its instance map, or its label map: ids.", is_needed=True),
            Part("pad", "Extend the photo to a size that the engine takes.", "boolean", False),
        ),
        _styles,
        "json",
    ),
    Operation(
        "translate",
        "What the engine was trained to make of an image.",
        Translator,
        (
            Part("image", "An image of any size.", is_needed=True),
            Part("seed", "Of a stochastic engine.", "integer"),
            Part("derive", "Make the engine's input of a photo or label map, as training did.", "boolean"),
        ),
        _translate,
    ),
    Operation(
        "inpaint",
        "An image with its holes filled.",
        Inpainter,
        (
            Part("image", "An image of any size.", is_needed=True),
            Part("mask", "A picture of its size: what is not black is missing."),
            Part("style", "An image whose style to take, for an engine that does."),
            Part("strategy", "How the image comes to the engine's size.", "string", "auto", STRATEGIES),
            Part("dilate", "Pixels that every hole grows by.", "integer", 0),
            Part("feather", "Pixels over which the completion fades into the image.", "integer", 0),
            Part("invert_mask", "Black is missing.", "boolean", False),
        ),
        _inpaint,
    ),
    Operation(
        "complete",
        "The photo that a sketch belongs to, or a photo's sketch.",
        SketchCompleter,
        (
            Part("image", "A drawing, or a photo where given is photo.", is_needed=True),
            Part("known", "A grey picture of its size: how much each pixel counts."),
            Part("hint", "A picture of its size, opaque where it says what the other half is like."),
            Part("given", "What the image is.", "string", DIRECTIONS[0], DIRECTIONS),
            Part("iterations", "Most steps of the search.", "integer", Search.iterations),
            Part("restarts", "Searches side by side, of which the best counts.", "integer", Search.restarts),
            Part("candidates", "Random starts tried for each.", "integer", Search.candidates),
            _SEED,
            Part("learning_rate", "Of the search.", "number", Search.learning_rate),
            Part("momentum", "Of the search.", "number", Search.momentum),
            Part("perceptual_weight", "λ: small follows the drawing.", "number", Search.perceptual_weight),
            Part("z_limit", "Bound of every component of z.", "number", Search.z_limit),
            Part("stop_early", "Whether to end once the loss has settled.", "boolean", Search.stop_early),
        ),
        _complete,
        is_watched=True,
    ),
)


def operations_of(worker: Worker) -> Iterator[tuple[Operation, Runner]]:
    """What an engine can be asked for, and what runs it: its runner, or the encoder beside it."""
    for operation in OPERATIONS:
        for runner in (worker.runner, worker.encoder):
            if isinstance(runner, operation.runner):
                yield operation, runner
