"""The engines that ship: small, and worth shipping. What their training's own data says is in `tests.training`."""

import numpy as np

from runtime import SketchCompleter, Synthesizer
from runtime.commands import ASSETS
from runtime.media.images import read_drawing, read_inst_map, read_label_map, read_photo
from tests.paths import DATA, needs_data
from tests.runtime.commands.test_command_line import run


def test_what_ships_is_small_and_a_street(tmp_path):
    """At most 10 MB; areas of one class look alike and classes look different, as noise would not."""
    engines = sorted(ASSETS.glob("*.onnx"))
    sizes = {path.name: path.stat().st_size for path in engines}
    assert list(sizes) == ["edges2photo.onnx", "faces.onnx", "inpaint.onnx", "street.encoder.onnx", "street.onnx"]
    assert max(sizes.values()) <= 10 * 2**20
    assert sizes["faces.onnx"] <= 8e6
    synthesizer = Synthesizer(ASSETS / "street.onnx")
    labels = read_label_map(ASSETS / "street_labels.png", synthesizer.labels)
    photo = synthesizer.run(labels, read_inst_map(ASSETS / "street_instances.png")).astype(float)
    mean = {synthesizer.labels.names[k]: photo[labels == k].mean(0) for k in np.unique(labels)}
    assert mean["sky"].mean() > mean["road"].mean() + 40, "the sky is brighter than the road"
    assert mean["sky"][2] > mean["sky"][0], "and blue"
    assert mean["vegetation"][1] > mean["vegetation"][2] + 5, "trees are green"
    across = np.abs(np.diff(photo, axis=1)).mean()
    assert across < 12, "neighbouring pixels are alike"


def test_a_dab_of_colour_on_one_cheek_colours_the_other():
    """What hints are for: the rest of the photo takes part, and the sketch is followed as before."""
    completer = SketchCompleter(ASSETS / "faces.onnx")
    sketch = read_drawing(ASSETS / "faces_sketch.png")
    cheeks = []
    for colour in ((80, 50, 35), (235, 195, 170)):
        hint = np.zeros((128, 128, 4), np.uint8)
        hint[76:92, 40:56] = (*colour, 255)
        observed, weights = completer.joint(sketch, hint=hint)
        completion = completer.complete(observed, weights, iterations=100)
        drawing, photo = completion.halves("sketch")
        assert np.array_equal(drawing, observed[:, : completer.side])
        cheeks.append(photo[39:45, 37:43].mean((0, 1)))
        is_ink = drawing < 128
        made = np.split(completion.made, 2, 1)[0]
        assert made[~is_ink].mean() > made[is_ink].mean() + 100
    assert (cheeks[1] > cheeks[0] + 30).all()


@needs_data
def test_shipped_engine_on_cityscapes(tmp_path):
    """The seven real test maps through the folder command, with their instance maps."""
    data = DATA / "cityscapes_sample"
    arguments = [data / "test_label", "--instances", data / "test_inst", "-o", tmp_path / "photos"]
    result = run("synthesize", ASSETS / "street.onnx", *arguments)
    assert result.exit_code == 0, result.output
    photos = sorted((tmp_path / "photos").iterdir())
    assert len(photos) == 7
    for path in photos:
        photo = read_photo(path)
        assert photo.shape == (1024, 2048, 3)
        assert photo.std() > 20
