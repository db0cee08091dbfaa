"""Finds image files in a folder, a zip, or a list of both, and matches them with the rows of a table."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import numpy as np

from convnet_galaxies.data.band_files import join_band_files
from convnet_galaxies.data.fits_image import FITS_ENDINGS
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.listing import (
    DOUBLES,
    ELSEWHERE,
    LINKS,
    SPECIAL,
    SYSTEM,
    UNREADABLE,
    Listing,
    Tally,
    join_listings,
    name_ending,
    name_reason,
)
from convnet_galaxies.data.picture import PICTURE_ENDINGS
from convnet_galaxies.data.zip_files import list_members
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import StrPath, is_hidden, name_some, require_path, visible_names

IMAGE_ENDINGS = (*PICTURE_ENDINGS, *FITS_ENDINGS)
ARCHIVE_ENDINGS = (".tar", ".tgz", ".tbz", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar")


def find_images(source: StrPath | Sequence[StrPath]) -> Listing:
    """Find image files (by IMAGE_ENDINGS) of a folder, a zip, one image, or a list of them, and what was passed over.

    Folders and zips are searched to any depth; ``__MACOSX`` and names that begin with a dot are passed over. Members of
    a zip may have any name, since nothing is written where it points to. FITS files of one band each are joined.
    Raises InputError for a path that does not exist, a broken zip, or when a source holds no image.
    """
    sources = [source] if isinstance(source, str | os.PathLike) else source
    if not sources:
        raise InputError("images: found an empty list, expected at least one path", "give a folder, a zip or images")
    found = join_listings(_list_one(Path(one)) for one in sources)
    files, remarks = join_band_files(found.files)
    if not files:
        raise InputError(
            f"{found.source}: found no image of the sky ({'; '.join(remarks)})",
            "give the images that belong to them, or one of these files with --hdu 0 to take it for an image",
        )
    return replace(found, files=files, joined=remarks)


def list_images(source: StrPath | Sequence[StrPath]) -> tuple[ImageFile, ...]:
    """List the files of find_images."""
    return find_images(source).files


def holds_images(source: Path) -> bool:
    """Return whether a folder or zip that exists holds at least one image."""
    return next(_walk(source, Tally()), None) is not None


def visible_members(path: Path) -> list[str]:
    """Return members of a zip that are files, without hidden ones and ``__MACOSX``. Raises InputError for no sound
    zip."""
    names = (info.filename for info in list_members(path))
    return [name for name in names if not _is_hidden_member(name)]


def is_image(name: str) -> bool:
    """Return whether the name is that of an image (a FITS file may be a table as well)."""
    return name.lower().endswith(IMAGE_ENDINGS)


def _list_one(source: Path) -> Listing:
    require_path(source)
    tally = Tally()
    try:
        files = tuple(sorted(_walk(source, tally), key=lambda file: (str(file.path), file.member or "")))
    except PermissionError as error:
        raise InputError(f"{error.filename}: may not be read ({error.strerror})", "change its permissions") from None
    listing = Listing(str(source), files, tally.counted())
    if not files:
        _refuse(source, listing)
    return listing


def _refuse(source: Path, listing: Listing) -> NoReturn:
    expected = f"files ending in {', '.join(PICTURE_ENDINGS)} or, of FITS, .fits, .fit, .fts, packed (.fz, .gz) or not"
    if not source.is_dir() and not _is_zip(source):
        is_packed = name_ending(source.name.lower()).endswith(ARCHIVE_ENDINGS)
        fix = "unpack it and give the folder" if is_packed else "give an image, folder or zip"
        raise InputError(f"{source}: is not an image, expected {expected}", fix)
    names = visible_members(source) if _is_zip(source) else visible_names(source)
    counts = f" ({listing.counts()})" if listing.passed_over else ""
    zips = [name for name in names if name.lower().endswith(".zip")]
    packed = [name for name in names if name.lower().endswith(ARCHIVE_ENDINGS)]
    if zips:
        inside = f"give the zip itself: {name_some([str(source / name) for name in zips], 2)}"
        fix = inside if source.is_dir() else "unzip it once and give the zips inside"
    elif packed:
        fix = f"unpack {name_some(packed, 2)} and give the folder"
    elif ELSEWHERE in listing.passed_over:
        fix = "give the folder that a link leads to, or links to its files (cp -rs)"
    elif listing.remarks:
        fix = "convert the images to PNG, TIFF or FITS, or give the folder or zip that holds the images"
    else:
        fix = "give the folder or zip that holds the images"
    raise InputError(f"{source}: found no image but {name_some(names)}{counts}, expected {expected}", fix)


def _walk(source: Path, tally: Tally) -> Iterator[ImageFile]:
    if source.is_dir():
        yield from _walk_folder(source, tally)
    elif _is_zip(source):
        yield from _walk_zip(source, tally)
    elif is_image(source.name):
        yield ImageFile(source)


def _walk_folder(top: Path, tally: Tally) -> Iterator[ImageFile]:
    # A folder of a stranger must not show what lies elsewhere on the disk, so links lead to folders within it alone.
    within = Path(os.path.realpath(top))
    waiting, seen = [str(top)], set()  # each real folder once
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            if folder == str(top):
                raise
            tally.add(UNREADABLE, folder)
            continue
        folders = []
        for entry in entries:
            name = entry.name
            if os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():  # noqa: PTH112
                if is_hidden(name):
                    tally.add(SYSTEM, name)
                elif entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(within):
                    tally.add(ELSEWHERE, name)
                else:
                    folders.append(entry.path)
            elif is_hidden(name) or not is_image(name):
                is_lost = entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110
                tally.add(LINKS if is_lost else name_reason(name, is_image=is_image(name)), name)
            elif entry.is_file() or entry.is_symlink():  # a broken link to an image is a bad image, told when read
                yield ImageFile(Path(entry.path))
            else:
                tally.add(SPECIAL, name)  # reading a pipe would wait for ever
        waiting += reversed(folders)


def _walk_zip(path: Path, tally: Tally) -> Iterator[ImageFile]:
    names = [info.filename for info in list_members(path)]
    last = {name: place for place, name in enumerate(names)}
    for place, name in enumerate(names):
        plain = ImageFile(path, name).name
        if _is_hidden_member(name):
            is_system = any(is_hidden(part) for part in name.replace("\\", "/").split("/")[:-1])
            tally.add(SYSTEM if is_system else name_reason(plain, is_image=is_image(plain)), name)
        elif not is_image(plain):
            tally.add(name_reason(plain, is_image=False), name)
        elif last[name] != place:
            tally.add(DOUBLES, name)
        else:
            yield ImageFile(path, name)


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _is_hidden_member(name: str) -> bool:
    return any(is_hidden(part) for part in name.replace("\\", "/").split("/"))


@dataclass(frozen=True)
class Match:
    """Rows that have an image.

    rows: int [m], row numbers of the table, ascending.
    files: m files, the image of each of these rows.
    remarks: one sentence for each kind of thing that was left out.
    skipped: one text for each thing that was left out.
    """

    rows: np.ndarray
    files: tuple[ImageFile, ...]
    remarks: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


def match_images(
    keys: Sequence[str], files: Mapping[str, ImageFile], *, table: object, images: object, skip_bad: bool
) -> Match:
    """Match the key of each row with the files of that key.

    table, images: the sources, for messages. Several rows may share an image.
    Raises InputError when a row has no image or an image no row (unless skip_bad), or when nothing matches.
    """
    rows = [row for row, key in enumerate(keys) if key in files]
    if not rows:
        raise InputError(
            f"{table}: found no row whose image is among the {len(files):,} of {images}; rows name "
            f"{name_some(list(keys), 3)}; images are {name_some([file.name for file in files.values()], 3)}",
            "give the table and the images that belong together",
        )
    named = set(keys)
    lonely_rows = [key for key in keys if key not in files]
    lonely_files = [file.name for key, file in files.items() if key not in named]
    remarks = []
    for lonely, what, lack in (
        (lonely_rows, f"rows of {table}", f"image in {images}"),
        (lonely_files, f"images of {images}", f"row in {table}"),
    ):
        if not lonely:
            continue
        if not skip_bad:
            raise InputError(
                f"{what}: found {len(lonely):,} without {lack} ({name_some(lonely)}), expected one for each",
                "give the files that belong together, or pass --skip-bad to leave these out",
            )
        remarks.append(f"{len(lonely):,} {what} have no {lack} and are left out: {name_some(lonely)}")
    skipped = [f"{key}: no image" for key in lonely_rows] + [f"{name}: no row in the table" for name in lonely_files]
    return Match(np.array(rows, dtype=int), tuple(files[keys[row]] for row in rows), tuple(remarks), tuple(skipped))


def index_images(files: Sequence[ImageFile]) -> dict[str, ImageFile]:
    """Return files by their stem; of equal stems in several folders, each goes by ``folder/stem`` instead.

    Raises InputError when that does not tell them apart either.
    """
    stems = [file.stem for file in files]
    counts: dict[str, int] = {}
    for stem in stems:
        counts[stem] = counts.get(stem, 0) + 1
    index: dict[str, ImageFile] = {}
    for stem, file in zip(stems, files, strict=True):
        key = stem if counts[stem] == 1 else "/".join(part for part in (file.folder, stem) if part)
        if key in index:
            raise InputError(
                f"{file}: found a second image called {key} (the first is {index[key]}), expected unique names",
                "remove or rename one of them",
            )
        index[key] = file
    return index
