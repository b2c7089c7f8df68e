"""What is attacked: for every kind of file intact ones, how they are damaged, and who reads them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from random import Random

from tests.campaign import attacks, intact, readers
from tests.campaign.mutations import mutate_bytes

Damage = Callable[[Random, Path, bytes], bytes]  # the intact file, and the bytes of another for splices


def anywhere(rng: Random, path: Path, other: bytes) -> bytes:
    return mutate_bytes(rng, path.read_bytes(), other)


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: as the command line knows it.
        plant: write intact files into a folder.
        read: through the library's public readers or runners: the file, and a folder of one's own.
        damage: the new bytes of an intact file.
        needs: modules that must be installed.
    """

    name: str
    plant: Callable[[Path], None]
    read: Callable[[Path, Path], object]
    damage: Damage = anywhere
    needs: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """Modules that are not here."""
        return [name for name in self.needs if find_spec(name) is None]


KINDS = {
    kind.name: kind
    for kind in (
        Kind("engines", intact.engines, readers.run_engine, attacks.on_engine),
        Kind("specs", intact.engines, readers.run_engine, partial(attacks.on_metadata, "pix2rt.spec")),
        Kind("programs", intact.programs, readers.read_engine_program, partial(attacks.on_metadata, "pix2rt.program")),
        Kind("images", intact.images, readers.read_images, attacks.on_image),
        Kind("masks", intact.images, readers.read_masks, attacks.on_image),
        Kind("arrays", intact.arrays, readers.read_array),
        Kind("sessions", intact.sessions, readers.read_session, attacks.on_session),
        Kind("messages", intact.messages, readers.do_message, attacks.on_json, ("starlette",)),
        Kind("videos", intact.videos, readers.read_video, needs=("av",)),
        Kind(
            "checkpoints", intact.checkpoints, readers.read_checkpoint, attacks.on_checkpoint, ("torch", "safetensors")
        ),
        Kind("training_images", intact.images, readers.read_training_image, attacks.on_image, ("torch", "cv2")),
        Kind("styles", intact.styles, readers.read_style_bank, needs=("torch",)),
    )
}
