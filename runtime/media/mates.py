"""The mates of a command's images: the instance map of each label map, the mask of each photo."""

import re
from collections.abc import Sequence
from pathlib import Path

from runtime.errors import InputError, MissingFileError
from runtime.files import is_folder, require_readable
from runtime.media.file_lists import is_list
from runtime.media.input_files import IMAGE_SUFFIXES, LABEL_IDS, files_meant, files_with, identity_of, pngs

# Cityscapes: aachen_000000_000019_gtFine_labelIds.png belongs to aachen_000000_000019_gtFine_instanceIds.png.
_SUFFIX = re.compile(r"(_gt(Fine|Coarse))?_(labelIds|instanceIds)$")
_INSTANCE_IDS = "_instanceIds"


def match_instances(label_maps: Sequence[Path], instances: Path) -> list[Path]:
    """The instance map of every label map: equal stems, apart from Cityscapes' endings.

    Args:
        label_maps: files.
        instances: a folder, a list, or the one file for a single label map.

    Raises:
        MissingFileError: nothing is there, or a label map finds no partner.
        InputError: one file for several label maps, or several partners for one.
    """
    if not is_folder(instances) and not is_list(instances):
        if len(label_maps) > 1:
            raise InputError(f"--instances {instances} is one file for {len(label_maps)} label maps; give a folder")
        return [require_readable(instances, "instance map")]
    partners: dict[str, list[Path]] = {}
    for file in files_meant(instances, lambda folder: pngs(folder, _INSTANCE_IDS), "instance map"):
        partners.setdefault(_scene_name(file), []).append(file)
    return [_only_partner(file, partners.get(_scene_name(file), []), instances) for file in label_maps]


def _scene_name(path: Path) -> str:
    return _SUFFIX.sub("", path.stem)


def _only_partner(file: Path, partners: list[Path], folder: Path) -> Path:
    if not partners:
        stem = file.stem.replace(LABEL_IDS, _INSTANCE_IDS)
        raise MissingFileError(f"label map {file} has no instance map in {folder}; expected {stem}.png there")
    if len(partners) > 1:
        raise InputError(f"label map {file} has several instance maps: {', '.join(map(str, partners))}; keep one")
    return partners[0]


def match_masks(images: Sequence[Path], masks: Path | None, what: str = "mask") -> list[Path]:
    """The mask of every image: the one file for all, or of a folder the picture of the image's stem or `<stem>_mask*`;
    where none is given, the `<stem>_mask*` beside each image.

    Args:
        images: files.
        masks: a file, a folder, that of the images too, or a list.
        what: what a mask is called in messages and names of files.

    Raises:
        MissingFileError: nothing is there, or an image finds no mask.
        InputError: several masks for one image, or an image is its own.
    """
    if masks is None or is_folder(masks) or is_list(masks):
        found = _masks_in_folder(images, masks, what)
    else:
        found = [require_readable(masks, what)] * len(images)
    for image, mask in zip(images, found, strict=True):
        if image == mask or identity_of(image) == identity_of(mask) is not None:
            raise InputError(f"{what} {mask} is the image itself; give another file, or a folder of {what}s")
    return found


def _masks_in_folder(images: Sequence[Path], masks: Path | None, what: str) -> list[Path]:
    place = masks or images[0].parent
    named, marked = _by_stem(place, what)
    found = []
    for image in images:
        equal = [file for file in named.get(image.stem, []) if masks and identity_of(file) != identity_of(image)]
        found.append(equal or marked.get(image.stem, []))
    missing = [image for image, files in zip(images, found, strict=True) if not files]
    if missing:
        others = f" (nor have {len(missing) - 1} other images)" if len(missing) > 1 else ""
        stem = missing[0].stem
        names = f"{stem}.png or {stem}_{what}.png there, and not the image itself" if masks else f"{stem}_{what}.png"
        raise MissingFileError(
            f"image {missing[0]} has no {what} in {place}{others}; expected {names}, or give one {what} file for all"
        )
    for image, files in zip(images, found, strict=True):
        if len(files) > 1:
            raise InputError(f"image {image} has several {what}s: {', '.join(map(str, files))}; keep one")
    return [files[0] for files in found]


def _by_stem(place: Path, what: str) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Its pictures by their stems, and those of stem `<name>_mask*` by the name."""
    named: dict[str, list[Path]] = {}
    marked: dict[str, list[Path]] = {}
    for file in files_meant(place, lambda folder: files_with(folder, IMAGE_SUFFIXES), what):
        named.setdefault(file.stem, []).append(file)
        name, mark, _ = file.stem.rpartition(f"_{what}")
        if mark:
            marked.setdefault(name, []).append(file)
    return named, marked


def without_masks(images: Sequence[Path], masks: Path | None) -> list[Path]:
    """Those of a folder's `images` that are not `masks`, and no `<stem>_mask*` of another where masks lie among them.

    Args:
        images: of one folder.
        masks: the mask or folder of masks that the user gave, if any.
    """
    if masks and is_list(masks):
        return list(images)
    if masks and not is_folder(masks):
        return [image for image in images if identity_of(image) != identity_of(masks)]
    if masks and identity_of(images[0].parent) != identity_of(masks):
        return list(images)
    stems = {image.stem for image in images}
    return [image for image in images if image.stem.rpartition("_mask")[0] not in stems]
