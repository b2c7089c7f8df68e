"""Which files a command means: label maps and images in folders and lists, a video, the results' names."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from runtime.errors import InputError, MissingFileError
from runtime.files import STDIO, is_folder, is_stream, is_there, require_readable
from runtime.media.file_lists import files_in, is_list

LABEL_IDS = "_labelIds"  # Cityscapes: of aachen_000000_000019_gtFine_labelIds.png

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg")  # the first is that of results in a folder
ARRAY_SUFFIX = ".npy"
_FILM_SUFFIXES = (".gif", ".apng")  # an image to some, a video to others
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".wmv", ".flv", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts"),
    *(".3gp", ".ogv"),
)


def find_label_maps(paths: Sequence[Path]) -> list[Path]:
    """Files as they are; folders as their PNGs in natural order, only `*_labelIds.png` where there are any; lists too.

    Raises:
        MissingFileError: a path is not there, or a folder has no PNG.
        InputError: two maps have the same stem, so their results would too.
    """
    files = [file for path in paths for file in files_meant(path, lambda folder: pngs(folder, LABEL_IDS), "label map")]
    _refuse_equal_stems(files, "label maps", ".png")
    return files


def find_images(paths: Sequence[Path], suffixes: Sequence[str], written_as: str) -> list[Path]:
    """Files as they are; folders as their files with one of `suffixes` in natural order; lists as what they name.

    Args:
        paths: files, folders and lists (`runtime.media.file_lists`).
        suffixes: of the files that count in a folder, in small letters.
        written_as: suffix of the results.

    Raises:
        MissingFileError: a path is not there, or a folder has no such file.
        InputError: two images have the same stem, so their results would too.
    """
    files = [file for path in paths for file in files_meant(path, lambda folder: files_with(folder, suffixes), "image")]
    _refuse_equal_stems(files, "images", written_as)
    return files


def files_meant(path: Path, within: Callable[[Path], list[Path]], what: str) -> list[Path]:
    """What a path stands for: the files `within` a folder, those that a list names, or itself."""
    if is_folder(path):
        return within(path)
    return files_in(path, what) if is_list(path) else [require_readable(path, what)]


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
    by_identity = {identity: source for source in sources if (identity := identity_of(source))}
    for target in targets:
        identity = identity_of(target)
        source = by_identity.get(identity) if identity else None
        if source:
            raise InputError(f"{option} would overwrite the {what} {source}; choose another folder or name")


def identity_of(path: Path) -> tuple[int, int] | None:
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


def pngs(folder: Path, ending: str) -> list[Path]:
    """A folder's PNGs in natural order; only those whose stem has the ending where there are any."""
    files = files_with(folder, (".png",))
    return [file for file in files if file.stem.endswith(ending)] or files


def files_with(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Its files in natural order, hidden ones aside: what a kill or another system left behind."""
    found = (file for file in folder.iterdir() if file.suffix.lower() in suffixes and not file.name.startswith("."))
    files = sorted((file for file in found if not file.is_dir()), key=_natural)
    if not files:
        raise MissingFileError(f"folder {folder} holds no {', '.join(suffixes)} file")
    return files


def _natural(path: Path) -> list[tuple[int, str]]:
    """frame2 before frame10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]
