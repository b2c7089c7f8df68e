"""A page on which people judge: which of two images is the real photo? (pix2pix section 4.1, perceptual study)"""

import base64
import hashlib
import json
from importlib.resources import files
from pathlib import Path

from PIL import Image

from runtime.files import atomic_path
from training.evaluation.figures import Measure
from training.system import HeldOut

PAGE = "judge.html"
_IMAGES = "judge"
_MOST_PRACTICE = 10  # as in the paper


class JudgePage(Measure):
    """Collects pairs; `write` makes `judge.html`, which needs no server and no network.

    Names of the images are hashes, and the key is encoded: neither shows at a glance which image is real.

    Args:
        folder: gets the page, and the images losslessly in `judge/`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pairs: list[dict[str, object]] = []

    def add(self, item: HeldOut) -> dict[str, float]:
        images = {}
        for which, image in (("real", item.real_image), ("generated", item.fake_image)):
            digest = hashlib.sha256(f"{item.name}/{which}".encode() + image.tobytes()).hexdigest()
            images[f"{_IMAGES}/{digest[:16]}.png"] = which
            with atomic_path(self.folder / _IMAGES / f"{digest[:16]}.png") as temporary:
                Image.fromarray(image).save(temporary)
        names = sorted(images)
        real = [images[name] for name in names].index("real")
        key = base64.b64encode(f"{names[0]}{real}".encode()).decode()
        self.pairs.append({"name": item.name, "images": names, "key": key})
        return {}

    def write(self, title: str) -> Path:
        """Write the page and return its path.

        Args:
            title: what is judged, for the saved answers.
        """
        practice = min(_MOST_PRACTICE, len(self.pairs) // 4)
        study = json.dumps({"title": title, "practice": practice, "pairs": self.pairs})
        template = files("training.evaluation").joinpath(PAGE).read_text("utf-8")
        with atomic_path(self.folder / PAGE) as temporary:
            # "</script>" in an item's name must not end the element.
            temporary.write_text(template.replace("{{STUDY}}", study.replace("<", "\\u003c")), "utf-8")
        return self.folder / PAGE
