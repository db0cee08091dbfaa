"""Finds image files in a folder, a zip, or a list of both."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from convnet_galaxies.data.fits_image import FITS_ENDINGS
from convnet_galaxies.data.picture import PICTURE_ENDINGS
from convnet_galaxies.data.records import ImageFile
from convnet_galaxies.data.zip_files import list_members
from convnet_galaxies.errors import InputError

IMAGE_ENDINGS = (*PICTURE_ENDINGS, *FITS_ENDINGS)


def list_images(source: Path | Sequence[Path]) -> tuple[ImageFile, ...]:
    """Image files (JPEG, PNG, FITS by their endings) of a folder, a zip, one image, or a list of them, by name.

    Folders and zips are searched to any depth; ``__MACOSX`` and names that begin with a dot are passed over.
    Raises InputError for a path that does not exist, a broken zip, or when a source holds no image.
    """
    if isinstance(source, Path):
        return _list_one(source)
    found = [file for one in source for file in _list_one(one)]
    return tuple(dict.fromkeys(found))


def require_path(path: Path) -> Path:
    """The path itself when it exists; else an InputError that says what the nearest folder holds."""
    if path.exists():
        return path
    parent = path.parent
    while not parent.exists() and parent != parent.parent:
        path, parent = parent, parent.parent
    if not parent.is_dir():
        raise InputError(f"{path}: does not exist", "check the path")
    names = visible_names(parent)
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    fix = f"did you mean {' or '.join(str(parent / name) for name in close)}?" if close else "check the path"
    raise InputError(f"{path}: does not exist; the folder {parent} holds {name_some(names)}", fix)


def holds_images(source: Path) -> bool:
    """Whether a folder or zip that exists holds at least one image."""
    return next(_walk(source), None) is not None


def visible_names(folder: Path) -> list[str]:
    """Sorted names in a folder without those that begin with a dot and ``__MACOSX``."""
    return sorted(entry.name for entry in folder.iterdir() if not _is_hidden(entry.name))


def name_some(names: Sequence[str], limit: int = 5) -> str:
    """``a, b, c and 12 more``; ``nothing`` for no names."""
    if not names:
        return "nothing"
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest:,} more" if rest > 0 else "")


def visible_members(path: Path) -> list[str]:
    """Members of a zip that are files, without hidden ones and ``__MACOSX``. Raises InputError for no sound zip."""
    names = (info.filename for info in list_members(path))
    return [name for name in names if not any(_is_hidden(part) for part in name.split("/"))]


def _list_one(source: Path) -> tuple[ImageFile, ...]:
    require_path(source)
    try:
        files = tuple(sorted(_walk(source), key=lambda file: (str(file.path), file.member or "")))
    except PermissionError as error:
        raise InputError(f"{error.filename}: may not be read ({error.strerror})", "change its permissions") from None
    if files:
        return files
    endings = ", ".join(IMAGE_ENDINGS)
    if source.suffix.lower() == ".zip":
        members = visible_members(source)
        inner = [name for name in members if name.lower().endswith(".zip")]
        fix = "unzip it once and give the zips inside" if inner else "give the zip or folder that holds the images"
        raise InputError(f"{source}: found no image but {name_some(members)}, expected files ending in {endings}", fix)
    if source.is_dir():
        names = visible_names(source)
        zips = [str(source / name) for name in names if name.lower().endswith(".zip")]
        fix = f"give the zip itself: {name_some(zips, 2)}" if zips else "give the folder or zip that holds the images"
        raise InputError(f"{source}: found no image but {name_some(names)}, expected files ending in {endings}", fix)
    raise InputError(f"{source}: is not an image, expected a file ending in {endings}", "give an image, folder or zip")


def _walk(source: Path) -> Iterator[ImageFile]:
    if source.is_dir():
        seen: set[str] = set()  # linked folders are followed, each real folder once
        for folder, folders, names in os.walk(source, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not _is_hidden(name))
            for name in names:
                if is_image(name) and not _is_hidden(name):
                    yield ImageFile(Path(folder, name))
    elif source.suffix.lower() == ".zip":
        for name in visible_members(source):
            if is_image(name):
                yield ImageFile(source, name)
    elif is_image(source.name):
        yield ImageFile(source)


def is_image(name: str) -> bool:
    """Whether the name is that of an image (a FITS file may be a table as well)."""
    return name.lower().endswith(IMAGE_ENDINGS)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
