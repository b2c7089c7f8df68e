"""How each kind of file is read: as a user would, through what the library documents."""

from functools import cache
from pathlib import Path

import numpy as np

from runtime import Editor, Inpainter, SketchCompleter, StyleEncoder, Synthesizer, Translator
from runtime.engines.engine import open_engine
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.program import read_program
from runtime.errors import Pix2rtError
from runtime.media.decoding import limit_megapixels
from runtime.media.images import read_drawing, read_image, read_inst_map, read_label_map, read_photo, write_image
from runtime.media.mask_images import read_hint, read_hole_mask, read_weights
from tests.runtime import tiny_engines, tiny_translators

# A header that claims 200 million pixels is within the usual limit, and takes as long as such a picture does.
limit_megapixels(4)


class AllRefusedError(Pix2rtError):
    """Every reader of a file refused it, as documented."""


def _each(*readings) -> list[object]:
    """What the readings give; documented errors of one do not keep the next one from its turn."""
    results, errors = [], []
    for read in readings:
        try:
            results.append(read())
        except Pix2rtError as error:
            errors.append(error)
    if not results:
        raise AllRefusedError("; ".join(map(str, errors)))
    return results


def run_engine(path: Path, folder: Path) -> object:
    """Open it as what it says it is, and run it on small arrays; a baseline, which has no runner, is opened."""
    runners = {runner.kind: runner for runner in (Synthesizer, Translator, Inpainter, SketchCompleter, StyleEncoder)}
    kind = read_spec(path).kind
    if kind not in runners:
        return open_engine(path, "cpu", threads=1)
    with runners[kind](path, "cpu", threads=1) as runner:
        return _run(runner)


def _run(runner) -> object:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (16, 32, 3), np.uint8)
    ids = rng.integers(0, 4, (16, 32), np.uint8)
    hole = np.zeros((16, 32), bool)
    hole[4:8, 6:9] = True
    if isinstance(runner, Synthesizer):
        return runner.run(ids, ids.astype(np.int32) if runner.uses_instances else None)
    if isinstance(runner, Inpainter):
        return runner.run(photo, hole, **({"style": photo} if runner.uses_style else {}))
    if isinstance(runner, SketchCompleter):
        return runner.run(255 - photo[:, :16] // 2, iterations=3)
    return runner.run(photo) if isinstance(runner, Translator) else runner.run(photo, ids.astype(np.int32))


def read_engine_program(path: Path, folder: Path) -> object:
    """The program of an engine, and the weights that it names."""
    found = read_program(path, read_spec(path))
    if found is None:
        return None
    program, initializers = found
    return program.to_json(), sorted(initializers)


def read_images(path: Path, folder: Path) -> object:
    """As a photo, drawing, label map and instance map; and written again, with the profile that it has."""

    def translated(channels: int) -> object:
        image = read_image(path, channels)
        return write_image(folder / "written.png", image.pixels, image.profile)

    return _each(
        lambda: translated(3),
        lambda: translated(1),
        lambda: read_photo(path),
        lambda: read_drawing(path),
        lambda: read_label_map(path, tiny_engines.LABELS),
        lambda: read_inst_map(path),
    )


def read_masks(path: Path, folder: Path) -> object:
    """As a mask of holes, weights and a hint."""
    return _each(lambda: read_hole_mask(path, _ignore), lambda: read_weights(path), lambda: read_hint(path))


def read_array(path: Path, folder: Path) -> object:
    return _translator(folder).run(read_image(path, 5).pixels[..., :3])


def read_video(path: Path, folder: Path) -> object:
    """Translated, every frame."""
    from runtime.media.video import translate_video

    return translate_video(path, folder / "translated.mkv", _translator(folder), codec="ffv1")


@cache
def _translator(folder: Path) -> Translator:
    return Translator(tiny_translators.translator(folder / "translator.onnx"), "cpu", threads=1)


def read_session(path: Path, folder: Path) -> object:
    """Opened, rendered, and gone through from the first change to the last."""
    editor = Editor.open(path, _synthesizer(folder))
    while editor.undo():
        pass
    while editor.redo():
        pass
    return editor.render()


def do_message(path: Path, folder: Path) -> object:
    """A page's message to a scene with an object that has a style."""
    from runtime.studio.operations import apply
    from runtime.studio.scene import parse_message

    mask = np.zeros(tiny_engines.SIZE, np.bool_)
    mask[9:12, 4:10] = True
    editor = Editor(_synthesizer(folder))
    editor.add_object("car", mask)
    result = apply(editor, parse_message(path.read_text("utf-8")))
    return result, editor.scene()


@cache
def _synthesizer(folder: Path) -> Synthesizer:
    return Synthesizer(tiny_engines.synthesizer(folder / "synthesizer.onnx", styles=True), "cpu", threads=1)


def read_training_image(path: Path, folder: Path) -> object:
    """As a photo, a map of ids, and a map in colours."""
    from training.data.images import read_map, read_photo

    return _each(lambda: read_photo(path), lambda: read_map(path), lambda: read_map(path, tiny_engines.LABELS))


def read_checkpoint(path: Path, folder: Path) -> object:
    """Ours are loaded and built; others are imported, an options file beside the intact network that it goes with."""
    from training.checkpoint import load_checkpoint
    from training.imports.detection import import_checkpoint

    if path.suffix == ".safetensors":
        return load_checkpoint(path).build()
    if path.suffix == ".txt":
        return import_checkpoint(_unet(folder), opt=path).build()
    return import_checkpoint(path, label_nc=None).build()


@cache
def _unet(folder: Path) -> Path:
    import torch

    from tests.training.junyanz_networks import UNet

    torch.save(UNet(3, 3, 6, 2, "batch").state_dict(), folder / "intact_unet.pth")
    return folder / "intact_unet.pth"


def read_style_bank(path: Path, folder: Path) -> object:
    from training.imports.pix2pixhd_files import read_styles

    return read_styles(path)


def _ignore(sentence: str) -> None:
    """A campaign reads no notes."""
