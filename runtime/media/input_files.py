"""Which files a command means: label maps and images in folders, their mates, a video, the results' names."""

import re
from collections.abc import Sequence
from pathlib import Path

from runtime.errors import InputError, MissingFileError
from runtime.files import STDIO, is_folder, is_stream, is_there, require_readable

# Cityscapes: aachen_000000_000019_gtFine_labelIds.png belongs to aachen_000000_000019_gtFine_instanceIds.png.
_SUFFIX = re.compile(r"(_gt(Fine|Coarse))?_(labelIds|instanceIds)$")
_LABEL_IDS, _INSTANCE_IDS = "_labelIds", "_instanceIds"

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg")  # the first is that of results in a folder
ARRAY_SUFFIX = ".npy"
_FILM_SUFFIXES = (".gif", ".apng")  # an image to some, a video to others
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".wmv", ".flv", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts"),
    *(".3gp", ".ogv"),
)


def find_label_maps(paths: Sequence[Path]) -> list[Path]:
    """Files as they are; folders as their PNGs in natural order, only `*_labelIds.png` where there are any.

    Raises:
        MissingFileError: a path is not there, or a folder has no PNG.
        InputError: two maps have the same stem, so their results would too.
    """
    files = [
        file
        for path in paths
        for file in (_pngs(path, _LABEL_IDS) if is_folder(path) else [require_readable(path, "label map")])
    ]
    _refuse_equal_stems(files, "label maps", ".png")
    return files


def find_images(paths: Sequence[Path], suffixes: Sequence[str], written_as: str) -> list[Path]:
    """Files as they are; folders as their files with one of `suffixes` in natural order.

    Args:
        paths: files and folders.
        suffixes: of the files that count in a folder, in small letters.
        written_as: suffix of the results.

    Raises:
        MissingFileError: a path is not there, or a folder has no such file.
        InputError: two images have the same stem, so their results would too.
    """
    files = [
        file
        for path in paths
        for file in (_files_with(path, suffixes) if is_folder(path) else [require_readable(path, "image")])
    ]
    _refuse_equal_stems(files, "images", written_as)
    return files


def find_video(paths: Sequence[Path], output: Path) -> Path | None:
    """The video that is meant, None where all paths are images or folders; a GIF is one where `output` is one.

    Raises:
        MissingFileError: it is not there.
        InputError: there is something beside it.
    """
    suffixes = (*VIDEO_SUFFIXES, *_FILM_SUFFIXES) if output.suffix.lower() in VIDEO_SUFFIXES else VIDEO_SUFFIXES
    videos = [path for path in paths if path.suffix.lower() in suffixes and not is_folder(path)]
    if not videos:
        return None
    if len(paths) > 1:
        raise InputError(f"video {videos[0]} is one of {len(paths)} inputs; translate one video at a time")
    return require_readable(videos[0], "video")


def match_instances(label_maps: Sequence[Path], instances: Path) -> list[Path]:
    """The instance map of every label map: equal stems, apart from Cityscapes' endings.

    Args:
        label_maps: files.
        instances: a folder, or the one file for a single label map.

    Raises:
        MissingFileError: nothing is there, or a label map finds no partner.
        InputError: one file for several label maps, or several partners for one.
    """
    if not is_folder(instances):
        if len(label_maps) > 1:
            raise InputError(f"--instances {instances} is one file for {len(label_maps)} label maps; give a folder")
        return [require_readable(instances, "instance map")]
    partners: dict[str, list[Path]] = {}
    for file in _pngs(instances, _INSTANCE_IDS):
        partners.setdefault(_scene_name(file), []).append(file)
    return [_only_partner(file, partners.get(_scene_name(file), []), instances) for file in label_maps]


def match_masks(images: Sequence[Path], masks: Path | None, what: str = "mask") -> list[Path]:
    """The mask of every image: the one file for all, or of a folder the picture of the image's stem or `<stem>_mask*`;
    where none is given, the `<stem>_mask*` beside each image.

    Args:
        images: files.
        masks: a file or folder, that of the images too.
        what: what a mask is called in messages and names of files.

    Raises:
        MissingFileError: nothing is there, or an image finds no mask.
        InputError: several masks for one image, or an image is its own.
    """
    if masks is None or is_folder(masks):
        found = _masks_in_folder(images, masks, what)
    else:
        found = [require_readable(masks, what)] * len(images)
    for image, mask in zip(images, found, strict=True):
        if image == mask or _identity(image) == _identity(mask) is not None:
            raise InputError(f"{what} {mask} is the image itself; give another file, or a folder of {what}s")
    return found


def _masks_in_folder(images: Sequence[Path], masks: Path | None, what: str) -> list[Path]:
    folder = masks or images[0].parent
    named, marked = _by_stem(folder, what)
    found = []
    for image in images:
        equal = [file for file in named.get(image.stem, []) if masks and _identity(file) != _identity(image)]
        found.append(equal or marked.get(image.stem, []))
    missing = [image for image, files in zip(images, found, strict=True) if not files]
    if missing:
        others = f" (nor have {len(missing) - 1} other images)" if len(missing) > 1 else ""
        stem = missing[0].stem
        names = f"{stem}.png or {stem}_{what}.png there, and not the image itself" if masks else f"{stem}_{what}.png"
        raise MissingFileError(
            f"image {missing[0]} has no {what} in {folder}{others}; expected {names}, or give one {what} file for all"
        )
    for image, files in zip(images, found, strict=True):
        if len(files) > 1:
            raise InputError(f"image {image} has several {what}s: {', '.join(map(str, files))}; keep one")
    return [files[0] for files in found]


def _by_stem(folder: Path, what: str) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Its pictures by their stems, and those of stem `<name>_mask*` by the name."""
    named: dict[str, list[Path]] = {}
    marked: dict[str, list[Path]] = {}
    for file in _files_with(folder, IMAGE_SUFFIXES):
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
    if masks and not is_folder(masks):
        return [image for image in images if _identity(image) != _identity(masks)]
    if masks and _identity(images[0].parent) != _identity(masks):
        return list(images)
    stems = {image.stem for image in images}
    return [image for image in images if image.stem.rpartition("_mask")[0] not in stems]


def output_paths(
    sources: Sequence[Path],
    output: Path,
    what: str = "label map",
    suffixes: Sequence[str] = (".png",),
    option: str = "--output",
) -> list[Path]:
    """Where each result goes: `output` itself if it has one of `suffixes`, else `<stem><first suffix>` in that folder.

    Args:
        sources: what the results are made from.
        output: what the user gave with `option`.
        what: what a source is called in messages.
        suffixes: that are written.
        option: as the user knows it.

    Raises:
        InputError: one file for several results, a kind of file that is not written, or a result would overwrite a
            source.
    """
    suffix = output.suffix.lower()
    if suffix in suffixes or is_stream(output):
        if len(sources) > 1:
            raise InputError(f"{option} {output} is one file for {len(sources)} {what}s; give a folder")
        paths = [output]
    elif suffix in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, *_FILM_SUFFIXES, ARRAY_SUFFIX) and not is_folder(output):
        raise InputError(f"{option} {output}: {suffix} is not written here; give {', '.join(suffixes)} or a folder")
    else:
        paths = [output / f"{_stem(file)}{suffixes[0]}" for file in sources]
    refuse_overwriting(what, sources, paths, option)
    return paths


def refuse_overwriting(what: str, sources: Sequence[Path], targets: Sequence[Path], option: str = "--output") -> None:
    """Raise InputError where one of `targets` is one of the files `sources`, by whatever name."""
    by_identity = {identity: source for source in sources if (identity := _identity(source))}
    for target in targets:
        identity = _identity(target)
        source = by_identity.get(identity) if identity else None
        if source:
            raise InputError(f"{option} would overwrite the {what} {source}; choose another folder or name")


def _identity(path: Path) -> tuple[int, int] | None:
    """The same for all names of a file, links included; None for what is not there, and for streams."""
    if is_stream(path) or not is_there(path):
        return None
    status = path.stat()
    return status.st_dev, status.st_ino


def _stem(path: Path) -> str:
    return "stdin" if path == STDIO else path.stem


def _refuse_equal_stems(files: Sequence[Path], what: str, written_as: str) -> None:
    by_stem: dict[str, Path] = {}
    for file in files:
        if file.stem in by_stem:
            raise InputError(
                f"{what} {by_stem[file.stem]} and {file} would both be written as {file.stem}{written_as}; rename one"
            )
        by_stem[file.stem] = file


def _pngs(folder: Path, ending: str) -> list[Path]:
    files = _files_with(folder, (".png",))
    return [file for file in files if file.stem.endswith(ending)] or files


def _files_with(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Its files in natural order, hidden ones aside: what a kill or another system left behind."""
    found = (file for file in folder.iterdir() if file.suffix.lower() in suffixes and not file.name.startswith("."))
    files = sorted((file for file in found if not file.is_dir()), key=_natural)
    if not files:
        raise MissingFileError(f"folder {folder} holds no {', '.join(suffixes)} file")
    return files


def _natural(path: Path) -> list[tuple[int, str]]:
    """frame2 before frame10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _scene_name(path: Path) -> str:
    return _SUFFIX.sub("", path.stem)


def _only_partner(file: Path, partners: list[Path], folder: Path) -> Path:
    if not partners:
        stem = file.stem.replace(_LABEL_IDS, _INSTANCE_IDS)
        raise MissingFileError(f"label map {file} has no instance map in {folder}; expected {stem}.png there")
    if len(partners) > 1:
        raise InputError(f"label map {file} has several instance maps: {', '.join(map(str, partners))}; keep one")
    return partners[0]
